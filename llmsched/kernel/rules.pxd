cdef class Proposal:
    cdef readonly object step
    cdef readonly bint prefill, decode, split
    cdef public bint heeds, lasting, shortest
    cdef public long long rounds, budget, admissions
    cdef public tuple preempt
    cdef public object skip, chunks

cdef class Rule:
    cdef readonly object view, insert, otherwise
    cpdef bint inserts(self, bint possible, bint begun, bint empty) noexcept

cdef class Refill(Rule):
    cdef bint filling
