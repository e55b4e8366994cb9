"""The engine's state as a batching rule may see it: read only, and nothing of the future."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched.engine.config import EngineConfig
from llmsched.orders.queue import Jobs, WaitingQueue

if TYPE_CHECKING:
    from llmsched.engine.loop import Engine
    from llmsched.hardware import StepTime


class View:
    """A window on the engine. Counts are of requests, times in seconds."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
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
