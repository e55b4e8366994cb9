"""What a step may hold and what it costs at least, as arrays over its tokens.

A step of P prompt tokens and n decodes, T = P + n of them, costs ``prefill[T] + per_decode * n``
before attention, and one of decodes alone ``rounds[n]``. At a fixed T that is linear in n, and over
P = T - n it is a fraction whose sign of growth does not change with n: so of all companions that a
chunk of c tokens may have, only three kinds matter: no decodes, all other slots full of them, or no
other prompt's tokens (P = c). That makes every minimum below one pass over T.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.roofline import Roofline
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime

Floats = NDArray[np.float64]

MOST_TOKENS = 2**20
"""Tokens of a context, or of a table, beyond which no bound is claimed: the arrays get too long."""

_LOOKED_AT = 2**12
"""Tokens of a step up to which at least its price is looked up."""

_KINDS = (Affine, Piecewise, Roofline, Stages)


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps that an engine can make.

    Attributes
    ----------
    tokens : float64, shape (t,)
        Token counts of steps with a prefill: 1, 2, … and, where that stops short of the budget, the
        budget; in between prices are linear, or above that line.
    prefill : float64, shape (t,)
        Seconds of a step of so many prompt tokens alone.
    rounds : float64, shape (slots,)
        Seconds of a round of 1, 2, … decodes.
    per_decode : float
        Seconds a decode beside a prefill costs more than a prompt token.
    mixed : bool
        Whether steps may hold both.
    slots, chunk : int
        Most requests in a step, and most tokens of one prompt.
    kv_decode, kv_mixed, square, cross : float
        Prices of `StepTime`'s attention.
    """

    tokens: Floats
    prefill: Floats
    rounds: Floats
    per_decode: float
    mixed: bool
    slots: int
    chunk: int
    kv_decode: float
    kv_mixed: float
    square: float
    cross: float

    @property
    def kv(self) -> float:
        """The least seconds that reading a token of context costs."""
        return min(self.kv_decode, self.kv_mixed) if self.mixed else self.kv_decode

    @property
    def shortest(self) -> float:
        """Seconds of the shortest step of all."""
        return float(min(self.with_chunk()[0], self.rounds.min()))

    def with_hits(self) -> Steps:
        """Return these steps at prices by which no token is dearer for what was found before it.

        A token of a chunk attends to those before it in the chunk as well. Where their square is
        cheaper than that, what is found costs more than to compute all in one: that is left out.
        """
        return replace(self, cross=min(self.cross, 2 * self.square))

    def with_chunk(self) -> Floats:
        """Return the least seconds of a step with a chunk of 1, 2, … tokens, whoever else is in it.

        Not the price of the chunk alone: where a table falls, company may make a step shorter.
        """
        return self._least(0.0, 0.0, share=False)

    def per_token(self, sigma: float, delta: float) -> Floats:
        """Return the least seconds a prompt token in a step with a chunk of 1, 2, … tokens.

        That is after the step has paid `sigma` for itself and `delta` for each of its decodes.
        """
        return self._least(sigma, delta, share=True)

    def beside_decode(self) -> float:
        """Return the least seconds of a step of both prefill and decode; infinite without any."""
        if not self.mixed:
            return np.inf
        most = np.minimum(self.slots - 1, self.tokens - 1)
        ends = (self.prefill + self.per_decode * n for n in (1.0, most))
        return float(min(end[1:].min(initial=np.inf) for end in ends))

    def decode_share(self, sigma: float, least: float) -> float:
        """Return the largest price of a decode that leaves a prompt token at least `least`.

        A round must afford it as well, beside `sigma`.
        """
        n = np.arange(1.0, self.slots + 1)
        best = float(((self.rounds - sigma) / n).min())
        if self.mixed:
            rest = (self.prefill - sigma - least * self.tokens)[1:]
            most = np.minimum(self.slots - 1, self.tokens[1:] - 1)
            ends = min((rest / n_).min(initial=np.inf) for n_ in (1.0, most))
            best = min(best, self.per_decode + least + float(ends))
        return max(0.0, best)

    def _least(self, sigma: float, delta: float, *, share: bool) -> Floats:
        """Return the least price of a step with a chunk, or, of its share of each prompt token."""
        chunk = np.arange(1.0, self.chunk + 1)
        alone = (self.prefill - sigma) / (self.tokens if share else 1.0)
        best = _suffix_min(alone)[: self.chunk]
        if not self.mixed:
            return best
        excess = self.per_decode - delta
        others = self.slots - 1
        full = np.searchsorted(self.tokens, others, side="right")
        prompt = self.tokens[full:] - others
        crowded = self.prefill[full:] - sigma + excess * others
        crowded = _suffix_min(crowded / (prompt if share else 1.0))
        at = np.searchsorted(prompt, chunk)
        best = np.minimum(best, np.append(crowded, np.inf)[at])
        # Only its own tokens: n decodes fill up T = c + n.
        window = _window_min(self.prefill + excess * self.tokens, self.slots)[: self.chunk]
        own = window - excess * chunk - sigma
        least: Floats = np.minimum(best, own / chunk if share else own)
        return least


