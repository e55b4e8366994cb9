cimport cython

from llmsched.kernel.known cimport Known
from llmsched.kernel.rules cimport Proposal, Rule
from llmsched.kernel.steps cimport Steps

cdef double _TOLERANCE_S
cdef int _SLOT_BITS
cdef long long _SLOT

cdef class Engine(Steps):
    cdef Rule rule
    cdef object decide
    cdef dict proposals
    cdef Proposal proposal, insert, otherwise
    cdef bint pending

    cpdef begin(self, object queue, object decide, Known known, bint trusted)
    @cython.locals(limit=double, heard=double, preempted="long long")
    cpdef bint advance(self, double until=*) except? -1
    @cython.locals(rule=Rule, begun=bint, empty=bint, found=Proposal, proposal=Proposal,
                   insert=Proposal, budget="long long", possible=bint)
    cdef Proposal _ask(self)
    cdef bint _apply(self, Proposal proposal, double until) except? -1
    @cython.locals(k="long long", n="long long", to_finish="long long", preempted="long long",
                   comes="long long", submitted=bint, until_seen=double, gap=double, duration=double,
                   held="long long")
    cdef bint _decode(self, Proposal proposal, double until) except? -1
    @cython.locals(request="long long")
    cdef bint _may_find_more(self) except? -1
    cdef double _seen_after(self, long long n, long long k) except? -1
    cdef long long _rounds_to_see(self, long long n, double gap) except? -1
    cdef _arrive_before(self, double time)
    @cython.locals(time=double, request="long long")
    cdef double _next_deadline(self) except? -1
    cdef _abort(self, double limit)
    @cython.locals(request="long long")
    cdef long long _next_heeded(self, bint heeds, double end) noexcept
    @cython.locals(finishing=list, first="long long")
    cdef long long _next_finish(self) except? -1
