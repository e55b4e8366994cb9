"""The evidence of a replay: its two tables, the trace, the knobs, the prices; and a time line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware import StepTime
from llmsched.prefixes import Reuse, reuse
from llmsched.trace import Trace
from llmsched.verify.tables import REFUSED, Requests, Steps

_RELATIVE = 1e-9


@dataclass(frozen=True, eq=False)
class Replay:
    """What is checked, and against what.

    Attributes
    ----------
    config : EngineConfig
        The limits that held; of the variants `reserve`, prefix caching and scheduling ahead matter
        here.
    step_time : StepTime or None
        Prices; None leaves durations unchecked.
    concurrency : int or None
        Users of a closed loop: the trace's arrivals did not count.
    order : {"any", "fcfs"}
        Whether requests must have been admitted in order of arrival.
    """

    trace: Trace
    requests: Requests
    steps: Steps
    config: EngineConfig
    step_time: StepTime | None = None
    concurrency: int | None = None
    order: str = "any"

    @cached_property
    def preempted(self) -> bool:
        """Whether anything was."""
        return bool(self.requests.preemptions.any())

    @property
    def ahead(self) -> bool:
        """Whether steps may have been scheduled while the ones before them were computed."""
        mixed = self.step_time is None or self.step_time.mixed
        return self.config.async_scheduling and mixed

    @cached_property
    def reuse(self) -> Reuse | None:
        """What prompts may have found in the prefix cache; None where there is none."""
        on = self.config.enable_prefix_caching
        return reuse(self.trace, self.config.block_size) if on else None

    @cached_property
    def shared_blocks(self) -> NDArray[np.int64]:
        """Blocks of each request that another one may hold as well, shape (n,)."""
        if self.reuse is None:
            return np.zeros(len(self.trace), np.int64)
        return self.reuse.common // self.config.block_size

    @cached_property
    def scheduled_s(self) -> NDArray[np.float64]:
        """When each row was scheduled at the earliest: as it starts, or, ahead, the one before."""
        start, end = self.steps.start_s, self.steps.end_s
        if not self.ahead:
            return start
        follows = np.append(False, start[1:] <= end[:-1] + slack(end[:-1]))
        before = np.append(start[:1], start[:-1])
        return np.where(follows, before, start)

    @cached_property
    def accepted(self) -> Requests:
        """The requests that were not refused."""
        return self.requests.take(self.requests.status != REFUSED)

    @cached_property
    def admitted(self) -> Requests:
        """The requests that ever had a slot."""
        return self.requests.take(np.isfinite(self.requests.admitted_s))

    @cached_property
    def begun(self) -> Requests:
        """The requests that got a first token."""
        return self.requests.take(np.isfinite(self.requests.first_token_s))

    @cached_property
    def rounds_before(self) -> NDArray[np.int64]:
        """Decode rounds before each row, and after the last; shape (rows + 1,)."""
        rounds = np.where(self.steps.decode_seqs > 0, self.steps.rounds, 0)
        return np.concatenate(([0], np.cumsum(rounds)))

    def rounds_at(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Decode rounds that have ended by each time."""
        return self.rounds_before[counted(self.steps.end_s, time)]

    @cached_property
    def rounds_first(self) -> NDArray[np.int64]:
        """Decode rounds by the first token of each that got one."""
        return self.rounds_at(self.begun.first_token_s)


def counted(times: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many of the sorted `times` are not after each of `by`."""
    return np.searchsorted(times, by + slack(by), side="right")


def summed(
    times: NDArray[np.float64], values: NDArray[np.int64], by: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return the sum of the `values` whose time is not after each of `by`."""
    order = np.argsort(times, kind="stable")
    sums = np.concatenate(([0], np.cumsum(values[order])))
    return sums[counted(times[order], by)]


def slack(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds by which two statements of the same instant may differ."""
    return _RELATIVE * np.maximum(1.0, np.abs(time))


Law = Callable[[Replay], Iterator[str]]
"""Yields a message for each thing that cannot be."""


def wrong(
    bad: NDArray[np.bool_], name: Callable[[int], str], says: Callable[[int], str] | str
) -> Iterator[str]:
    """Yield one message for the first place where `bad`, and how many more there are."""
    where = np.flatnonzero(bad)
    if len(where):
        first = int(where[0])
        text = says if isinstance(says, str) else says(first)
        more = f" (and {len(where) - 1} more)" if len(where) > 1 else ""
        yield f"{name(first)}: {text}{more}"


def named(requests: Requests) -> Callable[[int], str]:
    return lambda i: f"request {requests.id[i]}"


def row_name(i: int) -> str:
    return f"step row {i + 1}"
