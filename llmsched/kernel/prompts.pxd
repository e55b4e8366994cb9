cimport cython

from llmsched.kernel.preemption cimport Preemption
from llmsched.kernel.prices cimport Price
from llmsched.kernel.rules cimport Proposal
from llmsched.kernel.waiting cimport Knobs

cdef int _SLOT_BITS
cdef long long _SLOT

cdef class Prompts(Preemption):
    cdef long long chunks, longest
    cdef bint held_back

    @cython.locals(whole="long long", budget="long long", share="long long")
    cdef choose(self, Proposal proposal, long long before)
    cdef void _schedule(self, long long slot, long long tokens) noexcept
    @cython.locals(left="long long", i="long long")
    cdef void _drop_preempted(self) noexcept
    @cython.locals(wanted="long long", slot="long long", number="long long")
    cdef _starve(self, long long whole)
    @cython.locals(slot="long long", tokens="long long", budget="long long")
    cdef _go_on(self, Proposal proposal, long long whole, long long most)
    @cython.locals(request="long long", tokens="long long", slots="long long", need="long long",
                   due="long long",
                   candidates=list)
    cdef _admit_next(self, Proposal proposal, long long budget, long long whole)
    @cython.locals(knobs=Knobs, longs="long long", slot="long long", new="long long",
                   prompts="long long")
    cdef long long _share(self, long long whole) except? -1
    @cython.locals(knobs=Knobs, cut="long long", longs="long long", slot="long long",
                   slots="long long", named=bint, candidates=list, request="long long",
                   need="long long", due="long long", tokens="long long")
    cdef _admit_sharing(self, Proposal proposal, long long budget, long long share)
    cdef bint _can_pass(self) except? -1
    cdef list _not_skipped(self, Proposal proposal)
    cdef _begin(self, long long request, long long tokens, bint named)
    @cython.locals(request="long long", most="long long", slot="long long", left="long long",
                   tokens="long long", preempted="long long")
    cdef _compute_named(self, Proposal proposal, long long budget)
    @cython.locals(preempted="long long", whole="long long", at="long long", prompts="long long",
                   full="long long", partial=list, begun=list, i="long long", slot="long long", left="long long",
                   request="long long", tokens="long long", n="long long")
    cdef _shortest_first(self, Proposal proposal, long long budget)
    @cython.locals(request="long long", due="long long")
    cdef long long _shorter(self, long long left, long long budget) except? -2
    cdef long long _left(self, long long slot) noexcept
    @cython.locals(price=Price, step=double, longer=double, spared=double)
    cdef bint _pays(self, long long planned, long long tokens, long long n, long long prompts) except? -1
