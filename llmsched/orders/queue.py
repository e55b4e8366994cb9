"""What an order sees, and the queue it builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.columns import ints
from llmsched.trace import MAX_TOKENS

if TYPE_CHECKING:
    from llmsched.engine.config import EngineConfig
    from llmsched.engine.view import View
    from llmsched.hardware import HardwareProfile


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
    """Waiting requests, by their index in the trace, in the order in which they are admitted."""

    release: Callable[[int], None] | None
    """Told of each request that leaves its slot (finished or preempted); None if of no interest."""

    def __len__(self) -> int: ...

    def push(self, request: int) -> None:
        """Add a request that has arrived, or one that was preempted."""

    def peek(self) -> int:
        """Return the next request without removing it; -1 if none may take a slot now."""

    def pop(self) -> int:
        """Remove and return the next request, which takes a slot now."""


class Order(Protocol):
    """A queue discipline; its dataclass fields are its parameters."""

    def queue(self, jobs: Jobs, view: View) -> WaitingQueue:
        """Build the (empty) queue for one replay; `view` is for orders that follow the state."""


class RankQueue:
    """A queue by fixed keys, lowest first; ties by arrival, then by position in the trace.

    Keys become ranks once, so that the heap holds plain integers.
    """

    release: Callable[[int], None] | None = None

    def __init__(self, keys: ArrayLike) -> None:
        by_rank = np.argsort(np.asarray(keys), kind="stable")
        rank = np.empty(len(by_rank), dtype=np.int64)
        rank[by_rank] = np.arange(len(by_rank))
        self._request = ints(by_rank)
        self._rank = ints(rank)
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, request: int) -> None:
        heappush(self._heap, self._rank[request])

    def peek(self) -> int:
        return self._request[self._heap[0]] if self._heap else -1

    def pop(self) -> int:
        return self._request[heappop(self._heap)]
