cdef class Known:
    cdef readonly long long count
    cdef long long room
    cdef double[::1] arrivals
    cdef long long[::1] prompts, predicted, limits, priorities
    cdef list _columns, _shown
    cdef object classes
    cdef readonly object names
    cpdef extend(self, columns)
    cpdef append(self, double arrival, long long prompt, long long predicted, long long limit,
                 long long priority=*)
    cpdef bint has_classes(self) except? -1
    cpdef class_of(self, long long request)
    cpdef name_of(self, long long request)
    cpdef column(self, long long number)

cdef class Seen:
    cdef Known _known

cpdef Known ledger(Seen seen)
