"""Replays: what a policy makes of a trace, on one engine or on all replicas of a plan.

`simulate` is the replay itself. `replay` is what every command shows: predict the lengths, replay,
bound, summarize.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmsched import lengths
from llmsched.bounds import Bounds, bounds
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.counted import EVERY, Counted
from llmsched.engine import SimulationResult, admit, run
from llmsched.engine.limits import Intake, OnError, Served, check_concurrency, serve_some
from llmsched.engine.referee import blaming
from llmsched.engine.replicas import Assignment, count_replicas, merge
from llmsched.engine.result import COMPLETED
from llmsched.engine.session import Tick
from llmsched.errors import InputError
from llmsched.grouping import Groups, grouped
from llmsched.hardware import HardwareProfile
from llmsched.latency_bounds import LatencyBounds, latency_bounds
from llmsched.metrics import Summary, summarize, summarize_groups
from llmsched.objective import alike, check_classes, has_classes
from llmsched.regime import Load, load_of
from llmsched.spared import Spared, spared_of
from llmsched.trace import Trace


def simulate(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig | None = None,
    *,
    predicted: NDArray[np.int64] | None = None,
    concurrency: int | None = None,
    assignment: Assignment | None = None,
    on_error: OnError = "fail",
    on_progress: Tick | None = None,
    keep_steps: bool = True,
    stalls: bool = True,
) -> SimulationResult:
    """Replay `trace` under `policy` on a simulated engine, or on several that share it.

    Parameters
    ----------
    config : EngineConfig, optional
        The engine's knobs; the profile's by default. The policy's own replace them.
    predicted : int64, shape (n,), optional
        Output lengths as the policy sees them; the true ones by default.
    concurrency : int, optional
        Closed loop: ignore the trace's arrivals, start with this many requests at 0 and let the
        next one arrive whenever one finishes.
    assignment : Assignment, optional
        Which of several replicas runs which request; each has these knobs.
    on_error : {"fail", "skip"}
        Whether a request that can never fit is an error, or is refused and counted.
    on_progress : callable, optional
        Told now and then the requests that have finished and their total.
    keep_steps : bool
        Whether the result has the step table, about 240 bytes a request.
    stalls : bool
        Whether it says what interrupted each request's stream.

    Raises
    ------
    InputError
        The profile cannot price the policy's steps, the knobs contradict each other, a request can
        never fit, all are refused, `predicted` is not one length >= 1 a request, or several
        replicas are to share a trace with sessions.
    PolicyError, LivelockError, Defect
        As `llmsched.engine.run`.

    Examples
    --------
    >>> from llmsched import Trace, load_profile
    >>> from llmsched.catalog import find
    >>> trace = Trace.from_columns([0, 0], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> result = simulate(trace, load_profile("llama65b-8gpu-paper"), find("fcfs"))
    >>> round(result.makespan, 3)  # a prefill of 100 tokens, and 8 rounds of 68.9 ms
    0.579
    """
    config = replace(hardware.engine if config is None else config, **dict(policy.knobs))

    def admitted(part: Trace, known: NDArray[np.int64] | None) -> Intake:
        return admit(
            part,
            hardware,
            policy,
            config,
            predicted=known,
            concurrency=concurrency,
            on_error=on_error,
        )

    def on_one(intake: Intake, tick: Tick | None) -> SimulationResult:
        return _on_one(intake, policy, tick, keep_steps=keep_steps, stalls=stalls)

    if assignment is None:
        whole = admitted(trace, predicted)
        if whole.served is not None:
            whole.served.check_some(config, hardware.way_out)
        return on_one(whole, on_progress)
    if trace.delay is not None:
        raise InputError(f"{trace.name}: expected one engine for a trace with sessions, not a plan")
    serve_some(trace, config, on_error, hardware.way_out)
    seen = None if predicted is trace.output_tokens else predicted
    results: list[SimulationResult] = []

    def within(finished: int, _: int) -> None:
        before = sum(len(result.trace) for result in results)
        if on_progress is not None:
            on_progress(before + finished, len(trace))

    for rows in assignment.rows():
        jobs = admitted(trace.take(rows), None if seen is None else seen[rows])
        results.append(on_one(jobs, within))
    return merge(trace, assignment, results)


def _on_one(
    intake: Intake,
    policy: Policy,
    on_progress: Tick | None,
    *,
    keep_steps: bool,
    stalls: bool,
) -> SimulationResult:
    """Let the policy choose where it has an offline phase, and run one engine."""
    if policy.offline is not None:
        with blaming(policy):
            order, rule = policy.offline.choose(intake.known())
        policy = replace(policy, order=order, rule=rule)
    return run(intake, policy, on_progress, keep_steps=keep_steps, stalls=stalls)


@dataclass(frozen=True, eq=False)
class Case:
    """What is replayed, whatever the policy.

    Attributes
    ----------
    lengths : str
        What policies know of the output lengths; see `lengths.predict`.
    seed : int
        Seed of their error.
    concurrency : int or None
        Closed loop of that many users instead of the arrivals.
    assignment : Assignment or None
        Which replica runs which request; None for one engine.
    slo : mapping or None
        Limits in milliseconds; see `metrics.summarize` and `objective.held`.
    on_error : {"fail", "skip"}
        Whether a request that can never fit is an error, or is refused and counted.
    counted : Counted
        Which requests metrics are of.
    by : str or None
        Groups with metrics of their own; see `grouping.grouped`. Where it is None and `slo` has
        limits for classes, by class.
    stalls : bool
        Whether metrics tell of the longest gaps and stalls; they take up to a tenth of a replay.
    predicted : int64, shape (n,)
        Output lengths as policies see them.

    Raises
    ------
    InputError
        As `lengths.predict`; `concurrency` is not an integer >= 1.
    """

    trace: Trace
    hardware: HardwareProfile
    config: EngineConfig
    lengths: str = "oracle"
    seed: int = 0
    concurrency: int | None = None
    assignment: Assignment | None = None
    slo: Mapping[str, float] | None = None
    on_error: OnError = "fail"
    counted: Counted = EVERY
    by: str | None = None
    stalls: bool = True
    predicted: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        check_concurrency(self.concurrency)
        if self.slo:
            check_classes(self.slo, self.trace.classes[0])
            if self.by is None and has_classes(self.slo):
                object.__setattr__(self, "by", "class")
        if self.concurrency is None and self.trace.delay is None:
            self.counted.rows(self.trace.arrival)
        predicted = lengths.predict(self.trace, self.lengths, self.seed)
        object.__setattr__(self, "predicted", predicted)

    @property
    def terms(self) -> dict[str, object]:
        """What the record of a replay says of how it was done, beside its inputs."""
        return {
            "lengths": self.lengths,
            "seed": self.seed,
            "concurrency": self.concurrency,
            "slo": self.slo,
            **({} if self.by is None else {"by": self.by}),
            **self.counted.given,
        }

    @cached_property
    def groups(self) -> Groups | None:
        """The groups that have metrics of their own."""
        return None if self.by is None else grouped(self.trace, self.by)

    @property
    def replicas(self) -> int:
        """Engines that share the requests."""
        return count_replicas(self.assignment)

    @property
    def load(self) -> Load | None:
        """What the arrivals that they take put on the engines; None of a batch."""
        return load_of(
            self.served.trace,
            self.hardware,
            self.config,
            concurrency=self.concurrency,
            total_speed=self.replicas,
            least_work_s=self.least_work_s,
        )

    @cached_property
    def served(self) -> Served:
        """What the engine takes of the trace.

        Raises
        ------
        InputError
            As `serve_some`.
        """
        return serve_some(self.trace, self.config, self.on_error, self.hardware.way_out)

    @cached_property
    def _bounds(self) -> Bounds:
        return self._bounds_for(self.served.trace)

    def _bounds_for(self, part: Trace, spared: Spared | None = None) -> Bounds:
        """Return the bounds of some requests; a total time counts from anybody's arrival."""
        found = bounds(
            part, self.hardware, self.config, self.concurrency, self.replicas, spared=spared
        )
        if self.concurrency is not None or not len(part):
            return found
        late = float(part.arrival.min() - self.trace.arrival.min())
        return found._replace(lower=found.lower + late)

    def serves(self, policy: Policy) -> Served:
        """Return what the engine takes with this policy's own knobs.

        Raises
        ------
        InputError
            As `serve_some`.
        """
        if not policy.knobs:
            return self.served
        config = replace(self.config, **dict(policy.knobs))
        return serve_some(self.trace, config, self.on_error, self.hardware.way_out)

    def bounds_of(self, result: SimulationResult) -> Bounds:
        """Return what is proven of a replay: for what it completed, whoever else was there.

        Whoever was refused or left took nothing off the work of the others but what a prefix cache
        kept of it, so that a bound for these alone holds, on accounts of their own.
        """
        if not (result.status == COMPLETED).any():
            return Bounds(np.nan, np.nan)
        completed = result.trace if result.all_served else result.served()
        if _alike(completed, self.served.trace):
            return self._bounds
        rows = np.flatnonzero(result.status == COMPLETED)
        prompt = result.trace.input_tokens
        # The others may have computed what these find in a prefix cache.
        found = spared_of(result.trace, self.config).apart(prompt).take(rows)
        return self._bounds_for(completed, found)

    @cached_property
    def latency_bounds(self) -> LatencyBounds:
        """What no schedule can beat of latency, or why nothing is proven; computed when asked."""
        return latency_bounds(
            self.served.trace,
            self.hardware,
            self.config,
            concurrency=self.concurrency,
            replicas=self.replicas,
            slo=alike(self.slo),
        )

    @property
    def least_work_s(self) -> float:
        """Seconds of engine time that the requests need at least."""
        return self._bounds.least


def _alike(one: Trace, other: Trace) -> bool:
    """Whether two parts of a trace are the same requests with the same outputs."""
    if one is other:
        return True
    names = ("arrival", "input_tokens", "output_tokens")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def replay(
    case: Case, policy: Policy, on_progress: Tick | None = None, *, keep_steps: bool = False
) -> tuple[SimulationResult, Summary]:
    """Return what a case comes to under a policy, and the flat row of its metrics.

    `on_progress` and `keep_steps` are those of `simulate`; metrics do not need the steps.

    Raises
    ------
    InputError, PolicyError, LivelockError, Defect
        As `simulate`, `lengths.predict` and `metrics.summarize`.
    """
    result = simulate(
        case.trace,
        case.hardware,
        policy,
        case.config,
        predicted=case.predicted,
        concurrency=case.concurrency,
        assignment=case.assignment,
        on_error=case.on_error,
        on_progress=on_progress,
        keep_steps=keep_steps,
        stalls=case.stalls,
    )
    found = case.bounds_of(result)
    row = summarize(
        result,
        lower_bound_s=found.lower,
        least_work_s=found.least,
        slo=case.slo,
        rows=case.counted.rows(result.arrival),
    )
    return result, row


def group_rows(case: Case, result: SimulationResult) -> dict[str, Summary]:
    """Return the row of each group of a replay, in their order; none where none are asked for."""
    if case.groups is None:
        return {}
    rows = case.counted.rows(result.arrival)
    return summarize_groups(result, case.groups, slo=case.slo, rows=rows)
