"""Percentiles: the least limit that enough requests can keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CLOSE = 1.01
"""Ratio of two limits, one that enough can keep and one that they cannot, that is close enough."""


def order_statistics(
    least: Floats, wanted: Sequence[int], on_time: Callable[[float, int], int]
) -> dict[int, float]:
    """Return seconds that the k-th least latency cannot fall below, for some k (from 1).

    Parameters
    ----------
    least : float64, shape (n,)
        Seconds that each latency cannot fall below, in order.
    on_time : callable
        Given a limit and k, returns how many latencies can keep the limit, or anything below k.
    """
    found: dict[int, float] = {}
    low = 0.0
    for k in sorted(wanted):
        low = max(low, float(least[k - 1]))
        if low > 0 and on_time(low, k) < k:
            low = _beyond(low, k, on_time)
        found[k] = low
    return found


def _beyond(low: float, k: int, on_time: Callable[[float, int], int]) -> float:
    """Return a limit above `low` that fewer than k can keep, close to the largest."""
    high = 2 * low
    while on_time(high, k) < k:
        low, high = high, 4 * high
    while high > _CLOSE * low:
        middle = (low * high) ** 0.5
        if on_time(middle, k) < k:
            low = middle
        else:
            high = middle
    return low


def ranks(n: int, percents: Sequence[float]) -> list[int]:
    """Return the ranks, from 1, of the lower neighbours of some percentiles of n values."""
    return [int(percent / 100 * (n - 1)) + 1 for percent in percents]


def percentiles(
    least: Floats, percents: Sequence[float], found: Mapping[int, float]
) -> list[float]:
    """Return what percentiles are at least, by the neighbours that they lie between."""
    n = len(least)
    values = []
    for percent, rank in zip(percents, ranks(n, percents), strict=True):
        low = found.get(rank, float(least[rank - 1]))
        high = max(low, float(least[min(rank, n - 1)]))
        values.append(low + (percent / 100 * (n - 1) - (rank - 1)) * (high - low))
    return values
