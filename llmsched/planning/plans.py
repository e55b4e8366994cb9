"""What ``llmsched plan`` does: a plan for slots, for replicas, for a batch file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.bounds import lower_bound
from llmsched.catalog import find
from llmsched.engine.limits import as_predicted
from llmsched.errors import InputError
from llmsched.packing import robust
from llmsched.packing.packing import OnProgress, Packing
from llmsched.packing.solve import pack
from llmsched.planning.problem import Problem
from llmsched.planning.replicas import ReplicaPlan, balance
from llmsched.replay import simulate
from llmsched.trace import Trace

UNITS = ("rounds", "ms")


@dataclass(frozen=True, eq=False)
class SlotPlan:
    """A plan for the slots of one engine.

    Attributes
    ----------
    queues : list of list of int
        The requests of each slot, longest first.
    realised : list of Realised
        How it fares where lengths are not known.
    solver : mapping
        How it was made.
    """

    problem: Problem
    packing: Packing
    unit: str
    queues: list[list[int]]
    realised: list[robust.Realised]
    solver: Mapping[str, object]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the search; the plan is the best one until then."""
        return self.packing.stopped_by == "interrupt"


@dataclass(frozen=True, eq=False)
class SplitPlan:
    """A plan for replicas: the requests of each, longest first.

    `policy` and `speeds` are what each was simulated with.
    """

    problem: Problem
    split: ReplicaPlan
    queues: list[list[int]]
    policy: str
    speeds: Sequence[float]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the search; the plan is the best one until then."""
        return self.split.interrupted


Plan: TypeAlias = SlotPlan | SplitPlan


def plan_slots(
    problem: Problem,
    unit: str = "rounds",
    solver: str = "auto",
    time_limit_s: float | None = None,
    on_progress: OnProgress | None = None,
) -> SlotPlan:
    """Pack a trace onto the slots of one engine, by decode rounds or by milliseconds.

    Raises
    ------
    InputError
        An unknown unit, solver or mode of lengths.
    """
    cv, bins = problem.error, problem.config.max_num_seqs
    planned = slot_durations(problem, problem.output_tokens(), unit)
    if problem.objective == "expected" and (solver, time_limit_s) != ("auto", None):
        raise InputError(
            "objective: 'expected' tries several plans: it takes no solver and no limit"
        )
    how: dict[str, object] = {"solver": solver, "time_limit_s": time_limit_s, "seed": problem.seed}
    if problem.objective == "expected" and cv is not None:
        choice = robust.expected(planned, bins, cv, problem.samples, problem.seed)
        packing = choice.packing
        how |= {"discipline": choice.discipline, "risk": choice.risk}
    else:
        packing = pack(
            planned,
            bins,
            solver=solver,
            time_limit_s=time_limit_s,
            seed=problem.seed,
            interruptible=True,
            on_progress=on_progress,
        )
    realised = _realised(problem, packing, planned, unit)
    queues = _longest_first(planned, packing.bin_of, bins)
    return SlotPlan(problem, packing, unit, queues, realised, how)


def slot_durations(
    problem: Problem, output_tokens: NDArray[np.int64], unit: str
) -> NDArray[np.int64]:
    """Return how long each request keeps a slot.

    rounds: its decode rounds, output tokens - 1. ms: under the profile, a prefill stage of its own
    and decode rounds beside a full engine; an estimate where a round's time depends on the batch.

    Raises
    ------
    InputError
        An unknown unit.
    """
    rounds = output_tokens - 1
    if unit == "rounds":
        return rounds
    if unit != "ms":
        raise InputError(f"unit: expected one of {', '.join(UNITS)}; got {unit!r}")
    step, prompt = problem.hardware.step_time, problem.requests.input_tokens
    prefill = np.array([step.step(p, p * p, 0, 0, 0) for p in prompt.tolist()])
    read = prompt * rounds + rounds * (rounds + 1) // 2
    decode = rounds * step.base(0, problem.config.max_num_seqs) + step.per_kv_token_decode * read
    return np.rint(1000 * (prefill + decode)).astype(np.int64)


def _longest_first(
    durations: NDArray[np.int64], bin_of: NDArray[np.int32], bins: int
) -> list[list[int]]:
    queues: list[list[int]] = [[] for _ in range(bins)]
    for request in np.argsort(-durations, kind="stable").tolist():
        queues[bin_of[request]].append(request)
    return queues


def _realised(
    problem: Problem, packing: Packing, planned: NDArray[np.int64], unit: str
) -> list[robust.Realised]:
    """Return what the plan comes to where lengths are not known: in samples, or in truth."""
    if problem.lengths == "oracle":
        return []
    if problem.error is None:
        truth = slot_durations(problem, problem.requests.output_tokens, unit)
        return robust.realise(packing, planned, truth[None])
    # Other draws than those that chose the plan, where that is how it was chosen.
    draws = robust.sample(planned, problem.error, problem.samples, problem.seed + 1)
    return robust.realise(packing, planned, draws)


def plan_replicas(
    problem: Problem,
    replicas: int,
    policy: str | None = None,
    speeds: Sequence[float] = (),
    on_progress: OnProgress | None = None,
) -> SplitPlan:
    """Split a trace over replicas so that their simulated times are alike.

    Where lengths are predicted, the plan is made as if they came true, and then simulated once with
    the true ones.

    Parameters
    ----------
    policy : str, optional
        What each replica is simulated with; longest first by default, which is how an engine that
        takes its file in order treats an exported one.
    speeds : sequence of float
        Speed of each replica, the profile's and fastest being 1; empty: all are alike.

    Raises
    ------
    InputError
        More replicas than requests (lines of a batch file), an unknown policy or mode of lengths,
        or a request that does not fit.
    """
    if not 1 <= replicas <= problem.lines:
        limit = f"1..{problem.lines} (the {'requests' if problem.line_of is None else 'lines'})"
        raise InputError(f"replicas: expected an integer in {limit}, got {replicas}")
    name = policy or ("ljf+chunked" if problem.hardware.step_time.mixed else "ljf")
    how = find(name)
    tokens = problem.seen()

    def seconds(trace: Trace, rows: NDArray[np.int64]) -> float:
        part, seen = trace.take(rows), tokens[rows]
        result = simulate(
            part,
            problem.hardware,
            how,
            problem.config,
            predicted=seen,
            on_error=problem.on_error,
            keep_steps=False,
            stalls=False,
        )
        return result.ended - float(trace.arrival.min())

    expected = problem.requests
    if (tokens != problem.requests.output_tokens).any():
        config = replace(problem.config, **dict(how.knobs))
        expected = as_predicted(problem.requests, tokens, config)
    split = balance(
        expected,
        problem.hardware,
        problem.config,
        replicas,
        partial(seconds, expected),
        groups=problem.groups,
        speeds=speeds,
        seed=problem.seed,
        on_progress=on_progress,
    )
    if expected is not problem.requests:
        true = [seconds(problem.requests, rows) if len(rows) else 0.0 for rows in split.members()]
        speed = np.array(speeds or [1.0] * replicas)
        bound = lower_bound(
            problem.requests, problem.hardware, problem.config, total_speed=float(speed.sum())
        )
        realised = replace(split, seconds=np.array(true) / speed, lower_bound_s=bound)
        split = replace(split, realised=realised)
    queues = _longest_first(tokens, split.replica_of, replicas)
    return SplitPlan(problem, split, queues, name, speeds)
