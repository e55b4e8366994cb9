cimport cython

from llmsched.kernel.state cimport State

cdef class Window:
    cdef State _state
    @cython.locals(state=State, request="long long", slot="long long", held="long long",
                   generated="long long")
    cpdef list sequences(self)
    cpdef list queued(self)
