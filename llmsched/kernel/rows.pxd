cdef long long WIDTH

cdef class Rows:
    cdef readonly long long most, count, gone
    cdef object _table
    cdef double[::1] cell
    cdef readonly object withdrawn, resume_gap
