"""Who waits: requests that arrive, those that are turned away, and what the queue offers next."""

from __future__ import annotations

from heapq import heappush
from math import inf
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llmsched.kernel.blocks import UNBOUNDED
from llmsched.kernel.known import Known
from llmsched.kernel.queues import Queue
from llmsched.kernel.requests import REFUSED, Requests
from llmsched.kernel.rules import Proposal
from llmsched.kernel.turns import Turns

TOLERANCE_S = 0.5e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule. Traces
count whole nanoseconds, so that no two of their instants are that close."""

_TOLERANCE_S = TOLERANCE_S  # the same with a C type, as in each module that uses it


class Knobs:
    """The engine's limits, as plain numbers.

    Attributes
    ----------
    slots, budget, threshold : int
        Sequences at once, tokens of a step, prompt tokens of one sequence in a step where another
        runs or waits.
    adaptive : bool
        Whether the threshold is at least an even share of the budget for all of these.
    interval : int
        Steps from one with a prefill to the next, while anything decodes.
    first_chunk : bool
        Whether an admission needs room for its first chunk only.
    longest_remaining, least_urgent : bool
        Whether the victim is who has most predicted tokens to go, or the greatest priority, not who
        came last.
    ahead : bool
        Whether a step is scheduled when the one before it starts, not when that ends.
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
        least_urgent: bool = False,
        adaptive: bool = False,
        interval: int = 1,
        ahead: bool = False,
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
        self.least_urgent = least_urgent
        self.adaptive = adaptive
        self.interval = interval
        self.ahead = ahead
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

    def offered(self, state: Any, request: object) -> int:
        """Return the waiting request that a queue offers; -1 if none."""

    def popped(self, state: Any, popped: object, promised: int) -> None:
        """Refuse a queue that gives out another request than it promised."""

    def in_order(self, state: Any, queue: object) -> list[int]:
        """Return the waiting requests as somebody else's queue orders them."""

    def named(self, state: Any, request: int, what: str) -> None:
        """Refuse a step that names a request for what cannot be done with it."""

    def idle(self, state: Any, step: object) -> None:
        """Refuse a step that does nothing."""

    def preempted(self, state: Any, request: int) -> None:
        """Hear of one more preemption without a token or an arrival since the one before it."""


