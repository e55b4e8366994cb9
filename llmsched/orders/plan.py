"""The offline plan's slot queues, with work stealing."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapify, heappop, heappush, heapreplace
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import ints
from llmsched.contract import Jobs, View
from llmsched.errors import InputError
from llmsched.packing import Packing, pack

PACKING_MOVES = 8_000
"""Repartitions that a packing may take: enough for the optimum of gsm8k-llama65b, 0.2 s there."""
LOOKAHEAD = 16
"""Requests of a slot, longest first, among which one with an aligned end is looked for."""

SMALL = 4_000
"""Requests up to which a packing is kept for all cases of a study, in 12 bytes a request."""


@dataclass(frozen=True)
class Plan:
    """Slot queues packed by the offline planner, longest request first within a slot.

    Requests known at time 0 are packed by their predicted decode rounds; later arrivals wait in one
    queue, longest first. A slot whose queue is empty takes from that queue, and then steals from
    the slot with most planned work.

    Attributes
    ----------
    steal : bool
        Whether an empty slot helps others. Without, this is a static assignment, which is how the
        abstract of arXiv 2502.15763 describes its offline part.
    align : int
        A slot prefers the request that would end at most this many rounds before the predicted end
        of some running one, so that both are followed by one prefill stage; -1 never does.
    tolerance : float
        Share of the planned makespan by which a request may miss its predicted length before the
        plan counts as broken and the rest is list-scheduled, longest first. Slot queues amplify
        errors: a slot that runs late delays all it holds.
    """

    steal: bool = True
    align: int = 2
    tolerance: float = 0.01

    needs: ClassVar[str] = "predicted lengths"

    def __post_init__(self) -> None:
        if self.align < -1:
            raise InputError(f"align: expected an integer >= -1, got {self.align}")
        if not self.tolerance >= 0:
            raise InputError(f"tolerance: expected a number >= 0, got {self.tolerance}")

    def queue(self, jobs: Jobs, view: View) -> PlanQueue:
        return PlanQueue(self, jobs, view)


class _Choice(NamedTuple):
    request: int
    slot: int = -1
    owner: int = -1  # slot whose queue holds the request; -1: the queue of unplanned ones
    at: int = 0  # position in that queue


_NOBODY = _Choice(-1)


class PlanQueue:
    """Waiting requests by slot. Slots are the plan's: the engine only counts them.

    Requests that are known at time 0 come first in the trace, and their lengths are read at once;
    those of others when they are pushed.
    """

    def __init__(self, plan: Plan, jobs: Jobs, view: View) -> None:
        slots = jobs.config.max_num_seqs
        self.release: Callable[[int], None] | None = self._release
        self._plan, self._jobs, self._view = plan, jobs, view
        self._planned = int(np.count_nonzero(jobs.arrival <= 0))
        rounds = jobs.predicted_output_tokens[: self._planned] - 1
        self._rounds = ints(rounds)  # of the planned ones
        self._own, self._load, self._horizon = _slot_queues(rounds, slots)
        # Heap of (-load, slot): loads only fall, so an entry is at worst too high, and is mended
        # when it comes to the top.
        self._most = [(-load, slot) for slot, load in enumerate(self._load)]
        heapify(self._most)
        self._broken = False
        self._waiting = 0
        self._pool: list[tuple[int, int]] = []  # heap of (-rounds, request), not planned
        self._served = bytearray(self._planned)  # whether a planned one has had a slot
        self._running: dict[int, tuple[int, int]] = {}  # slot, and predicted end as decode clock
        self._idle: list[tuple[int, bool, int]] = []  # heap: most work first, then any at all
        for slot in range(slots):
            self._vacate(slot)
        self._ends: list[int] = []  # predicted ends of running requests, as decode clocks
        self._deadline: dict[int, int] = {}  # when an idle slot's share of slack is spent
        self._choice: _Choice | None = None

    def __len__(self) -> int:
        return self._waiting

    def push(self, request: int) -> None:
        self._waiting += 1
        self._choice = None
        if request < self._planned and not self._served[request]:
            return  # its slot's queue holds it from the start
        heappush(self._pool, (1 - int(self._jobs.predicted_output_tokens[request]), request))

    def peek(self) -> int:
        if self._choice is None:
            self._choice = self._choose()
        return self._choice.request

    def pop(self) -> int:
        self.peek()
        assert self._choice is not None
        return self._take(self._choice)

    def waiting(self) -> list[int]:
        """Return those whom the idle slots would take now, in turn, then the rest, longest first.

        A rule that names one of the rest, or passes over those before it, takes from the slots of
        others, as stealing does.
        """
        shared = (self._plan, self._jobs, self._view, self._rounds)
        ahead = deepcopy(self, {id(each): each for each in shared})
        order = []
        while ahead.peek() >= 0:
            order.append(ahead.pop())
        if not ahead._waiting:
            return order
        rest = [(-self._rounds[request], request) for own in ahead._own for request in own]
        return order + [request for _, request in sorted(rest + ahead._pool)]

    def remove(self, request: int) -> None:
        """Remove a request by name, which takes a slot now: its own if that is idle."""
        owner = next((slot for slot, own in enumerate(self._own) if request in own), -1)
        if owner < 0:
            at = next(at for at, (_, other) in enumerate(self._pool) if other == request)
        else:
            at = self._own[owner].index(request)
        slots = [slot for *_, slot in self._idle]
        self._take(_Choice(request, owner if owner in slots else slots[0], owner, at))

    def _take(self, choice: _Choice) -> int:
        """Let a request go to a slot."""
        request, slot, owner, at = choice
        self._choice = None
        if owner < 0:
            rounds = -_taken(self._pool, at)[0]
        else:
            del self._own[owner][at]
            rounds = self._rounds[request]
            self._load[owner] -= rounds
        if request < self._planned:  # from its slot's queue, or since the plan was given up
            self._served[request] = True
        self._waiting -= 1
        _taken(self._idle, next(i for i, entry in enumerate(self._idle) if entry[-1] == slot))
        self._deadline.pop(slot, None)
        clock, ends = self._view.clock, self._ends
        self._running[request] = slot, clock + rounds
        del ends[: bisect_left(ends, clock + 1)]
        insort(ends, clock + rounds)
        return request

    def withdraw(self, request: int) -> None:
        """Forget a request that waited and will not be served."""
        self._waiting -= 1
        self._choice = None
        for owner, own in enumerate(self._own):
            if request in own:
                own.remove(request)
                self._load[owner] -= self._rounds[request]
                self._served[request] = True
                self._idle = [(-self._load[s], not self._own[s], s) for *_, s in self._idle]
                heapify(self._idle)
                return
        self._pool = [entry for entry in self._pool if entry[1] != request]
        heapify(self._pool)

    def patience(self, extra: int) -> int | None:
        """Return the rounds that the idle slots can wait for their next prefill at no price.

        A planned slot has slack until the plan's horizon plus `extra` rounds; it spends it evenly
        over the requests it still has to run. Helping another slot is urgent. Without a plan (none
        made, or broken) slots have no prices of their own, and the answer is None.
        """
        if self._broken or not self._planned or self._pool:
            return None
        clock, least = self._view.clock, None
        for *_, slot in self._idle:
            if not self._own[slot]:
                continue
            if slot not in self._deadline:
                slack = self._horizon + extra - clock - self._load[slot]
                self._deadline[slot] = clock + max(0, slack // len(self._own[slot]))
            # Spent, and more, where the KV cache was full or earlier chunks ran meanwhile.
            left = max(0, self._deadline[slot] - clock)
            least = left if least is None else min(least, left)
        return least or 0

    def _choose(self) -> _Choice:
        """Serve the idle slot with most planned work, from its own queue if it has one."""
        if not self._idle or not self._waiting:
            return _NOBODY
        slot = self._idle[0][-1]
        if self._own[slot]:
            return self._aligned(slot, slot)
        if self._pool:
            return _Choice(self._pool[0][1], slot)
        if not self._plan.steal:
            return _NOBODY
        return self._aligned(slot, self._richest())

    def _richest(self) -> int:
        """Return the slot with most planned work that has any; of equals the first."""
        most, load = self._most, self._load
        while True:
            least, slot = most[0]
            if not self._own[slot]:
                heappop(most)
            elif -least == load[slot]:
                return slot
            else:
                heapreplace(most, (-load[slot], slot))

    def _aligned(self, slot: int, owner: int) -> _Choice:
        """Choose from a slot's queue: the longest, or one that ends together with others."""
        own, rounds, ends = self._own[owner], self._rounds, self._ends
        clock, count = self._view.clock, len(ends)
        first = bisect_left(ends, clock + 1)
        best, pick = self._plan.align + 1, len(own) - 1
        for at in range(len(own) - 1, max(-1, len(own) - 1 - LOOKAHEAD), -1):
            if not best:
                break
            end = clock + rounds[own[at]]
            later = bisect_left(ends, end, first)
            if later < count and ends[later] - end < best:
                best, pick = ends[later] - end, at
        return _Choice(own[pick], slot, owner, pick)

    def _release(self, request: int) -> None:
        slot, end = self._running.pop(request)
        self._vacate(slot)
        self._choice = None
        if not self._broken and self._planned and self._plan.steal:
            missed = self._view.clock - end
            if abs(missed) > self._plan.tolerance * self._horizon + 1:
                self._break()

    def _vacate(self, slot: int) -> None:
        heappush(self._idle, (-self._load[slot], not self._own[slot], slot))

    def _break(self) -> None:
        """Give up the plan: what still waits is scheduled as a list, longest first."""
        self._broken = True
        for own in self._own:
            self._pool.extend((-self._rounds[request], request) for request in own)
            own.clear()
        heapify(self._pool)


