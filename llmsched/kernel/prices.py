"""What steps cost: the closed forms that every kind of hardware profile shares.

    t = base(P, n) + s * sum(c^2) + x * sum(c * context) + v * KV

with P prefill tokens cut into chunks c, n decode sequences, and KV the context tokens that those
sequences read. Products of counts are floats: exact below 2^53, and beyond alike in Python and C.
"""

from __future__ import annotations

from bisect import bisect_right
from math import ceil, hypot, sqrt
from typing import Protocol

import numpy as np

from llmsched.columns import floats

_REMEMBERED = 1 << 14
"""Tokens of a step up to which a price is computed but once."""

_MOST_ROUNDS = 1 << 60
"""More rounds than that are not told apart."""


class HasBase(Protocol):
    """What a price may ask instead of computing."""

    def base(self, prefill_tokens: int, decode_seqs: int) -> float: ...


class Price:
    """Seconds of a step and of k decode rounds; subclasses supply `base`.

    Parameters
    ----------
    per_kv_token_decode, per_kv_token_mixed : float
        Seconds per context token read by decodes, without and with a prefill beside them.
    per_prefill_token_sq, per_prefill_token_x_context : float
        Seconds per sum of squared chunk lengths, and of (chunk length x tokens before it).
    """

    def __init__(
        self,
        per_kv_token_decode: float,
        per_kv_token_mixed: float,
        per_prefill_token_sq: float,
        per_prefill_token_x_context: float,
    ) -> None:
        self.per_kv_token_decode = per_kv_token_decode
        self.per_kv_token_mixed = per_kv_token_mixed
        self.per_prefill_token_sq = per_prefill_token_sq
        self.per_prefill_token_x_context = per_prefill_token_x_context

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        """Return the part of a step's seconds that depends on these two counts alone."""
        raise NotImplementedError

    def step(
        self,
        prefill_tokens: int,
        sum_sq: float,
        sum_x_context: float,
        decode_seqs: int,
        kv_tokens: int,
    ) -> float:
        """Return the seconds of one step; see `llmsched.hardware.step_time.StepTime.step`."""
        if prefill_tokens == 0:
            return self.base(0, decode_seqs) + self.per_kv_token_decode * kv_tokens
        return (
            self.base(prefill_tokens, decode_seqs)
            + self.per_prefill_token_sq * sum_sq
            + self.per_prefill_token_x_context * sum_x_context
            + self.per_kv_token_mixed * kv_tokens
        )

    def rounds(self, decode_seqs: int, kv_tokens: int, k: int) -> float:
        """Return the seconds of k decode rounds of an unchanged batch.

        `kv_tokens` are read in the first round and `decode_seqs` more in each further one.
        """
        times = float(k)
        context = times * kv_tokens + decode_seqs * (times * (times - 1.0) * 0.5)
        return times * self.base(0, decode_seqs) + self.per_kv_token_decode * context

    def rounds_until(self, decode_seqs: int, kv_tokens: int, seconds: float) -> int:
        """Return the smallest k >= 1 with ``rounds(decode_seqs, kv_tokens, k) >= seconds``.

        Solves the quadratic, then corrects its rounding against the very expression of `rounds`.
        """
        base = self.base(0, decode_seqs)
        if seconds <= base:
            return 1
        slope = self.per_kv_token_decode
        half = 0.5 * slope * decode_seqs
        linear = base + slope * kv_tokens - half
        estimate = 2.0 * seconds / (linear + sqrt(linear * linear + 4.0 * half * seconds))
        if estimate >= _MOST_ROUNDS:
            return _MOST_ROUNDS
        k = max(1, ceil(estimate))
        while k > 1 and _rounds(base, slope, decode_seqs, kv_tokens, k - 1) >= seconds:
            k -= 1
        while _rounds(base, slope, decode_seqs, kv_tokens, k) < seconds:
            k += 1
        return k


def _rounds(base: float, slope: float, decode_seqs: int, kv_tokens: int, k: int) -> float:
    """Return what `Price.rounds` does, of a round's base that is known."""
    times = float(k)
    context = times * kv_tokens + decode_seqs * (times * (times - 1.0) * 0.5)
    return times * base + slope * context


