"""Plans as tables for a reader and as documents for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np
import orjson

from llmsched.packing.packing import Packing
from llmsched.packing.robust import Realised
from llmsched.planning.plans import Plan, SlotPlan, SplitPlan
from llmsched.planning.problem import Problem
from llmsched.planning.replicas import ReplicaPlan
from llmsched.records import record_inputs
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page

SCHEMA_VERSION = 1

_PROMISED = ("makespan", "lower_bound", "gap_percent", "unit", "engine", "solver")

Queues = list[list[int]]
Document = dict[str, object]


def slot_document(
    problem: Problem,
    packing: Packing,
    unit: str,
    queues: Queues,
    realised: list[Realised],
    solver: Mapping[str, object],
) -> Document:
    """Return the record of a plan for slots; it needs no rerun to be understood."""
    return {
        "schema_version": SCHEMA_VERSION,
        "status": packing.status,
        "makespan": packing.makespan,
        "lower_bound": packing.lower_bound,
        "gap_percent": packing.gap_percent,
        "unit": unit,
        "closed_by": packing.closed_by,
        "bound_by": packing.bound_by,
        "stopped_by": packing.stopped_by,
        "cpu_s": round(packing.cpu_s, 3),
        "slots": _names(problem, queues),
        **_refused(problem),
        "load": packing.load.tolist(),
        "realised": [asdict(row) for row in realised],
        **record_inputs(problem.trace, problem.hardware, problem.config),
        "solver": {**solver, "lengths": problem.lengths, "objective": problem.objective},
    }


def replica_document(
    problem: Problem, split: ReplicaPlan, queues: Queues, policy: str, speeds: Sequence[float]
) -> Document:
    """Return the record of a plan for replicas."""
    tokens, realised = problem.seen(), split.realised
    true = split.seconds if realised is None else realised.seconds
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "feasible",
        **_milliseconds(split),
        "unit": "ms",
        **({} if problem.line_of is None else {"lines": problem.lines}),
        "replicas": [
            {
                "requests": names,
                "input_tokens": int(problem.requests.input_tokens[queue].sum()),
                "output_tokens": int(tokens[queue].sum()),
                "makespan_s": seconds,
                **({} if realised is None else {"realised_s": truly}),
            }
            for names, queue, seconds, truly in zip(
                _names(problem, queues), queues, split.seconds.tolist(), true.tolist(), strict=True
            )
        ],
        **_refused(problem),
        "realised": None if realised is None else _milliseconds(realised),
        **record_inputs(problem.trace, problem.hardware, problem.config),
        "solver": {
            "policy": policy,
            "speeds": list(speeds),
            "lengths": problem.lengths,
            "seed": problem.seed,
            "corrections": split.corrections,
        },
    }


def _milliseconds(split: ReplicaPlan) -> Document:
    return {
        "makespan": 1000 * split.makespan_s,
        "lower_bound": 1000 * split.lower_bound_s,
        "gap_percent": split.gap_percent,
    }


def _names(problem: Problem, queues: Queues) -> list[list[str]]:
    return [[str(problem.requests.id[i]) for i in queue] for queue in queues]


def _refused(problem: Problem) -> Document:
    """Return the requests that no engine would take, and are in no queue."""
    rows = np.flatnonzero(problem.served.refusal).tolist()
    return {"refused": [problem.trace.id[i] for i in rows]} if rows else {}


def plan_table(plan: Plan, *, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return a plan for a reader, as a page of `width` columns."""
    problem = plan.problem
    if isinstance(plan, SplitPlan):
        place = f"{len(plan.queues)} replicas of {problem.config.max_num_seqs:,} slots"
        parts = _replica_parts(plan)
    else:
        place = f"{len(plan.packing.load):,} slots"
        parts = _slot_parts(plan)
    requests = f"{len(problem.requests):,} requests"
    if _of_several(problem):
        lines = "1 line" if problem.lines == 1 else f"{problem.lines:,} lines"
        requests = f"{lines} of {len(problem.requests):,} sequences"
    said = problem.served.describe(problem.config)
    title = f"{problem.trace.name}: {requests} on {place}, lengths {problem.lengths}"
    title += f"; {said}" if said else ""
    return page(parts, title=title, width=width, color=color)


