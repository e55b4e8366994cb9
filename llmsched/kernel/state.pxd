cimport cython

from llmsched.kernel.blocks cimport Cache
from llmsched.kernel.known cimport Known
from llmsched.kernel.prices cimport Price
from llmsched.kernel.queues cimport Queue
from llmsched.kernel.requests cimport Requests
from llmsched.kernel.rows cimport Rows
from llmsched.kernel.stalls cimport Stalls

cdef int _SLOT_BITS
cdef long long _SLOT
cdef double _TOLERANCE_S

cdef class Knobs:
    cdef readonly long long slots, budget, threshold, shares, long_shares, long_prompt
    cdef readonly long long most_requests, most_prompt_tokens
    cdef readonly bint first_chunk, longest_remaining, capped

cdef class State(Requests):
    cdef readonly Knobs knobs
    cdef readonly Price price
    cdef readonly Cache cache
    cdef Rows rows
    cdef Known known
    cdef public Stalls stalls
    cdef Queue queue
    cdef object foreign, referee
    cdef bint rations, reserves, sharing, watched
    cdef readonly double now, last_round_end, step_end
    cdef readonly long long clock, running, decoding, kv_tokens, prompt_tokens, arrived, waiting
    cdef readonly long long waiting_long
    cdef readonly long long prompts_done, queued_tokens, just_left, just_begun, withdrawn
    cdef readonly list deadlines
    cdef dict slot_of, resuming, last_token, _slots
    cdef readonly list partial
    cdef list free_slots, admissions
    cdef long long admission_number, slots
    cdef long long[::1] request, admission, target, last, computed, chunk, chunk_of, takes, since, until
    cdef long long[::1] ready_row
    cdef double[::1] ready_end

    cpdef arrive(self, long long request)
    @cython.locals(requests="long long", tokens="long long")
    cpdef bint is_full(self, double arrival) noexcept
    cpdef free_user(self)
    cpdef void has_begun(self, long long request) noexcept
    cpdef withdraw(self, long long request)
    cpdef drop_withdrawn(self)
    cpdef bint is_gone(self, long long request) noexcept
    @cython.locals(request="long long")
    cpdef tell(self, Known known)
    cpdef enqueue(self, long long request)
    cpdef count_long(self, long long request, long long change)
    cpdef long long next_waiting(self) except? -2
    cpdef list in_order(self)
    cpdef bint is_waiting(self, long long request) except? -1
    @cython.locals(slot="long long")
    cpdef long long slot(self, long long request) except? -2
    cpdef long long need(self, long long request) except? -1
    cpdef long long most(self, long long request) noexcept
    cpdef bint fits(self, long long request) except? -1
    @cython.locals(slot="long long", blocks="long long", most="long long")
    cpdef long long owed(self) except? -1
    cpdef bint can_prefill(self) except? -1
    @cython.locals(slot="long long", request="long long")
    cpdef long long next_prefill_tokens(self) except? -1
    @cython.locals(slot="long long", number="long long")
    cpdef long long admit(self, long long request, long long tokens) except? -1
    @cython.locals(found=list, number="long long")
    cpdef list in_slots(self)
    cpdef list sequences(self)
    cpdef long long decoded_tokens(self, long long slot) noexcept
    cpdef bint is_begun(self, long long slot) noexcept
    cpdef long long generated(self, long long slot) noexcept
    cpdef long long held_tokens(self, long long slot) noexcept
    cpdef stop_decoding(self, long long slot, long long tokens)
    cpdef leave(self, long long slot, long long tokens)
