from llmsched.kernel.state cimport State

cdef class Window:
    cdef State _state
