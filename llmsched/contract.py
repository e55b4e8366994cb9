"""What a policy and the engine promise each other: who is next, what is next, and what they see.

A policy is an *order* (who is next) and a *batching rule* (what is next). Policies propose, the
engine disposes: it checks what they return (`llmsched.engine.checks`), and hands out its state as a
`View` that nothing can be changed through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile, StepTime
from llmsched.trace import MAX_TOKENS


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
    split : bool
        Whether a prompt may be cut to fill the budget. If not, a prompt waits for a step that holds
        all of it; one longer than the whole budget is always cut.
    max_tokens : int or None
        A token budget tighter than the engine's.
    max_new_seqs : int or None
        Most waiting requests to admit in this step.
    """

    prefill: bool = False
    decode: bool = False
    rounds: int | None = None
    split: bool = False
    max_tokens: int | None = None
    max_new_seqs: int | None = None


PREFILL = Step(prefill=True)
DECODE = Step(decode=True)
MIXED = Step(prefill=True, decode=True, split=True)


@dataclass(frozen=True, eq=False)
class Jobs:
    """The requests as a scheduler may know them: output lengths are predictions, never the truth.

    Attributes
    ----------
    arrival : float64, shape (n,)
        Seconds. An order must not let a request influence anything before it has arrived; those
        with an arrival of 0 are known to the offline phase.
    input_tokens, predicted_output_tokens : int64, shape (n,)
    max_output_tokens : int64, shape (n,)
        No request gets more output than that: its declared limit, or what the engine sets for it.
        Left out, there are no limits.
    """

    arrival: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    predicted_output_tokens: NDArray[np.int64]
    config: EngineConfig
    hardware: HardwareProfile
    max_output_tokens: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.max_output_tokens):
            limits = np.full(len(self.arrival), MAX_TOKENS)
            object.__setattr__(self, "max_output_tokens", limits)
        # Over bytes, which nobody can write to; a view's base is what other policies read.
        columns = ("arrival", "input_tokens", "predicted_output_tokens", "max_output_tokens")
        for name in columns:
            column = getattr(self, name)
            object.__setattr__(self, name, np.frombuffer(column.tobytes(), dtype=column.dtype))

    def __len__(self) -> int:
        return len(self.arrival)


class WaitingQueue(Protocol):
    """Waiting requests, by their index in the trace, in the order in which they are admitted.

    A queue may also have a method ``patience(extra)``; see `View.patience`.
    """

    release: Callable[[int], None] | None
    """Told of each request that leaves its slot (finished or preempted); None if of no interest."""

    def __len__(self) -> int: ...

    def push(self, request: int) -> None:
        """Add a request that has arrived, or one that was preempted."""

    def peek(self) -> int:
        """Return the next request without removing it; -1 if none may take a slot now."""

    def pop(self) -> int:
        """Remove and return the next request, which takes a slot now."""


class EngineState(Protocol):
    """What a `View` shows of the engine; its state, read only."""

    now: float
    clock: int
    decoding: int
    waiting: int
    kv_tokens: int
    queue: WaitingQueue
    jobs: Jobs
    config: EngineConfig
    step_time: StepTime

    @property
    def running(self) -> Mapping[int, None]: ...

    @property
    def partial(self) -> Mapping[int, None]: ...

    def can_prefill(self) -> bool: ...

    def next_prefill_tokens(self) -> int: ...


class View:
    """A window on the engine. Counts are of requests, times in seconds."""

    __slots__ = ("_engine",)

    def __init__(self, engine: EngineState) -> None:
        self._engine = engine

    @property
    def now(self) -> float:
        """The time at which the next step would start."""
        return self._engine.now

    @property
    def clock(self) -> int:
        """Decode rounds so far."""
        return self._engine.clock

    @property
    def running(self) -> int:
        """Sequences in slots, whether prefilling or decoding."""
        return len(self._engine.running)

    @property
    def decoding(self) -> int:
        """Sequences that a decode round would advance."""
        return self._engine.decoding

    @property
    def prefilling(self) -> int:
        """Sequences whose prompt has been begun and not finished."""
        return len(self._engine.partial)

    @property
    def waiting(self) -> int:
        """Requests that have arrived and hold no slot."""
        return self._engine.waiting

    @property
    def idle_slots(self) -> int:
        """Slots that hold no sequence."""
        return self._engine.config.max_num_seqs - len(self._engine.running)

    @property
    def can_prefill(self) -> bool:
        """Whether a prompt can be computed now: one has been begun, or the next waiting request
        finds a slot and KV blocks beside what the next decode round takes."""
        return self._engine.can_prefill()

    @property
    def kv_tokens(self) -> int:
        """Context tokens that a decode round would read."""
        return self._engine.kv_tokens

    @property
    def next_prefill_tokens(self) -> int:
        """Tokens that the next prefill finds to compute of one prompt: what is left of the first
        one begun, else all of the next waiting request; 0 if there is neither."""
        return self._engine.next_prefill_tokens()

    @property
    def queue(self) -> WaitingQueue:
        """The waiting queue; its `push` and `pop` are the engine's to call."""
        return self._engine.queue

    def patience(self, extra: int) -> int | None:
        """Return the decode rounds for which idle slots can wait for their next prefill at no cost.

        The queue knows if it follows a plan: `extra` are the rounds by which the plan may end later
        than planned. None means that it has nothing to say of it.
        """
        patience = getattr(self._engine.queue, "patience", None)
        return None if patience is None else patience(extra)

    @property
    def jobs(self) -> Jobs:
        """The requests with predicted lengths. Those that have not arrived must not matter."""
        return self._engine.jobs

    @property
    def config(self) -> EngineConfig:
        """The engine's knobs."""
        return self._engine.config

    @property
    def step_time(self) -> StepTime:
        """Prices of steps."""
        return self._engine.step_time


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
        """Build the (empty) queue for one replay; `view` is for orders that follow the state."""


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
