"""The cheapest way to cut a prompt into chunks, for all lengths at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXACT = 8192
"""Tokens, or two chunks if those are more, up to which every cut is tried; from there on a line."""

_TOO_MANY = 2**14
"""Chunks of more tokens are not tried one by one."""

_LINES = 16


def least_partition(cost: Floats, longest: int) -> Floats:
    """Return the least total cost of chunks that add up to 0, 1, … `longest` tokens, or less.

    Parameters
    ----------
    cost : float64, shape (most,)
        Cost of a chunk of 1, 2, … tokens.
    """
    if len(cost) > _TOO_MANY:
        return _by_lines(cost, longest)
    most = len(cost)
    exact = min(longest, max(_EXACT, 2 * most))
    # Costs found so far, the latest first, so that both operands of each sum lie in order.
    found, sums = np.empty(exact + 1), np.empty(most)
    found[exact] = 0.0
    for tokens in range(1, exact + 1):
        c = min(tokens, most)
        np.add(cost[:c], found[exact - tokens + 1 : exact - tokens + 1 + c], out=sums[:c])
        found[exact - tokens] = sums[:c].min()
    least = found[::-1]
    if exact == longest:
        return least
    # Every partition of more tokens passes through one of the last `most` sums.
    ratio = float((cost / np.arange(1, most + 1)).min())
    passed = np.arange(exact - most + 1, exact + 1)
    start = float((least[passed] - ratio * passed).min())
    return np.append(least, start + ratio * np.arange(exact + 1, longest + 1))


def _by_lines(cost: Floats, longest: int) -> Floats:
    """Return what lines below the cost of a chunk imply: a constant a chunk, a price a token."""
    chunk, tokens = np.arange(1, len(cost) + 1), np.arange(longest + 1)
    chunks = -(-tokens // len(cost))
    steepest = float((cost / chunk).min())
    through = float(cost[-1] - cost[0]) / max(1, len(cost) - 1)  # exact where costs are on a line
    best = np.full(longest + 1, -np.inf)
    for slope in (*np.linspace(min(0.0, steepest), steepest, _LINES), min(through, steepest)):
        each = max(0.0, float((cost - slope * chunk).min()))
        np.maximum(best, each * chunks + slope * tokens, out=best)
    return best
