cdef class Rows:
    cdef public long long most, count, gone
    cdef readonly object table, withdrawn, resume_gap
    cdef double[::1] start, duration, rounds, prefill_tokens, prefill_seqs, decode_seqs, kv_tokens
    cdef double[::1] running, waiting, first_tokens, resumed, squares, crossed
    cdef double[::1] blocks, held_tokens, blocks_end, cached
