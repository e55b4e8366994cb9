cimport cython

cdef class Turns:
    cdef public double horizon
    cdef long long came, dated, submitted, firsts
    cdef list later
    cdef dict _rows
    cdef double[::1] arrival, earliest, delay, timeout
    cdef long long[::1] prompt, output, predicted, limit, priority, following, first
    cdef double[::1] to_arrival, to_timeout
    cdef long long[::1] to_prompt, to_output, to_predicted, to_limit, to_priority, row_of
    cdef bint timed

    cpdef add(self, dict given, previous, delay)
    cdef _look(self)
    cpdef into(self, dict columns, row_of)
    @cython.locals(row="long long", time=double)
    cdef bint is_first(self) except? -1
    @cython.locals(row="long long", time=double)
    cdef bint place(self, long long number) except? -1
    cdef take(self)
    @cython.locals(row="long long")
    cdef end(self, long long number, double time)