def _of_several(problem: Problem) -> bool:
    """Whether a line of a batch runs several sequences, each a request of the plan."""
    return problem.lines < len(problem.requests)


def _slot_parts(plan: SlotPlan) -> list[Part]:
    """Return load, bound, gap, status, spread and seconds, and how it fares in truth."""
    packing, load, unit = plan.packing, plan.packing.load, plan.unit
    ended = {"": "", "effort": ": effort spent"}
    stop = ended.get(packing.stopped_by, f": stopped by {packing.stopped_by}")
    facts = [
        ("profile", plan.problem.hardware.title),
        ("makespan", f"{packing.makespan:,} {unit}, found by {packing.closed_by}"),
        ("lower bound", f"{packing.lower_bound:,} {unit}, by {packing.bound_by}"),
        ("gap", f"{packing.gap_percent:.4f} %"),
        ("status", f"{packing.status}{stop}"),
        (
            "slot loads",
            f"{load.min():,} to {load.max():,}, mean {load.mean():,.1f}, std {load.std():,.1f}",
        ),
        ("cpu", f"{packing.cpu_s:.2f} s"),
    ]
    return [Grid(facts, text=True), *_realised_parts(plan)]


def _realised_parts(plan: SlotPlan) -> list[Part]:
    """Return how the plan fares where lengths are not known; nothing where they are."""
    if not plan.realised:
        return []
    problem = plan.problem
    draws = (
        f"{problem.samples} sampled lengths" if problem.error is not None else "the true lengths"
    )
    rows = [
        (one.discipline, f"{one.mean:,.1f}", f"{one.p90:,.1f}", f"{one.worst:,}")
        for one in plan.realised
    ]
    grid = Grid(rows, [("", "mean", "p90", "worst")])
    parts: list[Part] = ["", f"makespan over {draws}, {plan.unit}", grid]
    if "discipline" in plan.solver:
        parts.append(f"chosen for the least mean: {plan.solver['discipline']}")
    return parts


def _replica_parts(plan: SplitPlan) -> list[Part]:
    """Return time, bound and gap, and a row a replica."""
    split, realised = plan.split, plan.split.realised
    facts = [
        ("profile", plan.problem.hardware.title),
        ("makespan", f"{split.makespan_s:,.3f} s, simulated with {plan.policy}"),
        ("lower bound", f"{split.lower_bound_s:,.3f} s"),
        ("gap", f"{split.gap_percent:.3f} %"),
    ]
    if realised is not None:
        distance = f"bound {realised.lower_bound_s:,.3f} s, gap {realised.gap_percent:.3f} %"
        truth = f"{realised.makespan_s:,.3f} s with the true lengths; {distance}"
        facts.append(("realised", truth))
    return [Grid(facts, text=True), "", _replica_grid(plan)]


def _replica_grid(plan: SplitPlan) -> Grid:
    prompts, outputs = plan.problem.requests.input_tokens, plan.problem.seen()
    realised = plan.split.realised
    what = "sequences" if _of_several(plan.problem) else "requests"
    titles = ["replica", what, "input tokens", "output tokens", "s"]
    rows = [
        [
            str(replica),
            f"{len(queue):,}",
            f"{prompts[queue].sum():,}",
            f"{outputs[queue].sum():,}",
            f"{seconds:,.3f}",
        ]
        for replica, (queue, seconds) in enumerate(
            zip(plan.queues, plan.split.seconds, strict=True)
        )
    ]
    if realised is not None:
        titles.append("realised s")
        rows = [[*row, f"{truly:,.3f}"] for row, truly in zip(rows, realised.seconds, strict=True)]
    return Grid(rows, [titles], words=0)


def plan_document(plan: Plan) -> Document:
    """Return a plan's record."""
    if isinstance(plan, SplitPlan):
        return replica_document(plan.problem, plan.split, plan.queues, plan.policy, plan.speeds)
    return slot_document(
        plan.problem, plan.packing, plan.unit, plan.queues, plan.realised, plan.solver
    )


def plan_json(plan: Plan) -> str:
    """Return a plan's record as text."""
    return orjson.dumps(plan_document(plan), option=orjson.OPT_INDENT_2).decode()


def promised(plan: Plan) -> Document:
    """Return what the manifest of an exported batch says of its plan."""
    document = plan_document(plan)
    return {key: document[key] for key in _PROMISED}
