"""Heuristics on whole bins: longest first, and exact repartition of two bins by subset sums."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Sequence

MOST_FREE = 64
"""Requests that one repartition may move; with more in the two bins, a sample of them moves."""


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


def split(
    requests: Sequence[int], durations: Sequence[int], low: int, high: int, rng: random.Random
) -> tuple[list[int], list[int]]:
    """Split `requests` in two so that the first part sums to a value in `low`..`high`.

    A random reachable sum in the window, or else the reachable sum nearest to it; among the
    subsets with that sum a random one. Reachable sums are the bits of one integer: bit s of
    ``reach[k]`` says whether some of the first k requests sum to s.
    """
    reach = [1]
    for request in requests:
        reach.append(reach[-1] | reach[-1] << durations[request])
    total = _choose_sum(reach[-1], low, high, rng)
    first: list[int] = []
    second: list[int] = []
    for k in range(len(requests) - 1, -1, -1):
        rest = total - durations[requests[k]]
        may_take = rest >= 0 and reach[k] >> rest & 1
        may_leave = reach[k] >> total & 1
        if may_take and not (may_leave and rng.random() < 0.5):
            first.append(requests[k])
            total = rest
        else:
            second.append(requests[k])
    return first, second


def _choose_sum(reach: int, low: int, high: int, rng: random.Random) -> int:
    window = reach >> low & (1 << high - low + 1) - 1
    if window:
        offset = rng.randrange(high - low + 1)
        above = window >> offset
        return low + (offset + _lowest_bit(above) if above else window.bit_length() - 1)
    below = (reach & (1 << low) - 1).bit_length() - 1
    above = reach >> high + 1
    if not above:
        return below
    nearest_above = high + 1 + _lowest_bit(above)
    if below < 0 or nearest_above - high < low - below:
        return nearest_above
    return below


def _lowest_bit(word: int) -> int:
    return (word & -word).bit_length() - 1


class Repartition:
    """Local search for a makespan of at most `target`, by repartition of two bins at a time.

    A move takes a bin above the target and another bin, and splits the requests of both anew so
    that their joint excess over the target is as small as it can be. Moves that leave the excess
    as it was are accepted too: they walk along the plateau and gather slack, scattered over many
    bins in single units, where it can serve. The search is deterministic for a given `seed`.
    """

    def __init__(self, durations: Sequence[int], members: list[list[int]], seed: int) -> None:
        self.durations = durations
        self.members = members
        self.load = [sum(durations[i] for i in bin) for bin in members]
        self.rng = random.Random(seed)

    @property
    def makespan(self) -> int:
        """Load of the fullest bin."""
        return max(self.load)

    def run(self, target: int, moves: int) -> int:
        """Make moves until no bin is above `target` or `moves` are made; return the moves left."""
        above = _Pool(b for b, load in enumerate(self.load) if load > target)
        bins = len(self.load)
        while above and moves > 0 and bins > 1:
            moves -= 1
            a = above.pick(self.rng) if self.rng.random() < 0.7 else self.rng.randrange(bins)
            b = self.rng.randrange(bins - 1)
            b += b >= a
            self._move(a, b, target)
            for bin in (a, b):
                above.keep(bin, self.load[bin] > target)
        return moves

    def _move(self, a: int, b: int, target: int) -> None:
        free_a, fixed_a = self._loosen(self.members[a])
        free_b, fixed_b = self._loosen(self.members[b])
        both = self.load[a] + self.load[b]
        base = sum(self.durations[i] for i in fixed_a)
        room = both - base - sum(self.durations[i] for i in fixed_b)
        low, high = sorted((target, both - target))  # within these loads no split has less excess
        low, high = (min(max(end - base, 0), room) for end in (low, high))
        free = free_a + free_b
        self.rng.shuffle(free)
        first, second = split(free, self.durations, low, high, self.rng)
        load = base + sum(self.durations[i] for i in first)
        before = max(self.load[a] - target, 0) + max(self.load[b] - target, 0)
        if max(load - target, 0) + max(both - load - target, 0) <= before:
            self.members[a], self.members[b] = fixed_a + first, fixed_b + second
            self.load[a], self.load[b] = load, both - load

    def _loosen(self, requests: list[int]) -> tuple[list[int], list[int]]:
        if len(requests) <= MOST_FREE // 2:
            return list(requests), []
        mixed = self.rng.sample(requests, len(requests))
        return mixed[: MOST_FREE // 2], mixed[MOST_FREE // 2 :]


class _Pool:
    """A set of bins with constant-time random choice in a reproducible order."""

    def __init__(self, bins: Iterable[int]) -> None:
        self.items: list[int] = list(bins)
        self.place = {bin: k for k, bin in enumerate(self.items)}

    def __len__(self) -> int:
        return len(self.items)

    def pick(self, rng: random.Random) -> int:
        return self.items[rng.randrange(len(self.items))]

    def keep(self, bin: int, wanted: bool) -> None:
        if wanted and bin not in self.place:
            self.place[bin] = len(self.items)
            self.items.append(bin)
        elif not wanted and bin in self.place:
            hole, last = self.place.pop(bin), self.items.pop()
            if last != bin:
                self.items[hole] = last
                self.place[last] = hole
