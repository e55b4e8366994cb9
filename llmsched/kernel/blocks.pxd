cdef class Cache:
    cdef readonly long long free, used, peak
    cpdef bint admits(self, long long request, long long tokens, long long most,
                      long long clock, long long owed) noexcept
    cpdef void admit(self, long long request, long long tokens, long long most) noexcept
    cpdef bint extend(self, long long request, long long held, long long tokens,
                      long long clock) noexcept
    cpdef void leave(self, long long request, long long held, long long most) noexcept
    cpdef void grow(self, long long tokens, long long clock) noexcept
    cpdef void settle(self, long long tokens, long long clock) noexcept
    cpdef bint grows(self, long long tokens) noexcept
    cpdef long long demand(self, long long clock) noexcept
    cpdef long long rounds_left(self, long long clock) noexcept
    cpdef void advance(self, long long clock, long long rounds) noexcept
    cpdef long long held(self, long long tokens, long long most) noexcept
    cpdef long long owed(self, long long tokens, long long most) noexcept

cdef class Blocks(Cache):
    cdef readonly long long usable, block_size, spare, growing
    cdef long long[::1] phase
    cpdef long long blocks(self, long long tokens) noexcept
    cpdef void take(self, long long count) noexcept
    cpdef void give(self, long long count) noexcept

cdef class Reserved(Blocks):
    pass

cdef class Rationed(Blocks):
    cdef readonly double share
