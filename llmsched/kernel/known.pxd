cdef class Known:
    cdef readonly long long count
    cdef long long room
    cdef double[::1] arrivals
    cdef long long[::1] prompts, predicted, limits
    cdef list _columns, _shown
    cdef readonly list labels
    cpdef extend(self, columns, labels=*)
    cpdef append(self, double arrival, long long prompt, long long predicted, long long limit)
    cpdef label(self, long long request, str job_class)
    cpdef column(self, long long number)

cdef class Seen:
    cdef Known _known

cpdef Known ledger(Seen seen)