class Linear(Price):
    """Prefill and decode at a price per step, per prompt token and per decode sequence."""

    def __init__(
        self,
        shared: tuple[float, float, float, float],
        per_round: float,
        per_step: float,
        per_prefill_token: float,
        per_decode_seq: float,
    ) -> None:
        super().__init__(*shared)
        self.per_round = per_round
        self.per_step = per_step
        self.per_prefill_token = per_prefill_token
        self.per_decode_seq = per_decode_seq

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        if prefill_tokens == 0:
            return self.per_round + self.per_decode_seq * decode_seqs
        return (
            self.per_step
            + self.per_prefill_token * prefill_tokens
            + self.per_decode_seq * decode_seqs
        )


class Curve(Price):
    """A price of all tokens of a step, remembered; subclasses supply `curve`."""

    def __init__(self, shared: tuple[float, float, float, float], per_decode_seq: float) -> None:
        super().__init__(*shared)
        self.per_decode_seq = per_decode_seq
        self.remembered = floats(np.full(_REMEMBERED, np.nan))

    def curve(self, tokens: int) -> float:
        """Return the seconds of a step of so many tokens, decode sequences not charged."""
        raise NotImplementedError

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        tokens = prefill_tokens + decode_seqs
        if not 0 <= tokens < _REMEMBERED:
            return self.curve(tokens) + self.per_decode_seq * decode_seqs
        seconds = self.remembered[tokens]
        if seconds != seconds:  # NaN: not asked for yet
            seconds = self.remembered[tokens] = self.curve(tokens)
        return seconds + self.per_decode_seq * decode_seqs


class Table(Curve):
    """A table over all tokens of a step, linear between its knots.

    `starts` are token counts, rising from 0; `values` the seconds there, `slopes` those per token
    from there on.
    """

    def __init__(
        self,
        shared: tuple[float, float, float, float],
        starts: tuple[int, ...],
        values: tuple[float, ...],
        slopes: tuple[float, ...],
        per_decode_seq: float,
    ) -> None:
        super().__init__(shared, per_decode_seq)
        self.starts, self.values, self.slopes = starts, values, slopes

    def curve(self, tokens: int) -> float:
        i = bisect_right(self.starts, tokens) - 1
        seconds: float = self.values[i] + self.slopes[i] * (tokens - self.starts[i])
        return seconds


class Knee(Curve):
    """Computing and reading the weights overlap: the root of the sum of their squares."""

    def __init__(
        self,
        shared: tuple[float, float, float, float],
        fixed: float,
        read_weights: float,
        per_token_compute: float,
        per_token_move: float,
        per_decode_seq: float,
    ) -> None:
        super().__init__(shared, per_decode_seq)
        self.fixed = fixed
        self.read_weights = read_weights
        self.per_token_compute = per_token_compute
        self.per_token_move = per_token_move

    def curve(self, tokens: int) -> float:
        # Python's own function in C as well: the C library's rounds otherwise.
        root: float = hypot(self.per_token_compute * tokens, self.read_weights)
        return self.fixed + self.per_token_move * tokens + root


class Apart(Price):
    """Another price, and more where a step holds a prefill."""

    def __init__(
        self, shared: tuple[float, float, float, float], price: Price, prefill_extra: float
    ) -> None:
        super().__init__(*shared)
        self.price = price
        self.prefill_extra = prefill_extra

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        seconds = self.price.base(prefill_tokens, decode_seqs)
        return seconds + self.prefill_extra if prefill_tokens else seconds


class Padded(Price):
    """Another price, where decodes alone are padded to the next batch with a CUDA graph."""

    def __init__(self, shared: tuple[float, float, float, float], price: Price) -> None:
        super().__init__(*shared)
        self.price = price

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        if prefill_tokens:
            return self.price.base(prefill_tokens, decode_seqs)
        return self.price.base(0, padded(decode_seqs))


def padded(seqs: int) -> int:
    """Return the sequences that a decode batch is padded to: 1, 2, 4, by 8 to 256, by 16 to 512.

    These are vLLM's default `cudagraph_capture_sizes`; larger batches run without a graph.
    """
    if seqs <= 2 or seqs > 512:
        return seqs
    if seqs <= 4:
        return 4
    each = 8 if seqs <= 256 else 16
    return (seqs + each - 1) // each * each


class Asked(Price):
    """What an object of somebody else's says."""

    def __init__(self, shared: tuple[float, float, float, float], asked: HasBase) -> None:
        super().__init__(*shared)
        self.asked = asked

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        return self.asked.base(prefill_tokens, decode_seqs)
