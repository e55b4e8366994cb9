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

FAR = 2**62
"""Beyond all sums."""
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
    values: Sequence[int], low: int, high: int, rng: random.Random
) -> tuple[int, int]:
    """Choose a subset of `values` whose sum lies in `low`..`high`, or as near to it as any does.

    Where several subsets lie in the window, each is equally likely. Returns the subset as a bit
    mask, and its sum. Exact, by meeting in the middle (Horowitz and Sahni, 1974): the sums of one
    half are sorted, and each sum of the other half looks up its partners.
    """
    half = len(values) // 2
    lefts, rights = (1 << half) + 2, 1 << len(values) - half
    sums = _halves(len(values)) @ np.array([*values, low, high + 1, FAR])
    order = sums[:lefts].argsort(kind="stable")
    left, edge = sums[order], sums[lefts:]
    place = left.searchsorted(edge)
    first = place[:rights]
    upto = np.add.accumulate(place[rights:] - first)
    if total := int(upto[-1]):
        draw = rng.randrange(total)
        r = int(upto.searchsorted(draw, "right"))
        k = int(place[rights + r]) + draw - int(upto[r])
    else:  # each right sum has one partner just above the window and one just below it
        above, below = left[first] - edge[:rights], left[first - 1] - edge[:rights]
        up, down = int(above.argmin()), int(below.argmax())
        is_above = int(above[up]) - (high - low) < -int(below[down])
        r = up if is_above else down
        k = int(first[r]) - (not is_above)
    return int(order[k]) | r << half, int(left[k] - edge[r]) + low


@cache
def _halves(size: int) -> NDArray[np.int64]:
    """Return the matrix that takes values and a window to what :func:`choose_subset` looks up.

    It is multiplied by `size` values, the window's low end, the one above its high end, and `FAR`.
    First come the sums of the left half and -FAR and FAR around them, then for each sum of the
    right half what is left to the low end, and to the high one.
    """
    half = size // 2
    left, right = _subsets(half), _subsets(size - half)
    matrix = np.zeros((len(left) + 2 + 2 * len(right), size + 3), dtype=np.int64)
    matrix[: len(left), :half] = left
    matrix[len(left) : len(left) + 2, -1] = -1, 1
    for end, rows in zip((-3, -2), np.split(matrix[len(left) + 2 :], 2), strict=True):
        rows[:, half:size], rows[:, end] = -right, 1
    return matrix


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
        """Split two bins anew; as they are is one of the choices, so the excess does not grow."""
        durations, both = self.durations, self.load[a] + self.load[b]
        mine, free = self._loosen(a, b)
        if not free:
            return
        values = [durations[i] for i in free]
        base = self.load[a] - sum(values[:mine])  # what stays in bin a
        low, high = sorted((target_a, both - target_b))  # no split has less excess than these
        subset, load = choose_subset(values, low - base, high - base, self.random)
        stay_a, stay_b = self.members[a], self.members[b]
        for request in free:
            (stay_a if subset & 1 else stay_b).append(request)
            subset >>= 1
        self.load[a], self.load[b] = base + load, both - base - load

    def _loosen(self, a: int, b: int) -> tuple[int, list[int]]:
        """Take out of both bins the requests that may move; return the count of a's, and all."""
        in_a, in_b = self.members[a], self.members[b]
        extra = max(len(in_a) + len(in_b) - MOST_FREE, 0)
        drop = extra * len(in_a) // (len(in_a) + len(in_b)) if extra else 0
        free_a = self._take(in_a, len(in_a) - drop)
        return len(free_a), free_a + self._take(in_b, len(in_b) - extra + drop)

    def _take(self, requests: list[int], count: int) -> list[int]:
        """Take `count` requests, drawn at random, off the list in random order."""
        bits = self.random.getrandbits
        for size in range(len(requests), len(requests) - count, -1):
            width = size.bit_length()
            k = bits(width)
            while k >= size:  # as randrange(size) does, which costs three times as much
                k = bits(width)
            requests[k], requests[size - 1] = requests[size - 1], requests[k]
        kept = len(requests) - count
        taken = requests[kept:]
        del requests[kept:]
        return taken


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
