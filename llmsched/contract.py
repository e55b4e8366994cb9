"""What a policy and the engine promise each other: who is next, what is next, and what they see.

A policy is an *order* (who is next) and a *batching rule* (what is next). Policies propose, the
engine disposes: it checks what they return (`llmsched.engine.referee`), and hands out its state as
a `View` that nothing can be changed through, and that shows nothing of what has not arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile, StepTime
from llmsched.kernel.known import Known, Seen, ledger
from llmsched.kernel.state import State
from llmsched.kernel.window import Sequence, Window
from llmsched.trace import MAX_TOKENS

__all__ = [
    "DECODE",
    "MIXED",
    "PREFILL",
    "BatchingRule",
    "Decide",
    "Jobs",
    "OfflinePhase",
    "Order",
    "Policy",
    "Sequence",
    "Step",
    "View",
    "WaitingQueue",
]


@dataclass(frozen=True, slots=True)
class Step:
    """One proposal of a batching rule. The order says *who* is next, a step says *what* is next.

    Attributes
    ----------
    prefill : bool
        Compute prompt tokens: first of prompts already begun, then of waiting requests, taken in
        queue order while slots, token budget and KV blocks last.
    decode : bool
        Let every decoding sequence gain one token. With `prefill`, the step is mixed, and the
        decodes come first in the token budget.
    rounds : int or None
        For decode alone: ask the rule again after this many rounds at the latest. None: at the next
        event (a finish, an arrival while a slot is idle, KV blocks running out).
    heed_arrivals : bool
        Whether any arrival is such an event: for rules that preempt, which need no idle slot.
    split : bool
        Whether a prompt may be cut to fill the budget. If not, a prompt waits for a step that holds
        all of it; one longer than the whole budget is always cut.
    shortest_first : bool
        Whether prompts are taken by the tokens that they have left: of those begun the one with
        fewest, the queue's next before it if that needs fewer. A begun one keeps what it has; only
        its turn comes later. Another prompt joins the step only if that is better for the mean time
        to the first token than a step after it. For `split`, without `skip` and `chunks`.
    max_tokens : int or None
        A token budget tighter than the engine's.
    max_new_seqs : int or None
        Most waiting requests to admit in this step.
    preempt : tuple of int
        Running requests that give up slot and KV blocks before the step; they wait again and
        compute again what they had.
    skip : collection of int
        Waiting requests that are passed over in this step and keep their place.
    chunks : tuple of (request, tokens), or None
        Whose prompt tokens to compute and how many, in this order, in place of the queue's. A
        waiting request is admitted by it. Who finds no slot, budget or KV blocks is left out.
    """

    prefill: bool = False
    decode: bool = False
    rounds: int | None = None
    heed_arrivals: bool = False
    split: bool = False
    shortest_first: bool = False
    max_tokens: int | None = None
    max_new_seqs: int | None = None
    preempt: tuple[int, ...] = ()
    skip: Collection[int] = ()
    chunks: tuple[tuple[int, int], ...] | None = None


PREFILL = Step(prefill=True)
DECODE = Step(decode=True)
MIXED = Step(prefill=True, decode=True, split=True)


class _From:
    """Names from a number on, counted from 0 again."""

    def __init__(self, names: Any, first: int) -> None:
        self._names, self._first = names, first

    def __bool__(self) -> bool:
        return bool(self._names)

    def __getitem__(self, request: int) -> object:
        return self._names[self._first + request]


class Jobs(Seen):
    """The requests that have arrived, as a scheduler may know them; columns grow as others do.

    Lengths of output are predictions, never the truth. A request's number is its place in them.

    Parameters
    ----------
    arrival : array_like of float, shape (n,)
        Seconds. Those with an arrival of 0 are known to the offline phase.
    input_tokens, predicted_output_tokens : array_like of int, shape (n,)
    max_output_tokens : array_like of int, shape (n,), optional
        No request gets more output than that: its declared limit, or what the engine sets for it.
        Left out, there are no limits.
    job_class : sequence of str
        The class of each request, where the trace has classes; may go on beyond them.
    priority : array_like of int, shape (n,), optional
        Lower is more urgent; all 0 by default.
    names : sequence of str
        The id of each request, likewise; numbers by default.
    """

    __slots__ = ("_config", "_hardware")

    def __init__(
        self,
        arrival: ArrayLike,
        input_tokens: ArrayLike,
        predicted_output_tokens: ArrayLike,
        config: EngineConfig,
        hardware: HardwareProfile,
        max_output_tokens: ArrayLike | None = None,
        job_class: Any = (),
        priority: ArrayLike | None = None,
        names: Any = (),
    ) -> None:
        known = Known(job_class, names)
        if max_output_tokens is None:
            max_output_tokens = np.full(len(np.asarray(arrival)), MAX_TOKENS)
        if priority is None:
            priority = np.zeros(len(np.asarray(arrival)))
        columns = (arrival, input_tokens, predicted_output_tokens, max_output_tokens, priority)
        known.extend(columns)
        super().__init__(known)
        self._config, self._hardware = config, hardware

    def part(self, first: int) -> Jobs:
        """Return the requests from number `first` on by themselves, numbered from 0."""
        return Jobs(
            self.arrival[first:],
            self.input_tokens[first:],
            self.predicted_output_tokens[first:],
            self._config,
            self._hardware,
            self.max_output_tokens[first:],
            self.job_class[first:],
            self.priority[first:],
            _From(ledger(self).names, first),
        )

    @property
    def config(self) -> EngineConfig:
        """The engine's knobs."""
        return self._config

    @property
    def hardware(self) -> HardwareProfile:
        """The profile that prices its steps, read only."""
        return self._hardware.read_only()

    @property
    def step_time(self) -> StepTime:
        """Prices of steps."""
        return self._hardware.step_time


