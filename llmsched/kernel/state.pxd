cimport cython

from llmsched.kernel.blocks cimport Cache
from llmsched.kernel.prefixes cimport Prefixes
from llmsched.kernel.prices cimport Price
from llmsched.kernel.rows cimport Rows
from llmsched.kernel.stalls cimport Stalls
from llmsched.kernel.waiting cimport Knobs, Waiting

cdef int _SLOT_BITS
cdef long long _SLOT, _UNBOUNDED

cdef class State(Waiting):
    cdef readonly Price price
    cdef readonly Cache cache
    cdef Prefixes prefixes
    cdef Rows rows
    cdef public Stalls stalls
    cdef bint rations, reserves, watched
    cdef readonly double last_round_end, step_end
    cdef readonly long long clock, decoding, kv_tokens, prompt_tokens, prompts_done
    cdef dict last_token, lost, _slots
    cdef readonly list partial, leaving
    cdef long long ghosts, executed, last_prefill, found_tokens
    cdef bint crowded, paced
    cdef list free_slots, admissions
    cdef long long admission_number, slots
    cdef long long[::1] request, admission, target, last, computed, listed, chunk, chunk_of, takes, since, until
    cdef long long[::1] ready_row
    cdef double[::1] ready_end

    cpdef bint is_waiting(self, long long request) except? -1
    @cython.locals(slot="long long")
    cpdef long long slot(self, long long request) except? -2
    cdef long long most(self, long long request) noexcept
    @cython.locals(size="long long")
    cdef long long found(self, long long request) except? -1
    @cython.locals(ahead="long long")
    cdef look(self, bint mixed)
    cdef long long due(self, long long request) except? -1
    @cython.locals(tokens="long long", found="long long", owed="long long", spare="long long")
    cdef bint fits(self, long long request, long long chunk) except? -1
    @cython.locals(knobs=Knobs, prompts="long long")
    cdef long long most_of_a_prompt(self) noexcept
    cdef long long holds_back(self) except? -1
    @cython.locals(slot="long long", blocks="long long", most="long long")
    cdef long long owed(self) except? -1
    @cython.locals(held=bint, request="long long", due="long long")
    cpdef bint can_prefill(self, long long budget, bint mixed) except? -1
    @cython.locals(slot="long long", request="long long")
    cdef long long next_prefill_tokens(self) except? -1
    @cython.locals(slot="long long", number="long long", found="long long")
    cdef long long admit(self, long long request, long long tokens) except? -1
    @cython.locals(found=list, number="long long")
    cdef list in_slots(self)
    cpdef list sequences(self)
    cdef long long decoded_tokens(self, long long slot) noexcept
    cpdef bint is_begun(self, long long slot) noexcept
    cpdef long long generated(self, long long slot) noexcept
    cpdef long long held_tokens(self, long long slot) noexcept
    @cython.locals(again="long long")
    cdef _count_found(self, long long request, long long tokens)
    @cython.locals(tokens="long long", ahead=bint)
    cdef long long known_tokens(self, long long slot) noexcept
    cdef stop_decoding(self, long long slot, long long tokens)
    cdef unlist(self, long long slot)
    @cython.locals(request="long long", tokens="long long")
    cdef depart(self, long long slot, bint known)
    @cython.locals(slot="long long")
    cdef bint drain(self) except? -1
    cdef leave(self, long long slot, long long tokens)
