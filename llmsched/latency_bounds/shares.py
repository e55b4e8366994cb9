"""Steps divided into shares: what every token owes at least, and what every step owes itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.latency_bounds.isolated import after, over_decodes, prompt_cost, resumption
from llmsched.latency_bounds.steps import Steps
from llmsched.spared import Spared
from llmsched.trace import Trace

Floats = NDArray[np.float64]

_KEPT = np.linspace(1.0, 0.5, 101)
"""Shares of its dearest price that a prompt token may keep, where decodes are to be dearer."""


@dataclass(frozen=True, eq=False)
class Shares:
    """Work on each request's account, on one machine of speed 1; shape (n,), seconds.

    Attributes
    ----------
    step : float
        What every step takes beyond the work in it; the tokens it yields come after that.
    prompt, decode : float64, shape (n,)
    """

    step: float
    prompt: Floats
    decode: Floats

    @property
    def whole(self) -> Floats:
        """Work up to the last token."""
        return self.prompt + self.decode


def shares_of(
    trace: Trace, steps: Steps, longest: int, spared: Spared
) -> tuple[list[Shares], list[Shares]]:
    """Return several divisions, each valid: some where decodes owe nothing, some where they do.

    Of a step some may be its own. A decode may take what leaves prompt tokens their dearest price,
    or more: that at which all work together is about the most, or half as much more.
    """
    free, priced = [], []
    for sigma in dict.fromkeys((0.0, steps.shortest / 2)):
        least = float(steps.per_token(sigma, 0.0).min())
        alone = _divided(trace, steps, longest, spared, sigma, 0.0)
        free.append(alone)
        deltas = np.array([steps.decode_share(sigma, kept * least) for kept in _KEPT])
        decodes = int((trace.output_tokens - 1).sum())
        most = int((_KEPT * alone.prompt.sum() + deltas * decodes).argmax())
        chosen = deltas[list(dict.fromkeys((0, most // 2, most)))].tolist()
        priced += [_divided(trace, steps, longest, spared, sigma, delta) for delta in chosen]
    return free, priced


def _divided(
    trace: Trace, steps: Steps, longest: int, spared: Spared, sigma: float, delta: float
) -> Shares:
    """Return what the prices of one division come to.

    A chunk may hold tokens of several accounts: cut up, it costs no more, for the price of a token
    does not fall as chunks grow.
    """
    per_token = steps.per_token(sigma, delta)
    prompt = prompt_cost(steps, per_token * np.arange(1, steps.chunk + 1), longest)
    np.maximum(prompt, 0.0, out=prompt)
    token = delta + steps.kv * np.arange(longest + 1.0)
    np.minimum(token[:-1], resumption(steps, prompt, spared.block_size), out=token[:-1])
    owned = after(steps, prompt, spared.first, spared.own)
    return Shares(sigma, owned, over_decodes(trace, token))