_Entry = TypeVar("_Entry", bound=tuple[int, ...])


def _taken(heap: list[_Entry], at: int) -> _Entry:
    """Take an entry out of a heap, which most often is the first."""
    if not at:
        return heappop(heap)
    entry = heap.pop(at)
    heapify(heap)
    return entry


def _slot_queues(rounds: NDArray[np.int64], slots: int) -> tuple[list[list[int]], list[int], int]:
    """Return each slot's requests (shortest first: taken from the end), loads, and the makespan."""
    own: list[list[int]] = [[] for _ in range(slots)]
    if not len(rounds):
        return own, [0] * slots, 0
    packed = _packed_small if len(rounds) <= SMALL else _packed_large
    packing = packed(rounds.tobytes(), slots)
    for i in np.argsort(-rounds, kind="stable")[::-1].tolist():
        own[packing.bin_of[i]].append(i)
    return own, packing.load.tolist(), packing.makespan


def _packed(rounds: bytes, slots: int) -> Packing:
    """Pack once for all replays of the same requests."""
    return pack(
        np.frombuffer(rounds, dtype=np.int64), slots, solver="heuristic", moves=PACKING_MOVES
    )


_packed_small = lru_cache(maxsize=512)(_packed)
_packed_large = lru_cache(maxsize=4)(_packed)
