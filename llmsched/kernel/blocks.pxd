from llmsched.kernel.prefixes cimport Prefixes

cdef class Cache:
    cdef readonly long long free, used, peak, spare
    cdef public Prefixes prefixes
    cpdef bint admits(self, long long tokens, long long most, long long clock, long long owed,
                      long long spare) noexcept
    cpdef void admit(self, long long request, long long tokens, long long most) except *
    cpdef bint extend(self, long long request, long long held, long long tokens,
                      long long clock) except? -1
    cpdef void leave(self, long long request, long long held, long long most) except *
    cpdef void reserve(self, long long clock) except *
    cpdef void grow(self, long long tokens, long long clock) noexcept
    cpdef void settle(self, long long tokens, long long clock) noexcept
    cpdef bint grows(self, long long tokens) noexcept
    cpdef long long demand(self, long long clock) noexcept
    cpdef long long rounds_left(self, long long clock) noexcept
    cpdef void advance(self, long long clock, long long rounds) except *
    cpdef long long held(self, long long tokens, long long most) noexcept
    cpdef long long owed(self, long long tokens, long long most) noexcept

cdef class Blocks(Cache):
    cdef readonly long long usable, block_size, growing, reserved
    cdef long long[::1] phase
    cpdef long long blocks(self, long long tokens) noexcept
    cpdef void take(self, long long count) except *
    cpdef void give(self, long long count) noexcept
    cdef forget(self)
    cdef long long shared(self) noexcept
    cdef enter(self, long long request, long long blocks)
    cdef exit(self, long long request, long long blocks)

cdef class Reserved(Blocks):
    pass

cdef class Rationed(Blocks):
    cdef readonly double share
