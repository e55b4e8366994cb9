"""One machine, shortest remaining work first: nobody keeps fewer requests waiting, at any time."""

from __future__ import annotations

from bisect import bisect_right, insort
from heapq import heappop, heappush
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def completions(release: Floats, work: Floats) -> Floats:
    """Return the times at which shortest-remaining-first completes 1, 2, … requests.

    By every time no schedule of one machine of speed 1, preemptive or not, has completed more
    (Schrage, 1968). Releases are in order.
    """
    ends: list[float] = []
    left: list[float] = []  # a heap of what remains
    now = 0.0
    for r, w in zip(release.tolist(), work.tolist(), strict=True):
        while left:
            end = now + left[0]
            if end > r:
                left[0] = end - r
                break
            heappop(left)
            ends.append(end)
            now = end
        now = r
        heappush(left, w)
    left.sort()
    return np.append(np.array(ends), now + np.cumsum(left))


def completions_on_credit(release: Floats, work: Floats, credit: float, looks: int) -> Floats:
    """Return the earliest times by which 1, 2, … requests are completed, some work being owed.

    By a time t that is as if the machine, from then on with no new requests, had gone on for
    `credit` seconds: of the requests that came by t. It is looked at so many arrivals, and again
    after the last one; a count not reached at a look is reached later.
    """
    n = len(release)
    every = max(1, n // looks)
    left: list[float] = []  # what remains, the least first
    counts, times = [0], [float(release[0])]
    now, done = 0.0, 0
    for i, (r, w) in enumerate(zip(release.tolist(), work.tolist(), strict=True)):
        while left:
            end = now + left[0]
            if end > r:
                left[0] = end - r
                break
            del left[0]
            done += 1
            now = end
        now = r
        if i % every == 0:
            counts.append(done + _affordable(left, credit))
            times.append(r)
        insort(left, w)
    reached = np.searchsorted(counts, np.arange(1, n + 1)) - 1  # the last look without so many
    best = np.array(times)[reached]
    best[done:] = np.maximum(best[done:], now + np.cumsum(left) - credit)
    return best


def _affordable(left: list[float], credit: float) -> int:
    """Return how many of the shortest can be ended within a credit."""
    few = 64
    while few < len(left) and sum(left[:few]) <= credit:
        few *= 2
    return bisect_right(list(accumulate(left[:few])), credit)
