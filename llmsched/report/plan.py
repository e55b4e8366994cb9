"""Plans as tables for a reader and as documents for a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import orjson

from llmsched.packing.packing import Packing
from llmsched.packing.robust import Realised
from llmsched.planning.case import Case
from llmsched.planning.plans import Plan, SplitPlan
from llmsched.planning.replicas import ReplicaPlan
from llmsched.records import record_inputs

SCHEMA_VERSION = 1

_PROMISED = ("makespan", "lower_bound", "gap_percent", "unit", "engine", "solver")

Queues = list[list[int]]
Document = dict[str, object]


def slot_document(
    case: Case,
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
        "slots": _names(case, queues),
        "load": packing.load.tolist(),
        "realised": [asdict(row) for row in realised],
        **record_inputs(case.trace, case.hardware, case.config),
        "solver": {**solver, "lengths": case.lengths, "objective": case.objective},
    }


def replica_document(
    case: Case, split: ReplicaPlan, queues: Queues, policy: str, speeds: Sequence[float]
) -> Document:
    """Return the record of a plan for replicas."""
    tokens, realised = case.seen(), split.realised
    true = split.seconds if realised is None else realised.seconds
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "feasible",
        **_milliseconds(split),
        "unit": "ms",
        "replicas": [
            {
                "requests": names,
                "input_tokens": int(case.trace.input_tokens[queue].sum()),
                "output_tokens": int(tokens[queue].sum()),
                "makespan_s": seconds,
                **({} if realised is None else {"realised_s": truly}),
            }
            for names, queue, seconds, truly in zip(
                _names(case, queues), queues, split.seconds.tolist(), true.tolist(), strict=True
            )
        ],
        "realised": None if realised is None else _milliseconds(realised),
        **record_inputs(case.trace, case.hardware, case.config),
        "solver": {
            "policy": policy,
            "speeds": list(speeds),
            "lengths": case.lengths,
            "seed": case.seed,
            "corrections": split.corrections,
        },
    }


def _milliseconds(split: ReplicaPlan) -> Document:
    return {
        "makespan": 1000 * split.makespan_s,
        "lower_bound": 1000 * split.lower_bound_s,
        "gap_percent": split.gap_percent,
    }


def _names(case: Case, queues: Queues) -> list[list[str]]:
    return [[str(case.trace.id[i]) for i in queue] for queue in queues]


def slot_table(case: Case, packing: Packing, unit: str) -> str:
    """Return load, bound, gap, status, spread and seconds of a plan for slots."""
    load = packing.load
    ended = {"": "", "effort": ": effort spent"}
    stop = ended.get(packing.stopped_by, f": stopped by {packing.stopped_by}")
    lines = (
        f"{case.trace.name}: {len(case.trace):,} requests on {len(load):,} slots, "
        f"lengths {case.lengths}",
        f"profile      {case.hardware.title}",
        f"makespan     {packing.makespan:,} {unit}, found by {packing.closed_by}",
        f"lower bound  {packing.lower_bound:,} {unit}, by {packing.bound_by}",
        f"gap          {packing.gap_percent:.4f} %",
        f"status       {packing.status}{stop}",
        f"slot loads   {load.min():,} to {load.max():,}, mean {load.mean():,.1f}, "
        f"std {load.std():,.1f}",
        f"cpu          {packing.cpu_s:.2f} s",
    )
    return "\n".join(lines) + "\n"


def realised_table(
    case: Case, rows: list[Realised], unit: str, solver: Mapping[str, object]
) -> str:
    """Return how the plan fares where lengths are not known; empty where they are."""
    if not rows:
        return ""
    draws = f"{case.samples} sampled lengths" if case.error is not None else "the true lengths"
    lines = [f"\nmakespan over {draws}, {unit}", f"{'':<12} {'mean':>10} {'p90':>10} {'worst':>10}"]
    lines += [f"{r.discipline:<12} {r.mean:>10,.1f} {r.p90:>10,.1f} {r.worst:>10,}" for r in rows]
    if "discipline" in solver:
        lines.append(f"chosen for the least mean: {solver['discipline']}")
    return "\n".join(lines) + "\n"


def replica_table(case: Case, split: ReplicaPlan, queues: Queues, policy: str) -> str:
    """Return time, bound and gap of a plan for replicas, and a row a replica."""
    tokens, realised = case.seen(), split.realised
    heading = (
        f"\n{'replica':>7} {'requests':>9} {'input tokens':>13} {'output tokens':>14} {'s':>10}"
    )
    truth = []
    if realised is not None:
        heading += f" {'realised s':>11}"
        text = f"bound {realised.lower_bound_s:,.3f} s, gap {realised.gap_percent:.3f} %"
        truth.append(f"realised     {realised.makespan_s:,.3f} s with the true lengths; {text}")
    lines = [
        f"{case.trace.name}: {len(case.trace):,} requests on {len(queues)} replicas of "
        f"{case.config.max_num_seqs:,} slots, lengths {case.lengths}",
        f"profile      {case.hardware.title}",
        f"makespan     {split.makespan_s:,.3f} s, simulated with {policy}",
        f"lower bound  {split.lower_bound_s:,.3f} s",
        f"gap          {split.gap_percent:.3f} %",
        *truth,
        heading,
    ]
    for replica, (queue, seconds) in enumerate(zip(queues, split.seconds, strict=True)):
        prompt, output = case.trace.input_tokens[queue].sum(), tokens[queue].sum()
        row = f"{replica:>7} {len(queue):>9,} {prompt:>13,} {output:>14,} {seconds:>10,.3f}"
        lines.append(row if realised is None else f"{row} {realised.seconds[replica]:>11,.3f}")
    return "\n".join(lines) + "\n"


def plan_table(plan: Plan) -> str:
    """Return a plan for a reader."""
    if isinstance(plan, SplitPlan):
        return replica_table(plan.case, plan.split, plan.queues, plan.policy)
    table = slot_table(plan.case, plan.packing, plan.unit)
    return table + realised_table(plan.case, plan.realised, plan.unit, plan.solver)


def plan_document(plan: Plan) -> Document:
    """Return a plan's record."""
    if isinstance(plan, SplitPlan):
        return replica_document(plan.case, plan.split, plan.queues, plan.policy, plan.speeds)
    return slot_document(
        plan.case, plan.packing, plan.unit, plan.queues, plan.realised, plan.solver
    )


def plan_json(plan: Plan) -> str:
    """Return a plan's record as text."""
    return orjson.dumps(plan_document(plan), option=orjson.OPT_INDENT_2).decode()


def promised(plan: Plan) -> Document:
    """Return what the manifest of an exported batch says of its plan."""
    document = plan_document(plan)
    return {key: document[key] for key in _PROMISED}