class Waiting(Requests):
    """Requests, and those of them that have arrived and have no slot.

    Attributes
    ----------
    now, seen : float
        Seconds: when the next step starts, and when it is scheduled: what comes later it cannot
        know. The same, unless a step is scheduled while the one before it is computed.
    arrived, waiting, running : int
        Requests that have arrived, those of them without a slot that have not left, and those with.
    waiting_long : int
        Those waiting whose prompt is too long to share the budget at will; 0 where none is shared.
    deadlines : list of (float, int)
        Heap of times at which clients leave and their requests, some of them served meanwhile.
    queued_tokens : int
        Prompt tokens of the requests that have arrived and not got a first token.
    just_left, just_begun : int
        Requests whose slots were freed at the end of the last step, and the prompt tokens of which
        the first token came, or the client left, there. Whoever came during that step still met
        them.
    unheard : int
        Prompt tokens of which the first token comes in a step that has not ended yet.
    withdrawn : int
        Requests that the queue still holds and that will not be served.
    """

    def __init__(self, knobs: Knobs, referee: Referee) -> None:
        super().__init__()
        self.knobs, self.referee = knobs, referee
        self.sharing = knobs.shares > 1
        self.queue = Queue()
        self.foreign: Any = None  # somebody else's queue, in place of `queue`
        self.turns: Turns | None = None  # who is yet to come, where some wait for others to end
        self.known: Known | None = None  # what policies know; None if they cannot look
        self.slot_of: dict[int, int] = {}  # slots by running request, where anybody looks
        self.resuming: dict[int, int] = {}  # tokens to compute of preempted requests
        self.deadlines: list[tuple[float, int]] = []
        self.now = self.seen = 0.0
        self.arrived = self.running = 0
        self.waiting = 0  # counted here: what a queue says of itself decides nothing
        self.waiting_long = 0
        self.queued_tokens = self.just_left = self.just_begun = self.withdrawn = 0
        self.unheard = 0

    def submit_turns(
        self,
        given: dict[str, NDArray[Any]],
        previous: NDArray[np.int64],
        delay: NDArray[np.float64],
    ) -> None:
        """Add requests some of which arrive when others end; see `Turns.add`.

        They are numbered as they arrive, `numbered` says which they are.
        """
        if self.turns is None:
            self._begin_turns()
        turns, n = self.turns, len(previous)
        assert turns is not None
        turns.add(given, previous, delay)
        nothing = np.zeros(n, np.int64)
        self._append("row", nothing)
        patient = np.isinf(given["timeout"]).all()
        self.submit(
            np.full(n, np.inf),
            *(nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy()),
            None if patient else np.full(n, np.inf),
            nothing.copy(),
        )
        turns.into(self._columns, self._columns["row"])
        self.place_next()

    def _begin_turns(self) -> None:
        """Let those who were submitted in order of arrival be rows like others."""
        n = self.submitted
        self.turns = Turns()
        if n:
            names = ("arrival", "prompt", "output", "predicted", "limit", "priority")
            given = {name: self._columns[name][:n] for name in names}
            given["earliest"] = given["arrival"]
            given["timeout"] = (
                self._columns["timeout"][:n] if self.impatient else np.full(n, np.inf)
            )
            self.turns.add(given, np.full(n, -1), np.zeros(n))
        self.turns.came = self.arrived
        self._columns["row"] = np.arange(n)

    def numbered(self) -> NDArray[np.int64] | None:
        """Return the row of each request by its number, written as they arrive; None: the same."""
        return self._columns["row"][: self.submitted] if self.turns is not None else None

    def place_next(self) -> None:
        """Let the request of the next number be who arrives next, if that is known."""
        if self.turns is not None:
            self.dated = self.arrived + self.turns.place(self.arrived)

    def arrive(self, request: int) -> None:
        """Let a request wait that arrives now."""
        self.now = max(self.now, self.arrival[request])
        self.seen = max(self.seen, self.arrival[request])
        self.arrived += 1
        if self.turns is not None:
            self.turns.take()
            self.place_next()
        if self.known is not None:
            self.tell(self.known)
        if self.knobs.capped and self.is_full(self.arrival[request]):
            self.status[request] = REFUSED
            self.finish[request] = self.now
            if self.foreign is not None:  # it may hold requests that it knew from the start
                self.foreign.push(request)
                self.withdraw(request)
            self.let_follow(request)
            return
        self.queued_tokens += self.prompt[request]
        if self.impatient and self.timeout[request] < inf:
            heappush(self.deadlines, (self.arrival[request] + self.timeout[request], request))
        self.enqueue(request)

    def is_full(self, arrival: float) -> bool:
        """Whether a request that arrives then is refused, as by vLLM's `AsyncLLM.check_admission`.

        Who arrives during a step meets all whom it serves.
        """
        requests, tokens = self.waiting + self.running, self.queued_tokens + self.unheard
        if arrival < self.seen - _TOLERANCE_S:
            requests += self.just_left
            tokens += self.just_begun
        return requests >= self.knobs.most_requests or tokens >= self.knobs.most_prompt_tokens

    def let_follow(self, request: int) -> None:
        """Let who waits for a request to end arrive: its session's next turn, or a free user's."""
        if self.turns is not None:
            refused = self.status[request] == REFUSED  # when it came, which may be during a step
            end = self.arrival[request] if refused else self.finish[request]
            self.turns.end(request, end)
            self.place_next()
        elif self.dated < self.submitted:
            assert self.dating is not None
            self.dating[self.dated] = self.now
            self.dated += 1

    def has_begun(self, request: int) -> None:
        """Count a prompt no longer among those without a first token."""
        self.queued_tokens -= self.prompt[request]
        if self.knobs.ahead:
            self.unheard += self.prompt[request]
        else:
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
                self.priority[request],
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

    def need(self, request: int) -> int:
        """Tokens to compute of a waiting request before it decodes."""
        if self.resuming and request in self.resuming:
            return self.resuming[request]
        return self.prompt[request]
