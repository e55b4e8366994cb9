"""Heuristics on whole bins: longest first, and exact repartition of two bins by subset sums."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

MOST_FREE = 18
"""Requests that one repartition may move; with more in the two bins, a sample of them moves."""

FAR = np.int64(2**62)
CHASE = 0.6
"""Share of the moves that start from a bin above the target; the others mix the plateau."""


def longest_first(durations: Sequence[int], bins: int) -> list[list[int]]:
    """Assign requests in order of falling duration, each to the bin with the least load (LPT).

    Graham, "Bounds on multiprocessing timing anomalies" (1969). Ties go to the earlier request and
    the lower bin. Returns the requests of each bin.
    """
    order = sorted(range(len(durations)), key=durations.__getitem__, reverse=True)
    members: list[list[int]] = [[] for _ in range(bins)]
    heap = list(range(bins))  # load * bins + bin: one integer orders by load, then by bin
    for request in order:
        members[heap[0] % bins].append(request)
        heapq.heapreplace(heap, heap[0] + durations[request] * bins)
    return members


def choose_subset(
    values: NDArray[np.int64], low: int, high: int, rng: random.Random
) -> tuple[int, int]:
    """Choose a subset of `values` whose sum lies in `low`..`high`, or as near to it as any does.

    Where several subsets lie in the window, each is equally likely. Returns the subset as a bit
    mask, and its sum. Exact, by meeting in the middle (Horowitz and Sahni, 1974): the sums of one
    half are sorted, and each sum of the other half looks up its partners.
    """
    half = len(values) // 2
    left = _subsets(half) @ values[:half]
    right = _subsets(len(values) - half) @ values[half:]
    order = left.argsort(kind="stable")
    left = left[order]
    first = left.searchsorted(low - right)
    count = left.searchsorted(high - right, "right") - first
    upto = count.cumsum()
    if upto[-1]:
        draw = rng.randrange(int(upto[-1]))
        r = int(upto.searchsorted(draw, "right"))
        k = int(first[r]) + draw - int(upto[r] - count[r])
    else:  # each right sum has one partner just above the window and one just below it
        above = np.append(left, FAR)[first] + right
        below = np.insert(left, 0, -FAR)[first] + right
        up, down = int(above.argmin()), int(below.argmax())
        is_above = int(above[up]) - high < low - int(below[down])
        r = up if is_above else down
        k = int(first[r]) - (not is_above)
    return int(order[k]) | r << half, int(left[k] + right[r])


@cache
def _subsets(size: int) -> NDArray[np.int64]:
    """Return the 0-1 matrix whose row k holds the bits of k."""
    return np.arange(1 << size, dtype=np.int64)[:, None] >> np.arange(size) & 1


class Repartition:
    """Local search for loads of at most a target each, by repartition of two bins at a time.

    A move splits the requests of two bins anew, so that their joint excess over the target is as
    small as it can be. A move that leaves the excess as it was is accepted too: such moves walk
    along the plateau and gather slack, scattered over many bins in single units, where it can
    serve. Which of the equally good splits is taken is random, and reproducible for a given `seed`.

    Attributes
    ----------
    members : list of lists of int
        The requests of each bin.
    load : list of int
        The load of each bin.
    """

    def __init__(
        self,
        durations: Sequence[int],
        members: list[list[int]],
        seed: int,
    ) -> None:
        self.durations = durations
        self.members = [list(requests) for requests in members]
        self.load = [sum(durations[i] for i in requests) for requests in members]
        self.random = random.Random(seed)

    @property
    def makespan(self) -> int:
        """Load of the fullest bin."""
        return max(self.load)

    def run(self, target: Sequence[int], moves: int) -> bool:
        """Make up to `moves` moves; return whether no bin is above its `target` any more."""
        bins, rng = len(self.load), self.random
        above = _Pool(b for b, load in enumerate(self.load) if load > target[b])
        if bins == 1:
            return not above
        for _ in range(moves):
            if not above:
                break
            a = above.pick(rng) if rng.random() < CHASE else rng.randrange(bins)
            b = (a + 1 + rng.randrange(bins - 1)) % bins
            self._move(a, b, target[a], target[b])
            for changed in (a, b):
                above.keep(changed, self.load[changed] > target[changed])
        return not above

    def _move(self, a: int, b: int, target_a: int, target_b: int) -> None:
        both = self.load[a] + self.load[b]
        free, stay_a, stay_b = self._loosen(self.members[a], self.members[b])
        if not free:
            return
        base = sum(self.durations[i] for i in stay_a)
        low, high = sorted((target_a, both - target_b))  # no split has less excess than these
        values = np.array([self.durations[i] for i in free], dtype=np.int64)
        subset, load = choose_subset(values, low - base, high - base, self.random)
        load += base
        before = max(self.load[a] - target_a, 0) + max(self.load[b] - target_b, 0)
        if max(load - target_a, 0) + max(both - load - target_b, 0) > before:
            return
        for k, request in enumerate(free):
            (stay_a if subset >> k & 1 else stay_b).append(request)
        self.members[a], self.members[b] = stay_a, stay_b
        self.load[a], self.load[b] = load, both - load

    def _loosen(self, a: list[int], b: list[int]) -> tuple[list[int], list[int], list[int]]:
        """Choose the requests that may move, and those of either bin that stay."""
        extra = max(len(a) + len(b) - MOST_FREE, 0)
        drop = extra * len(a) // (len(a) + len(b)) if extra else 0
        self._mix_end(a, len(a) - drop)
        self._mix_end(b, len(b) - extra + drop)
        return a[drop:] + b[extra - drop :], a[:drop], b[: extra - drop]

    def _mix_end(self, requests: list[int], count: int) -> None:
        """Bring `count` requests, drawn at random, to the end of the list in random order."""
        for end in range(len(requests) - 1, len(requests) - 1 - count, -1):
            k = self.random.randrange(end + 1)
            requests[k], requests[end] = requests[end], requests[k]


class _Pool:
    """A set of bins with constant-time random choice, in a reproducible order."""

    def __init__(self, bins: Iterable[int]) -> None:
        self.items = list(bins)
        self.place = {b: k for k, b in enumerate(self.items)}

    def __len__(self) -> int:
        return len(self.items)

    def pick(self, rng: random.Random) -> int:
        return self.items[rng.randrange(len(self.items))]

    def keep(self, b: int, wanted: bool) -> None:
        if wanted and b not in self.place:
            self.place[b] = len(self.items)
            self.items.append(b)
        elif not wanted and b in self.place:
            hole, last = self.place.pop(b), self.items.pop()
            if last != b:
                self.items[hole] = last
                self.place[last] = hole
