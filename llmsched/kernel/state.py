"""The state of one engine, and the changes that keep it consistent: who has a slot, and who waits.

A slot is an entry of columns, one for each running sequence. The rules of admission and preemption
are those of vLLM's v1 scheduler unless a knob says otherwise.
"""

from __future__ import annotations

from heapq import heappush
from math import inf
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.kernel.blocks import UNBOUNDED, Cache, Rationed, Reserved
from llmsched.kernel.known import Known
from llmsched.kernel.prices import Price
from llmsched.kernel.queues import Queue
from llmsched.kernel.requests import REFUSED, Requests
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal
from llmsched.kernel.stalls import Stalls

SLOT_BITS = 24
"""Bits of a slot's number, in one integer with a number that orders slots."""

TOLERANCE_S = 1e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule."""

_SLOT_BITS = SLOT_BITS  # the same with a C type, as in each module that uses it
_TOLERANCE_S = TOLERANCE_S
_SLOT = (1 << SLOT_BITS) - 1


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
    shares, long_shares, long_prompt : int
        Prompts that share the budget of a step which may cut them, how many of them may be long,
        and the tokens beyond which one is; 1 share: none of this.
    most_requests, most_prompt_tokens : int
        Requests in the engine, and prompt tokens of those without a first token, at which a request
        that arrives is refused.
    """

    def __init__(
        self,
        slots: int,
        budget: int = UNBOUNDED,
        threshold: int = UNBOUNDED,
        first_chunk: bool = False,
        longest_remaining: bool = False,
        shares: int = 1,
        long_shares: int = 1,
        long_prompt: int = UNBOUNDED,
        most_requests: int = UNBOUNDED,
        most_prompt_tokens: int = UNBOUNDED,
    ) -> None:
        self.slots = slots
        self.budget = budget
        self.threshold = threshold
        self.first_chunk = first_chunk
        self.longest_remaining = longest_remaining
        self.shares = shares
        self.long_shares = long_shares
        self.long_prompt = long_prompt
        self.most_requests = most_requests
        self.most_prompt_tokens = most_prompt_tokens
        self.capped = min(most_requests, most_prompt_tokens) < UNBOUNDED


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
        """Hear of one more preemption without a token or an arrival since the one before it."""


