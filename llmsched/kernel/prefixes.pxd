cimport cython

cdef class Run:
    cdef long long segment, low, high, users
    cdef Run before, after, rest

cdef class Held:
    cdef long long entry, base, blocks, tokens, since, answers
    cdef list runs, ends

cdef class Prefixes:
    cdef readonly long long block_size, idle, hits, idle_hits
    cdef public long long clock
    cdef Run oldest, newest
    cdef dict copies, held, decoding, _columns
    cdef list found, places, ends
    cdef long long found_for, found_most, found_clock, ended_on, changes, found_at, requests, entries
    cdef long long[::1] start, segment, length, shared, row_of
    cdef bint renumbered, doubled

    cdef long long first_entry(self, long long request) noexcept
    @cython.locals(entry="long long", base="long long", most_here="long long")
    cpdef long long find(self, long long request, long long most) except? -1
    @cython.locals(copies=list, place="long long", end="long long", best=Run, run=Run)
    cdef long long _find_on(self, long long segment, long long most) except? -1
    cdef bint may_find_more(self) except? -1
    @cython.locals(held=Held, idle="long long", i="long long", run=Run, place="long long",
                   end="long long")
    cpdef long long hold(self, long long request) except? -1
    @cython.locals(rest=Run, before=Run, copies=list)
    cdef _split(self, Run run, long long place)
    @cython.locals(held=Held, upto="long long", segment="long long", place="long long",
                   end="long long")
    cpdef register(self, long long request, long long tokens)
    cdef _move_on(self, Held held)
    @cython.locals(copies=list, last=Run, run=Run)
    cdef _append(self, Held held, long long segment, long long low, long long high)
    @cython.locals(held=Held)
    cpdef begin(self, long long request, long long tokens, long long clock)
    @cython.locals(held=Held, requests=list)
    cpdef end(self, long long request)
    @cython.locals(held=Held, tokens="long long", upto="long long", request="long long")
    cdef _catch_up(self, long long segment, long long but)
    @cython.locals(held=Held, i="long long", run=Run, end="long long")
    cpdef long long release(self, long long request) except? -1
    @cython.locals(runs=list, run=Run, i="long long")
    cdef _leave_all(self, Run first, long long end)
    @cython.locals(last=Run)
    cdef _leave(self, Run run)
    @cython.locals(before=Run, after=Run)
    cdef _take_out(self, Run run)
    @cython.locals(run=Run, count="long long", copies=list)
    cpdef evict(self, long long blocks)
