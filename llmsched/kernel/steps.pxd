cimport cython

from llmsched.kernel.prompts cimport Prompts
from llmsched.kernel.rows cimport Rows
from llmsched.kernel.rules cimport Proposal
from llmsched.kernel.stalls cimport Stalls

cdef int _SLOT_BITS
cdef long long _SLOT, _ROUNDS

cdef class Steps(Prompts):
    cdef list finishing, ended, parting

    @cython.locals(rows=Rows, row="long long", growth=double, first_s=double, first_end=double,
                   first="long long")
    cdef advance_rounds(self, long long n, long long rounds)
    @cython.locals(first="long long")
    cdef bint is_last_of_any(self) except? -1
    @cython.locals(finishing=list, ended=list, before="long long", first="long long",
                   slot="long long")
    cdef finish_all(self)
    cdef _finish(self, long long slot)
    cdef _complete(self, long long slot)
    @cython.locals(n="long long", before="long long")
    cdef bint prefill(self, Proposal proposal) except? -1
    @cython.locals(tokens="long long", seqs="long long", first_tokens="long long",
                   resumed="long long", slot="long long", rows=Rows, row="long long", chunk="long long",
                   before="long long", target="long long", i="long long", stalls=Stalls, prefill=bint)
    cdef _compute(self, long long n, bint mixed)
    @cython.locals(request="long long", tokens="long long", left="long long", until="long long",
                   gap=double)
    cdef _begin_decoding(self, long long slot)
    @cython.locals(rows=Rows, row="long long", used="long long")
    cdef record(self, double duration, long long rounds, long long prefill_tokens,
                 long long prefill_seqs, long long decode_seqs, long long kv_tokens)
    @cython.locals(slot="long long")
    cdef step_over(self, long long preempted)
