cdef class Requests:
    cdef readonly long long submitted, dated
    cdef readonly bint impatient
    cdef dict _columns
    cdef const double[::1] arrival
    cdef double[::1] dating
    cdef const long long[::1] prompt, output, predicted, limit, priority
    cdef const double[::1] timeout
    cdef double[::1] admitted, first_token, finish
    cdef long long[::1] preemptions, recomputed, cached, status, emitted, computed_input
    cpdef bint has_finished(self, long long request) noexcept
