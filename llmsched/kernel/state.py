"""The state of one engine, and the changes that keep it consistent: who has a slot, and who waits.

A slot is an entry of columns, one for each running sequence. The rules of admission and preemption
are those of vLLM's v1 scheduler unless a knob says otherwise.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.kernel.blocks import UNBOUNDED, Cache
from llmsched.kernel.known import Known
from llmsched.kernel.prices import Price
from llmsched.kernel.queues import Queue
from llmsched.kernel.requests import Requests
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal

_SLOT = ("computed", "chunk", "since", "until", "target", "last")


class Knobs:
    """The engine's limits, as plain numbers.

    Attributes
    ----------
    slots, budget, threshold : int
        Sequences at once, tokens of a step, prompt tokens of one sequence in a step.
    first_chunk : bool
        Whether an admission needs room for its first chunk only.
    longest_remaining : bool
        Whether the victim is who has most predicted tokens to go, not who came last.
    """

    def __init__(
        self,
        slots: int,
        budget: int = UNBOUNDED,
        threshold: int = UNBOUNDED,
        first_chunk: bool = False,
        longest_remaining: bool = False,
    ) -> None:
        self.slots = slots
        self.budget = budget
        self.threshold = threshold
        self.first_chunk = first_chunk
        self.longest_remaining = longest_remaining


class Referee(Protocol):
    """Asked where a policy's word cannot be taken for it: raises, or says what it amounts to."""

    def proposal(self, step: object) -> Proposal:
        """Return what a rule's step amounts to."""

    def offered(self, state: State, request: object) -> int:
        """Return the waiting request that a queue offers; -1 if none."""

    def popped(self, state: State, popped: object, promised: int) -> None:
        """Refuse a queue that gives out another request than it promised."""

    def in_order(self, state: State, queue: object) -> list[int]:
        """Return the waiting requests as somebody else's queue orders them."""

    def named(self, state: State, request: int, what: str) -> None:
        """Refuse a step that names a request for what cannot be done with it."""

    def idle(self, state: State, step: object) -> None:
        """Refuse a step that does nothing."""

    def preempted(self, state: State, request: int) -> None:
        """Hear of a preemption, and stop one that comes back for ever."""