def why_not(step_time: StepTime, config: EngineConfig, longest: int) -> str:
    """Return why nothing can be said of an engine's steps, in a few words; "" if it can."""
    if not isinstance(step_time, _KINDS) or type(step_time).base is not StepTime.base:
        return "the kind of step times is not known"
    attention = (
        step_time.per_kv_token_decode,
        step_time.per_kv_token_mixed,
        step_time.per_prefill_token_sq,
        step_time.per_prefill_token_x_context,
    )
    if min(attention) < 0 or getattr(step_time, "per_decode_seq", 0.0) < 0:
        return "a price is below zero"
    if longest > MOST_TOKENS or _last_knot(step_time) > MOST_TOKENS:
        return f"a context or a table has more than {MOST_TOKENS:,} tokens"
    budget = config.max_num_batched_tokens
    if budget is not None and budget < config.max_num_seqs:
        return "the token budget is smaller than the slots"
    steps = steps_of(step_time, config, longest)
    lowest = min(float(steps.prefill.min()), float(steps.rounds.min()), steps.beside_decode())
    return "" if lowest >= 0 else "a step takes less than no time"


def steps_of(step_time: StepTime, config: EngineConfig, longest: int) -> Steps:
    """Return the steps of an engine whose contexts are `longest` tokens at most."""
    slots = config.max_num_seqs
    budget = config.max_num_batched_tokens or longest * slots
    chunk = min(budget, longest)  # alone, a prompt heeds no threshold
    kept = min(budget, max(chunk + slots, _last_knot(step_time) + 2, _LOOKED_AT))
    base = step_time.base
    prefill = np.array([base(tokens, 0) for tokens in range(1, kept + 1)])
    tokens = np.arange(1.0, kept + 1)
    if kept < budget:
        last = float(prefill[-1] - prefill[-2])
        tokens = np.append(tokens, float(budget))
        prefill = np.append(prefill, prefill[-1] + last * (budget - kept))
    mixed = step_time.mixed and budget > 1 and slots > 1
    return Steps(
        tokens,
        prefill,
        np.array([base(0, n) for n in range(1, slots + 1)]),
        base(1, 1) - base(2, 0) if mixed else 0.0,
        mixed,
        slots,
        chunk,
        step_time.per_kv_token_decode,
        step_time.per_kv_token_mixed,
        step_time.per_prefill_token_sq,
        step_time.per_prefill_token_x_context,
    )


def _last_knot(step_time: StepTime) -> int:
    return step_time.tokens[-1] if isinstance(step_time, Piecewise) else 1


def _suffix_min(values: Floats) -> Floats:
    return np.minimum.accumulate(values[::-1])[::-1]


def _window_min(values: Floats, window: int) -> Floats:
    """Return the least of each value and those after it within a window.

    Two running minima over blocks as long as the window; van Herk, 1992.
    """
    blocks = -(-len(values) // window) + 1
    padded = np.full((blocks, window), np.inf)
    padded.flat[: len(values)] = values
    ahead = np.minimum.accumulate(padded, axis=1).ravel()
    behind = np.minimum.accumulate(padded[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.minimum(behind[: len(values)], ahead[window - 1 : window - 1 + len(values)])