class WaitingQueue(Protocol):
    """Waiting requests, by their index in the trace, in the order in which they are admitted.

    A queue may also have a method ``patience(extra)`` (see `View.patience`); ``waiting()``, which
    returns all its requests in order, and ``remove(request)``, a ``pop`` by name: without them a
    rule can neither see the order nor pass anybody over; and ``withdraw(request)``, told of a
    request that it holds and that will not be served: refused, or its client has left. Without that
    one such a request is popped, and released at once, when it comes to the head.
    """

    release: Callable[[int], None] | None
    """Told of each request that leaves its slot (finished or preempted); None if of no interest."""

    def push(self, request: int) -> None:
        """Add a request that has arrived, or one that was preempted."""

    def peek(self) -> int:
        """Return the next request without removing it; -1 if none may take a slot now."""

    def pop(self) -> int:
        """Remove and return the next request, which takes a slot now."""


class View(Window):
    """A window on the engine: its counts (`llmsched.kernel.window`), the requests, the prices."""

    __slots__ = ("_jobs",)

    def __init__(self, state: State, jobs: Jobs) -> None:
        super().__init__(state)
        self._jobs = jobs

    @property
    def jobs(self) -> Jobs:
        """The requests that have arrived, with predicted lengths."""
        return self._jobs

    @property
    def config(self) -> EngineConfig:
        """The engine's knobs."""
        return self._jobs.config

    @property
    def step_time(self) -> StepTime:
        """Prices of steps."""
        return self._jobs.step_time


Decide: TypeAlias = Callable[[], Step]


class BatchingRule(Protocol):
    """Says what the engine does next; its dataclass fields are its parameters.

    A rule proposes and never touches time or state: `start` is given a read-only view for one
    replay and returns a function that the engine calls at every decision. Whatever the rule
    remembers between decisions lives in that function.
    """

    @property
    def mixed(self) -> bool:
        """Whether the rule needs a profile that prices steps of prefill and decode together."""

    def start(self, view: View) -> Decide:
        """Begin a replay."""


class Order(Protocol):
    """A queue discipline; its dataclass fields are its parameters."""

    def queue(self, jobs: Jobs, view: View) -> WaitingQueue:
        """Build the (empty) queue for one replay; `view` is for orders that follow the state.

        An order that returns a `RankQueue` with an array of keys is asked again, once several of
        the requests that have arrived since then wait, with those alone: its keys must be each
        request's own.
        """


class OfflinePhase(Protocol):
    """What a policy does before the replay begins, with the requests that are known by then."""

    def choose(self, jobs: Jobs) -> tuple[Order, BatchingRule]:
        """Return the order and the rule to replay with."""


@dataclass(frozen=True)
class Policy:
    """A queue discipline together with a batching rule.

    Attributes
    ----------
    name : str
        Name in tables and messages.
    order, rule : Order, BatchingRule
        Who is next, and what is next.
    summary : str
        One line for `llmsched policies`.
    offline : OfflinePhase or None
        An offline phase that chooses another order and rule once the batch is known.
    knobs : tuple of (name, value)
        Fields of `EngineConfig` that belong to the policy and replace the engine's.
    """

    name: str
    order: Order
    rule: BatchingRule
    summary: str = ""
    offline: OfflinePhase | None = None
    knobs: tuple[tuple[str, Any], ...] = ()
