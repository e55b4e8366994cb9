cimport cython

from llmsched.kernel.known cimport Known
from llmsched.kernel.rules cimport Proposal, Rule
from llmsched.kernel.state cimport State

cdef double CLOCK_TOLERANCE_S
cdef long long _REQUESTS, _ROUNDS

cdef class Engine(State):
    cdef list finishing, chunks
    cdef Rule rule
    cdef object decide, step
    cdef Proposal proposal, insert, otherwise
    cdef bint pending
    cpdef begin(self, object queue, object decide, Known known, list labels)
    cpdef bint advance(self, double until=*) except? -1
    cdef Proposal _ask(self)
    cdef bint _apply(self, Proposal proposal, double until) except? -1
    cdef bint _decode(self, Proposal proposal, double until) except? -1
    cdef long long _next_finish(self) except? -1
    @cython.locals(first="long long", request="long long", slot="long long")
    cdef _advance_rounds(self, long long n, long long rounds)
    cdef _complete(self, long long request, long long slot)
    cdef bint _prefill(self, Proposal proposal) except? -1
    cdef long long _go_on(self, long long budget) except? -1
    cdef _admit_next(self, Proposal proposal, long long budget, long long whole)
    cdef list _not_skipped(self, Proposal proposal)
    cdef _begin(self, long long request, long long tokens, bint named)
    cdef _compute_named(self, Proposal proposal, long long budget)
    cdef _compute(self, long long n, bint mixed)
    cdef _begin_decoding(self, long long request)
    cdef long long _record(self, double duration, long long rounds, long long prefill_tokens,
                           long long prefill_seqs, long long decode_seqs,
                           long long kv_tokens) except? -1
