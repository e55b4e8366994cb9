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
    `credit` seconds: of the requests that came by t. So many arrivals are looked at, each up to the
    next one, and the last one; what is first found to be done at a look may have been since the
    one before.
    """
    n = len(release)
    every = max(1, n // looks)
    left: list[float] = []  # what remains, the least first
    best = np.empty(n)
    now, done, reached, since = 0.0, 0, 0, float(release[0])
    following = np.append(release[1:], np.inf).tolist()
    rows = zip(release.tolist(), work.tolist(), following, strict=True)
    for i, (r, w, after) in enumerate(rows):
        while left:
            end = now + left[0]
            if end > r:
                left[0] = end - r
                break
            del left[0]
            done += 1
            now = end
        now = r
        insort(left, w)
        if i % every and i < n - 1:
            continue
        sums = _sums(left, credit + after - r)
        already = done + bisect_right(sums, credit)
        if already > reached:
            best[reached:already] = since
            reached = already
        if done + len(sums) > reached:
            best[reached : done + len(sums)] = r + np.array(sums[reached - done :]) - credit
            reached = done + len(sums)
        since = after
    return best


def _sums(left: list[float], most: float) -> list[float]:
    """Return the sums of the first 1, 2, … numbers, as far as they are not above `most`."""
    few = 64
    while few < len(left) and sum(left[:few]) <= most:
        few *= 2
    sums = list(accumulate(left[:few]))
    return sums[: bisect_right(sums, most)]
