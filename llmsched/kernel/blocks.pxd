cdef class BlockPool:
    cdef public long long usable, block_size, free, growing, peak
    cdef public list phase

    cpdef long long blocks(self, long long tokens) noexcept
    cpdef void take(self, long long count) noexcept
    cpdef void grow(self, long long tokens, long long clock)
    cpdef void settle(self, long long tokens, long long clock)
    cpdef long long demand(self, long long clock)
    cpdef long long rounds_left(self, long long clock)
    cpdef void advance(self, long long clock, long long rounds)