class State(Requests):
    """Requests, slots, clocks and queues.

    Attributes
    ----------
    now : float
        Seconds: when the next step starts.
    clock : int
        Decode rounds so far. A sequence that begins to decode at round r with m tokens to go
        finishes at round r + m, known at once.
    decoding, kv_tokens : int
        Sequences that a round would advance, and the context that they read.
    prompt_tokens : int
        Computed, of prompts begun and not finished.
    arrived, waiting : int
        Requests that have arrived, and those of them without a slot that have not finished.
    running, partial : dict of int to int
        Slots by request, in order of admission: all, and those whose prompt is not finished.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__()
        self.knobs, self.price, self.cache, self.rows = knobs, price, cache, rows
        self.referee = referee
        self.known: Known | None = None  # what policies know; None if they cannot look
        self.queue = Queue()
        self.foreign: Any = None  # somebody else's queue, in place of `queue`
        self.labels: list[str] = []  # job classes of the requests, if there are any
        self.now = 0.0
        self.clock = self.decoding = self.kv_tokens = self.prompt_tokens = 0
        self.arrived = 0
        self.waiting = 0  # counted here: what a queue says of itself decides nothing
        self.preempted = 0  # preemptions so far
        self.prompts_done = 0  # prefills so far that yielded a token
        self.last_round_end = 0.0
        self.running: dict[int, int] = {}
        self.partial: dict[int, int] = {}
        self.resuming: dict[int, int] = {}  # tokens to compute of preempted requests
        self.last_token: dict[int, float] = {}  # when theirs had come
        self.begun_by_length: list[tuple[int, int, int]] = []  # heaps of victims, some outdated
        self.decoding_by_length: list[tuple[int, int, int]] = []
        self.admissions = 0
        self.slots = 0
        self.free_slots: list[int] = []
        self._slots: dict[str, NDArray[Any]] = {}
        self._more_slots()

    def _more_slots(self) -> None:
        """Make twice as many slots, within memory of those that there are."""
        first, self.slots = self.slots, max(64, 2 * self.slots)
        for name in (*_SLOT, "ready_end", "ready_row", "admission"):
            new = np.zeros(self.slots, np.float64 if name == "ready_end" else np.int64)
            new[:first] = self._slots.get(name, new)[:first]
            self._slots[name] = new
        columns = self._slots
        self.computed = ints(columns["computed"])  # while its prompt is not finished
        self.chunk = ints(columns["chunk"])  # tokens of it in the step being made
        self.target = ints(columns["target"])  # tokens to compute, then decode
        self.last = ints(columns["last"])  # computed at the end
        self.since = ints(columns["since"])  # decode clock at its first round
        self.until = ints(columns["until"])  # decode clock after its last; -1: not decoding
        self.ready_row = ints(columns["ready_row"])  # that finished its prompt
        self.ready_end = floats(columns["ready_end"])
        self.admission = ints(columns["admission"])  # a number that rises
        self.free_slots.extend(range(self.slots - 1, first - 1, -1))

    # Waiting.

    def arrive(self, request: int) -> None:
        """Let a request wait that arrives now."""
        self.now = max(self.now, self.arrival[request])
        self.arrived += 1
        if self.known is not None and request == self.known.count:
            if self.labels:
                self.known.labels.append(self.labels[request])
            self.known.append(
                self.arrival[request],
                self.prompt[request],
                self.predicted[request],
                self.limit[request],
            )
        self.enqueue(request)

    def enqueue(self, request: int) -> None:
        """Let a request wait that has arrived or was preempted."""
        self.waiting += 1
        if self.foreign is None:
            self.queue.push(request)
        else:
            self.foreign.push(request)

    def next_waiting(self) -> int:
        """Return the request that the queue offers, which does wait; -1 if it offers none."""
        if self.foreign is None:
            return self.queue.peek()
        offered: Any = self.foreign.peek()
        if offered.__class__ is int and 0 <= offered < self.arrived and self.is_waiting(offered):
            return int(offered)
        return int(self.referee.offered(self, offered))

    def in_order(self) -> list[int]:
        """Return the waiting requests, the next one first."""
        if self.foreign is None:
            return self.queue.waiting()
        return self.referee.in_order(self, self.foreign)

    def is_waiting(self, request: int) -> bool:
        """Whether a request that has arrived holds no slot and has not finished."""
        return request not in self.running and not self.has_finished(request)

    def need(self, request: int) -> int:
        """Tokens to compute of a waiting request before it decodes."""
        if self.resuming and request in self.resuming:
            return self.resuming[request]
        return self.prompt[request]

    def most(self, request: int) -> int:
        """Tokens that a request may come to: the output's last one is never computed."""
        return self.prompt[request] + self.limit[request] - 1

    def fits(self, request: int) -> bool:
        """Whether a waiting request may be admitted with the room that there is now."""
        tokens = self.need(request)
        if self.knobs.first_chunk:
            tokens = min(tokens, self.knobs.threshold, self.knobs.budget)
        return self.cache.admits(request, tokens, self.most(request), self.clock)

    def can_prefill(self) -> bool:
        """Whether a step with prefill would compute prompt tokens; see `View.can_prefill`."""
        if self.partial:
            return True
        if not self.waiting or len(self.running) >= self.knobs.slots:
            return False
        request = self.next_waiting()
        return request >= 0 and self.fits(request)

    def next_prefill_tokens(self) -> int:
        """Return the tokens to compute of the prompt that is next; see `View`."""
        for slot in self.partial.values():
            return self.target[slot] - self.computed[slot]
        request = self.next_waiting() if self.waiting else -1
        return 0 if request < 0 else self.need(request)

    # Running.

    def admit(self, request: int, tokens: int) -> int:
        """Give a waiting request a slot, and room for its first `tokens`; return the slot."""
        self.cache.admit(request, tokens, self.most(request))
        self.waiting -= 1
        if not self.free_slots:
            self._more_slots()
        slot: int = self.free_slots.pop()
        self.target[slot] = self.need(request)
        self.last[slot] = self.prompt[request] + self.output[request] - 1
        self.computed[slot] = 0
        self.until[slot] = -1
        self.admissions += 1
        self.admission[slot] = self.admissions
        self.running[request] = self.partial[request] = slot
        if self.admitted[request] != self.admitted[request]:  # NaN: not a resumption
            self.admitted[request] = self.now
        self.rank_victim(request, slot)
        return slot

    def decoded_tokens(self, slot: int) -> int:
        """Tokens of a decoding sequence whose KV has been computed."""
        return self.target[slot] + self.clock - self.since[slot]

    def generated(self, request: int, slot: int) -> int:
        """Output tokens of a running sequence so far."""
        if self.until[slot] < 0:
            return self.target[slot] - self.prompt[request]
        return self.decoded_tokens(slot) + 1 - self.prompt[request]

    def held_tokens(self, slot: int) -> int:
        """Tokens of a running sequence that have room in the KV cache."""
        if self.until[slot] < 0:
            return self.computed[slot] + self.chunk[slot]
        return self.decoded_tokens(slot)

    def stop_decoding(self, slot: int, tokens: int) -> None:
        """Take a sequence of `tokens` computed tokens out of the decode batch."""
        self.until[slot] = -1
        self.decoding -= 1
        self.kv_tokens -= tokens
        self.cache.settle(tokens, self.clock)

    def leave(self, request: int, slot: int, tokens: int) -> None:
        """Free the slot and the room of a sequence of `tokens` tokens."""
        del self.running[request]
        self.cache.leave(request, tokens, self.most(request))
        self.free_slots.append(slot)
        if self.foreign is not None and self.foreign.release is not None:
            self.foreign.release(request)

    # Preemption.

    def extend(self, request: int, slot: int, tokens: int) -> bool:
        """Give a begun prompt the room for `tokens` more tokens; preempt others for it.

        Returns False if the request had to be preempted itself.
        """
        held = self.computed[slot]
        while not self.cache.extend(request, held, tokens, self.clock):
            victim = self.victim()
            self.preempt(victim)
            if victim == request:
                return False
        return True

    def make_room(self) -> bool:
        """Preempt until the free blocks suffice for the next decode round.

        Walks the running sequences in order, as the real engine does: the first ones take the free
        blocks, and where none is left a victim gives up its own.

        Returns whether anything was preempted.
        """
        cache = self.cache
        if cache.demand(self.clock) <= cache.free:
            return False
        takers: set[int] = set()
        for request, slot in list(self.running.items()):
            if self.until[slot] < 0:
                continue
            if not cache.grows(self.decoded_tokens(slot)):
                continue
            takers.add(request)
            while request in takers and len(takers) > cache.free:
                victim = self.victim()
                takers.discard(victim)
                self.preempt(victim)
        return True

    def preempt(self, request: int) -> None:
        """Take a running request's slot and room; it waits again and recomputes what it had."""
        slot: int = self.running[request]
        held = tokens = self.held_tokens(slot)
        if self.until[slot] < 0:
            tokens = self.computed[slot]
            self.chunk[slot] = 0
            del self.partial[request]
            self.prompt_tokens -= tokens
        else:
            if self.since[slot] < self.clock:
                self.last_token[request] = self.last_round_end
            else:  # it never decoded: its last token is the one its prefill emitted
                self.last_token[request] = self.ready_end[slot]
                self.rows.withdrawn.append(self.ready_row[slot])
            self.stop_decoding(slot, tokens)
            self.resuming[request] = tokens + 1  # its newest token has no KV yet
        self.preemptions[request] += 1
        self.recomputed[request] += tokens
        self.leave(request, slot, held)
        self.enqueue(request)
        self.preempted += 1
        self.referee.preempted(self, request)

    def victim(self) -> int:
        """Return who is preempted next: who came last, or has most predicted tokens to go.

        Of two with as many to go it is the one that came later.
        """
        if not self.knobs.longest_remaining:
            return next(reversed(self.running))
        begun = self._longest(self.begun_by_length, decoding=False)
        best = self._longest(self.decoding_by_length, decoding=True)
        if best is None or (
            begun is not None
            and (begun[0], begun[1]) < (best[0] + self.clock, best[1])  # each round, one token less
        ):
            best = begun
        assert best is not None
        return best[2]

    def _longest(
        self, heap: list[tuple[int, int, int]], decoding: bool
    ) -> tuple[int, int, int] | None:
        """Return the top of a heap of victims, once those are gone that are none any more."""
        while heap:
            _, admission, request = heap[0]
            slot = self.running.get(request, -1)
            current = slot >= 0 and self.admission[slot] == -admission
            if current and (self.until[slot] >= 0) == decoding:
                return heap[0]
            heappop(heap)
        return None

    def rank_victim(self, request: int, slot: int) -> None:
        """Note the predicted tokens to go of a sequence that is admitted, or begins to decode.

        A decoding one's are noted as of round 0, so that no round changes their order.
        """
        if not self.knobs.longest_remaining:
            return
        left = self.predicted[request] - self.generated(request, slot)
        if self.until[slot] < 0:
            heappush(self.begun_by_length, (-left, -self.admission[slot], request))
        else:
            left += self.clock
            heappush(self.decoding_by_length, (-left, -self.admission[slot], request))
