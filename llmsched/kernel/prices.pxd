cimport cython

cdef long long _MOST_ROUNDS, _REMEMBERED

cdef class Price:
    cdef readonly double per_kv_token_decode, per_kv_token_mixed
    cdef readonly double per_prefill_token_sq, per_prefill_token_x_context
    cpdef double base(self, long long prefill_tokens, long long decode_seqs) except? -1
    cpdef double step(self, long long prefill_tokens, double sum_sq, double sum_x_context,
                      long long decode_seqs, long long kv_tokens) except? -1
    cpdef double rounds(self, long long decode_seqs, long long kv_tokens, long long k) except? -1
    cpdef long long rounds_until(self, long long decode_seqs, long long kv_tokens, double seconds) except? -1

cdef double _rounds(double base, double slope, long long decode_seqs, long long kv_tokens,
                    long long k) noexcept

cdef class Linear(Price):
    cdef readonly double per_round, per_step, per_prefill_token, per_decode_seq

cdef class Curve(Price):
    cdef readonly double per_decode_seq
    cdef double[::1] remembered
    cpdef double curve(self, long long tokens) except? -1

cdef class Table(Curve):
    cdef readonly tuple starts, values, slopes

cdef class Knee(Curve):
    cdef readonly double fixed, read_weights, per_token_compute, per_token_move

cdef class Apart(Price):
    cdef readonly Price price
    cdef readonly double prefill_extra
    @cython.locals(seconds=double)
    cpdef double base(self, long long prefill_tokens, long long decode_seqs) except? -1

cdef class Asked(Price):
    cdef readonly object asked
cdef class Padded(Price):
    cdef readonly Price price

cpdef long long padded(long long seqs) noexcept
