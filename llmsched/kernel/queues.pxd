cimport cython

from llmsched.kernel.known cimport Known, ledger

cdef class Queue:
    cdef public object release
    cdef long long first, end
    cdef list others
    cpdef push(self, long long request)
    @cython.locals(other="long long")
    cpdef long long peek(self) except? -2
    @cython.locals(request="long long")
    cpdef long long pop(self) except? -2
    cpdef list waiting(self)
    cpdef remove(self, long long request)

cdef class RankQueue(Queue):
    cdef object function
    cdef public object later
    cdef readonly list keys
    cdef list ranked, unranked
    cdef bint deferring
    @cython.locals(request="long long")
    cdef _rank_all(self)
    cdef _rank(self, long long request)
    cpdef double key(self, long long request) except? -1.5

cdef class Weighted(RankQueue):
    cdef Known _known
    cdef double per_second, per_prompt_token, per_predicted_token, per_limit_token
