cimport cython

from llmsched.kernel.blocks cimport Cache
from llmsched.kernel.state cimport State

cdef long long _SLOT

cdef class Preemption(State):
    cdef readonly long long preempted
    cdef long long spent, asking
    cdef bint mixed
    cdef long long preempted_at_clock, preempted_at
    cdef dict reached
    cdef list begun_by_length, decoding_by_length

    cdef bint extend(self, long long slot, long long tokens) except? -1
    @cython.locals(takers="long long", numbers=list, number="long long", slot="long long",
                   victim="long long")
    cdef make_room(self)
    @cython.locals(request="long long", held="long long", tokens="long long", at="long long")
    cdef preempt(self, long long slot)
    @cython.locals(slot="long long", prompt="long long", held="long long", emitted="long long",
                   once="long long")
    cdef abort(self, long long request)
    @cython.locals(request="long long", tokens="long long", at="long long")
    cdef pause(self, long long slot)
    @cython.locals(request="long long")
    cdef _note_last_token(self, long long slot)
    @cython.locals(number="long long")
    cdef long long victim(self) except? -1
    @cython.locals(best="long long", number="long long", slot="long long", one="long long",
                   other="long long")
    cdef long long _least_urgent(self) except? -2
    @cython.locals(number="long long", slot="long long")
    cdef _longest(self, list heap, bint decoding)
    cdef rank_victim(self, long long slot)
