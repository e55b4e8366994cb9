"""What is planned: requests, engine, and how well their lengths are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmsched import lengths
from llmsched.config import EngineConfig
from llmsched.engine.limits import OnError, Served, serve_some
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import Trace


@dataclass(frozen=True, eq=False)
class Problem:
    """What is planned, and what is known of it.

    Attributes
    ----------
    trace : Trace
        The requests as they were given.
    served : Served
        Those of them that an engine takes, which are planned: the others it refuses.
    on_error : {"fail", "skip"}
        As in `limits.serve`.
    lengths : str
        Mode of `lengths.predict`; for a batch file, where its predictions come from.
    objective : {"makespan", "expected"}
        expected needs ``noisy:CV``.
    samples : int
        Realisations drawn where lengths are noisy.
    estimated : bool
        Whether the trace's own lengths are predictions (of a batch file), and nobody knows others.
    line_of : int64, shape (n,), optional
        The line of a batch file that each request of the trace is a sequence of: what one replica
        runs, and a server refuses, as a whole.
    """

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    lengths: str = "oracle"
    seed: int = 0
    objective: str = "makespan"
    samples: int = 100
    estimated: bool = False
    on_error: OnError = "fail"
    line_of: NDArray[np.int64] | None = None
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        if self.config.is_capped:
            what = "a plan without max_num_queued_reqs and max_num_queued_tokens"
            raise InputError(f"engine: expected {what}: it is for requests that are all served")
        if self.trace.delay is not None:
            what = "a trace without sessions to plan, whose requests are all known beforehand"
            raise InputError(f"{self.trace.name}: expected {what}")
        served = serve_some(self.trace, self.config, self.on_error, self.hardware.way_out)
        if self.line_of is not None:
            served = _whole_lines(served, self.line_of)
            served.check_some(self.config, self.hardware.way_out)
        object.__setattr__(self, "served", served)
        if self.samples < 1:
            raise InputError(f"samples: expected an integer >= 1, got {self.samples}")
        if self.objective not in ("makespan", "expected"):
            raise InputError(f"objective: expected makespan or expected, got {self.objective!r}")
        if self.objective == "expected" and self.error is None:
            raise InputError(f"objective: 'expected' needs lengths noisy:CV, got {self.lengths!r}")

    @cached_property
    def requests(self) -> Trace:
        """What is planned: all that is served, at the lengths that the engine lets it have.

        Nobody leaves: a plan that a client's patience undoes would be worth nothing.
        """
        taken = self.served.trace
        return taken if taken.timeout is None else replace(taken, timeout=None)

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Which of the planned requests stay together: the group of each, counted from 0."""
        if self.line_of is None:
            return np.arange(len(self.requests))
        return np.unique(self.line_of[self.served.rows], return_inverse=True)[1]

    @property
    def lines(self) -> int:
        """How many groups there are."""
        return int(self.groups.max()) + 1

    @property
    def error(self) -> float | None:
        """Coefficient of variation of noisy lengths; None where they are not noisy.

        Raises
        ------
        InputError
            It is not a number in 0..10.
        """
        name, _, value = self.lengths.partition(":")
        noisy = name == "noisy" and not self.estimated
        return lengths.coefficient_of_variation(value) if noisy else None

    def output_tokens(self) -> NDArray[np.int64]:
        """Return the lengths to plan slots with: noisy ones are drawn around the trace's.

        Raises
        ------
        InputError
            An unknown mode of lengths, or a trace without the predictions it asks for.
        """
        return self.requests.output_tokens if self.error is not None else self.seen()

    def seen(self) -> NDArray[np.int64]:
        """Return what an engine's policy sees of the lengths, as in every replay.

        Raises
        ------
        InputError
            An unknown mode of lengths, or a trace without the predictions it asks for.
        """
        if self.estimated or self.lengths == "oracle":
            return self.requests.output_tokens
        return lengths.predict(self.trace, self.lengths, self.seed)[self.served.rows]


def _whole_lines(served: Served, line_of: NDArray[np.int64]) -> Served:
    """Return what is served where a line is refused with any of its sequences."""
    worst = np.zeros(int(line_of.max()) + 1, dtype=served.refusal.dtype)
    np.maximum.at(worst, line_of, served.refusal)
    refusal = worst[line_of]
    kept = np.flatnonzero(refusal[served.rows] == 0)
    if len(kept) == len(served.rows):
        return served
    return replace(served, trace=served.trace.take(kept), rows=served.rows[kept], refusal=refusal)