class State(Requests):
    """Requests, slots, clocks and queues.

    Attributes
    ----------
    now : float
        Seconds: when the next step starts.
    step_end : float
        Seconds: when the last step ended, which is when clients leave.
    clock : int
        Decode rounds so far. A sequence that begins to decode at round r with m tokens to go
        finishes at round r + m, known at once.
    running, decoding, kv_tokens : int
        Sequences in slots, those of them that a round would advance, and the context these read.
    prompt_tokens : int
        Computed, of prompts begun and not finished.
    arrived, waiting : int
        Requests that have arrived, and those of them without a slot that have not finished.
    waiting_long : int
        Those waiting whose prompt is too long to share the budget at will; 0 where none is shared.
    partial : list of int
        Slots whose prompt has been begun and not finished, in order of admission.
    deadlines : list of (float, int)
        Heap of times at which clients leave and their requests, some of them served meanwhile.
    queued_tokens : int
        Prompt tokens of the requests that have arrived and not got a first token.
    just_left, just_begun : int
        Requests that left at the end of the last step, and the prompt tokens of which the first
        token came, or the client left, there. Whoever came during that step still met them.
    withdrawn : int
        Requests that the queue still holds and that will not be served.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__()
        self.knobs, self.price, self.cache, self.rows = knobs, price, cache, rows
        self.referee = referee
        self.rations = isinstance(cache, Rationed)
        self.reserves = self.rations or isinstance(cache, Reserved)
        self.sharing = knobs.shares > 1
        self.queue = Queue()
        self.foreign: Any = None  # somebody else's queue, in place of `queue`
        self.known: Known | None = None  # what policies know; None if they cannot look
        self.stalls: Stalls | None = None  # who wants to know of streams sets it before all else
        self.watched = False  # whether `slot_of` is kept
        self.slot_of: dict[int, int] = {}  # slots by running request
        self.now = 0.0
        self.clock = self.running = self.decoding = self.kv_tokens = self.prompt_tokens = 0
        self.arrived = 0
        self.waiting = 0  # counted here: what a queue says of itself decides nothing
        self.waiting_long = 0
        self.prompts_done = 0  # prefills so far that yielded a token
        self.last_round_end = self.step_end = 0.0
        self.partial: list[int] = []
        self.resuming: dict[int, int] = {}  # tokens to compute of preempted requests
        self.last_token: dict[int, float] = {}  # when theirs had come
        self.admissions: list[int] = []  # numbers that rise, and slots; some outdated
        self.admission_number = 0
        self.slots = 0
        self.free_slots: list[int] = []
        self.deadlines: list[tuple[float, int]] = []
        self.queued_tokens = self.just_left = self.just_begun = self.withdrawn = 0
        self._slots: dict[str, NDArray[Any]] = {}
        self._more_slots()

    def _more_slots(self) -> None:
        """Make twice as many slots."""
        first, self.slots = self.slots, max(64, 2 * self.slots)
        if self.slots > _SLOT:
            raise OverflowError("expected fewer than 2**24 sequences at once")

        def column(name: str, kind: type[np.generic] = np.int64) -> NDArray[Any]:
            new = np.zeros(self.slots, kind)
            new[:first] = self._slots.get(name, new)[:first]
            self._slots[name] = new
            return new

        self.request = ints(column("request"))
        self.admission = ints(column("admission"))  # entry in `admissions`; 0: it is free
        self.target = ints(column("target"))  # tokens to compute, then decode
        self.last = ints(column("last"))  # computed at the end
        self.computed = ints(column("computed"))  # while its prompt is not finished
        self.chunk = ints(column("chunk"))  # tokens of it in the step being made
        self.chunk_of = ints(column("chunk_of"))  # slots of that step, in order
        self.takes = ints(column("takes"))  # 1 while it takes a block in the round being made
        self.since = ints(column("since"))  # decode clock at its first round
        self.until = ints(column("until"))  # decode clock after its last; -1: not decoding
        self.ready_row = ints(column("ready_row"))  # that finished its prompt
        self.ready_end = floats(column("ready_end", np.float64))
        self.free_slots.extend(range(self.slots - 1, first - 1, -1))

    # Waiting.

    def arrive(self, request: int) -> None:
        """Let a request wait that arrives now."""
        self.now = max(self.now, self.arrival[request])
        self.arrived += 1
        if self.known is not None:
            self.tell(self.known)
        if self.knobs.capped and self.is_full(self.arrival[request]):
            self.status[request] = REFUSED
            self.finish[request] = self.now
            if self.foreign is not None:  # it may hold requests that it knew from the start
                self.foreign.push(request)
                self.withdraw(request)
            self.free_user()
            return
        self.queued_tokens += self.prompt[request]
        if self.impatient and self.timeout[request] < inf:
            heappush(self.deadlines, (self.arrival[request] + self.timeout[request], request))
        self.enqueue(request)

    def is_full(self, arrival: float) -> bool:
        """Whether a request that arrives then is refused, as by vLLM's `AsyncLLM.check_admission`.

        Who arrives during a step meets all whom it serves.
        """
        requests, tokens = self.waiting + self.running, self.queued_tokens
        if arrival < self.now - _TOLERANCE_S:
            requests += self.just_left
            tokens += self.just_begun
        return requests >= self.knobs.most_requests or tokens >= self.knobs.most_prompt_tokens

    def free_user(self) -> None:
        """Let the next request of a closed loop arrive now, if there is one."""
        if self.dated < self.submitted:
            assert self.dating is not None
            self.dating[self.dated] = self.now
            self.dated += 1

    def has_begun(self, request: int) -> None:
        """Count a prompt no longer among those without a first token."""
        self.queued_tokens -= self.prompt[request]
        self.just_begun += self.prompt[request]

    def tell(self, known: Known) -> None:
        """Let policies know of what has arrived, and of what arrives from here on."""
        self.known = known
        while known.count < self.arrived:
            request = known.count
            known.append(
                self.arrival[request],
                self.prompt[request],
                self.predicted[request],
                self.limit[request],
            )

    def enqueue(self, request: int) -> None:
        """Let a request wait that has arrived or was preempted."""
        self.waiting += 1
        if self.sharing:
            self.count_long(request, 1)
        if self.foreign is None:
            self.queue.push(request)
        else:
            self.foreign.push(request)

    def count_long(self, request: int, change: int) -> None:
        """Count a request that begins to wait, or with -1 one that waits no more, if it is long."""
        if self.need(request) > self.knobs.long_prompt:
            self.waiting_long += change

    def next_waiting(self) -> int:
        """Return the request that the queue offers, which does wait; -1 if it offers none."""
        if self.withdrawn:
            self.drop_withdrawn()
        if self.foreign is None:
            return self.queue.peek()
        offered: Any = self.foreign.peek()
        if (
            offered.__class__ is int
            and 0 <= offered < self.arrived
            and offered not in self.slot_of
            and self.finish[offered] != self.finish[offered]  # NaN: it has not finished
        ):
            return int(offered)
        return self.referee.offered(self, offered)

    def withdraw(self, request: int) -> None:
        """Tell the queue of a request that will not be served; else it is dropped as the next."""
        tell: Any = getattr(self.foreign, "withdraw", None)
        if tell is None:
            self.withdrawn += 1
        else:
            tell(request)

    def drop_withdrawn(self) -> None:
        """Take requests out at the head of the queue that will not be served."""
        queue: Any = self.queue if self.foreign is None else self.foreign
        while self.withdrawn:
            first: Any = queue.peek()
            if not isinstance(first, Integral) or not self.is_gone(int(first)):
                return
            popped: Any = queue.pop()
            if popped != first:
                self.referee.popped(self, popped, int(first))
            self.withdrawn -= 1
            if queue.release is not None:
                queue.release(first)

    def is_gone(self, request: int) -> bool:
        """Whether a request has arrived and was refused or aborted."""
        return 0 <= request < self.arrived and self.status[request] != 0

    def in_order(self) -> list[int]:
        """Return the waiting requests, the next one first."""
        if self.foreign is None:
            waiting: list[int] = self.queue.waiting()
            if self.withdrawn:
                waiting = [request for request in waiting if not self.is_gone(request)]
            return waiting
        return self.referee.in_order(self, self.foreign)

    def is_waiting(self, request: int) -> bool:
        """Whether a request that has arrived holds no slot and has not finished."""
        return self.slot(request) < 0 and not self.has_finished(request)

    def slot(self, request: int) -> int:
        """Return the slot of a request; -1 if it has none."""
        if self.watched:
            return self.slot_of.get(request, -1)
        for slot in range(self.slots):
            if self.admission[slot] and self.request[slot] == request:
                return slot
        return -1

    def need(self, request: int) -> int:
        """Tokens to compute of a waiting request before it decodes."""
        if self.resuming and request in self.resuming:
            return self.resuming[request]
        return self.prompt[request]

    def most(self, request: int) -> int:
        """Most tokens of a request, if any are reserved: its output's last one is not computed."""
        return self.prompt[request] + self.limit[request] - 1 if self.reserves else 0

    def fits(self, request: int) -> bool:
        """Whether a waiting request may be admitted with the room that there is now."""
        tokens = self.need(request)
        if self.knobs.first_chunk:
            tokens = min(tokens, self.knobs.threshold, self.knobs.budget)
        owed = self.owed() if self.rations else 0
        return self.cache.admits(request, tokens, self.most(request), self.clock, owed)

    def owed(self) -> int:
        """Blocks that an admission leaves to the running sequences for what they may yet become."""
        blocks = 0
        for slot in range(self.slots):
            if self.admission[slot]:
                most = self.most(self.request[slot])
                blocks += self.cache.owed(self.held_tokens(slot), most)
        return blocks

    def can_prefill(self) -> bool:
        """Whether a step with prefill would compute prompt tokens; see `Window.can_prefill`."""
        if self.partial:
            return True
        if not self.waiting or self.running >= self.knobs.slots:
            return False
        request = self.next_waiting()
        return request >= 0 and self.fits(request)

    def next_prefill_tokens(self) -> int:
        """Return the tokens to compute of the prompt that is next; see `Window`."""
        if self.partial:
            slot = self.partial[0]
            return self.target[slot] - self.computed[slot]
        request = self.next_waiting() if self.waiting else -1
        return 0 if request < 0 else self.need(request)

    # Running.

    def admit(self, request: int, tokens: int) -> int:
        """Give a waiting request a slot, and room for its first `tokens`; return the slot."""
        self.cache.admit(request, tokens, self.most(request))
        self.waiting -= 1
        if self.sharing:
            self.count_long(request, -1)
        self.running += 1
        if not self.free_slots:
            self._more_slots()
        slot = self.free_slots.pop()
        self.request[slot] = request
        self.target[slot] = self.need(request)
        self.last[slot] = self.prompt[request] + self.output[request] - 1
        self.computed[slot] = 0
        self.until[slot] = -1
        self.admission_number += 1
        number = (self.admission_number << _SLOT_BITS) + slot
        self.admission[slot] = number
        self.admissions.append(number)
        if len(self.admissions) > 2 * self.running + 64:
            self.admissions = self.in_slots()
        if self.watched:
            self.slot_of[request] = slot
        if self.admitted[request] != self.admitted[request]:  # NaN: not a resumption
            self.admitted[request] = self.now
        return slot

    def in_slots(self) -> list[int]:
        """Return the admissions of the running sequences in their order."""
        found = []
        for number in self.admissions:
            if self.admission[number & _SLOT] == number:
                found.append(number)  # noqa: PERF401  # in C the loop's variable has a type
        return found

    def sequences(self) -> list[tuple[int, int]]:
        """Return the running requests and their slots, in order of admission."""
        slots = [number & _SLOT for number in self.in_slots()]
        return [(self.request[slot], slot) for slot in slots]

    def decoded_tokens(self, slot: int) -> int:
        """Tokens of a decoding sequence whose KV has been computed."""
        return self.target[slot] + self.clock - self.since[slot]

    def is_begun(self, slot: int) -> bool:
        """Whether a running sequence's prompt is not finished."""
        return self.until[slot] < 0

    def generated(self, slot: int) -> int:
        """Output tokens of a running sequence so far."""
        prompt = self.prompt[self.request[slot]]
        if self.until[slot] < 0:
            return self.target[slot] - prompt
        return self.decoded_tokens(slot) + 1 - prompt

    def held_tokens(self, slot: int) -> int:
        """Tokens of a running sequence that have room in the KV cache."""
        if self.until[slot] < 0:
            return self.computed[slot] + self.chunk[slot]
        return self.decoded_tokens(slot)

    def stop_decoding(self, slot: int, tokens: int) -> None:
        """Take a sequence of `tokens` computed tokens out of the decode batch."""
        if self.stalls is not None:
            self.stalls.end(self.request[slot], self.since[slot], self.clock)
        self.until[slot] = -1
        self.decoding -= 1
        self.kv_tokens -= tokens
        self.cache.settle(tokens, self.clock)

    def leave(self, slot: int, tokens: int) -> None:
        """Free the slot and the room of a sequence of `tokens` tokens."""
        request = self.request[slot]
        self.running -= 1
        self.admission[slot] = 0
        self.free_slots.append(slot)
        self.cache.leave(request, tokens, self.most(request))
        if self.watched:
            del self.slot_of[request]
            if self.foreign is not None and self.foreign.release is not None:
                self.foreign.release(request)
