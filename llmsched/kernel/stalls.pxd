cimport cython

cdef long long _DECODE, _PREEMPTION

cdef class Stalls:
    cdef public double prompt_s
    cdef double _prompt_then
    cdef dict _requests, _rounds, _begun, _chunks
    cdef long long _depth, _beginners, _computed
    cdef double[::1] _worst, _stall, _round_gap, _began_at, _prompt_at
    cdef long long[::1] _cause, _tokens, _round, _round_cause, _beginner, _after, _chunk_of, _chunk

    cpdef submit(self, long long requests)
    cdef _more_rounds(self)
    cdef _more_beginners(self)
    cdef _more_chunks(self)
    cdef chunk(self, long long request, long long tokens)
    @cython.locals(at="long long")
    cdef begin(self, long long request, double now)
    cdef void resume(self, long long request, double gap) noexcept
    @cython.locals(cause="long long", first=double)
    cdef rounds(self, long long clock, long long rounds, double since, double first_end, double last)
    @cython.locals(j="long long", cause="long long", most="long long", i="long long",
                   request="long long")
    cdef long long _first_gaps(self, double end) noexcept
    @cython.locals(request="long long")
    cdef void _first_gap(self, long long beginner, double end, long long cause) noexcept
    @cython.locals(depth="long long")
    cdef _push(self, long long clock, double gap, long long cause)
    @cython.locals(low="long long", high="long long", middle="long long")
    cdef void end(self, long long request, long long since, long long clock) noexcept
    @cython.locals(left="long long", j="long long")
    cdef void _withdraw(self, long long request) noexcept
    cdef void _take(self, long long request, double gap, long long cause) noexcept
