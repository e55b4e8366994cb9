cimport cython

from llmsched.kernel.known cimport Known
from llmsched.kernel.queues cimport Queue
from llmsched.kernel.requests cimport Requests
from llmsched.kernel.turns cimport Turns

cdef double _TOLERANCE_S

cdef class Knobs:
    cdef readonly long long slots, budget, threshold, shares, long_shares, long_prompt
    cdef readonly long long most_requests, most_prompt_tokens, interval
    cdef readonly bint first_chunk, longest_remaining, least_urgent, adaptive, ahead, capped

cdef class Waiting(Requests):
    cdef readonly Knobs knobs
    cdef object foreign, referee
    cdef Queue queue
    cdef Known known
    cdef Turns turns
    cdef bint sharing
    cdef dict slot_of, resuming
    cdef readonly list deadlines
    cdef readonly double now, seen
    cdef readonly long long arrived, waiting, running, waiting_long
    cdef readonly long long queued_tokens, just_left, just_begun, withdrawn, unheard

    cdef arrive(self, long long request)
    @cython.locals(requests="long long", tokens="long long")
    cdef bint is_full(self, double arrival) noexcept
    cdef place_next(self)
    @cython.locals(refused=bint, end=double)
    cdef let_follow(self, long long request)
    cdef void has_begun(self, long long request) noexcept
    cdef withdraw(self, long long request)
    cdef drop_withdrawn(self)
    cpdef bint is_gone(self, long long request) noexcept
    @cython.locals(request="long long")
    cpdef tell(self, Known known)
    cdef enqueue(self, long long request)
    cdef count_long(self, long long request, long long change)
    cdef long long next_waiting(self) except? -2
    cdef list in_order(self)
    cdef long long need(self, long long request) except? -1
