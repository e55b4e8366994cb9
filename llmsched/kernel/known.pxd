cdef class Known:
    cdef readonly long long count
    cdef long long room
    cdef double[::1] arrivals
    cdef long long[::1] prompts, predicted, limits
    cdef list _columns, _shown
    cdef readonly list labels
    cpdef append(self, double arrival, long long prompt, long long predicted, long long limit)
    cpdef column(self, long long number)
