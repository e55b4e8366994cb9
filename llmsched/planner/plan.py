"""A plan: which slot or replica runs which requests, in which order; its table and its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched import __version__
from llmsched.engine.config import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.planner.packing import Packing
from llmsched.trace import Trace

SCHEMA_VERSION = 1
UNITS = ("rounds", "ms")


@dataclass(frozen=True, eq=False)
class Plan:
    """A packing of a trace with the order of requests in each bin.

    Attributes
    ----------
    packing : Packing
    unit : {"rounds", "ms"}
        What loads and bound count.
    queues : list of lists of int
        The requests of each bin in the order in which they start: longest first.
    """

    packing: Packing
    unit: str
    queues: list[list[int]]

    @classmethod
    def longest_first(cls, packing: Packing, unit: str, durations: NDArray[np.int64]) -> Plan:
        """Order each bin by falling duration; ties keep the trace's order."""
        queues: list[list[int]] = [[] for _ in packing.load]
        for request in np.argsort(-durations, kind="stable").tolist():
            queues[packing.bin_of[request]].append(request)
        return cls(packing, unit, queues)


def slot_durations(
    trace: Trace,
    output_tokens: NDArray[np.int64],
    unit: str,
    hardware: HardwareProfile,
    config: EngineConfig,
) -> NDArray[np.int64]:
    """Return how long each request keeps a slot.

    Parameters
    ----------
    output_tokens : int64, shape (n,)
        True or predicted output lengths.
    unit : {"rounds", "ms"}
        rounds: decode rounds, output tokens - 1. ms: under the profile, a prefill stage of its own
        and decode rounds beside a full engine; an estimate where rounds depend on the batch.

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
    step = hardware.step_time
    prompt = trace.input_tokens.tolist()
    prefill = np.array([step.step(p, p * p, 0, 0, 0) for p in prompt])
    read = trace.input_tokens * rounds + rounds * (rounds + 1) // 2
    decode = rounds * step.base(0, config.max_num_seqs) + step.per_kv_token_decode * read
    return np.rint(1000 * (prefill + decode)).astype(np.int64)


def plan_document(
    plan: Plan,
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    solver: Mapping[str, object],
) -> dict[str, object]:
    """Return the plan as a JSON-able record that needs no rerun to be understood."""
    packing = plan.packing
    return {
        "schema_version": SCHEMA_VERSION,
        "llmsched": __version__,
        "status": packing.status,
        "makespan": packing.makespan,
        "lower_bound": packing.lower_bound,
        "gap_percent": packing.gap_percent,
        "unit": plan.unit,
        "closed_by": packing.closed_by,
        "bound_by": packing.bound_by,
        "stopped_by": packing.stopped_by,
        "cpu_s": round(packing.cpu_s, 3),
        "slots": [[str(trace.id[i]) for i in queue] for queue in plan.queues],
        "load": packing.load.tolist(),
        "trace": trace_record(trace),
        "hardware": dict(hardware.document),
        "engine": asdict(config),
        "solver": dict(solver),
    }


def trace_record(trace: Trace) -> dict[str, object]:
    """Return what identifies a trace: name, hash and counts."""
    return {
        "name": trace.name,
        "note": trace.note,
        "sha256": trace.sha256,
        "requests": len(trace),
        "input_tokens": int(trace.input_tokens.sum()),
        "output_tokens": int(trace.output_tokens.sum()),
    }


def plan_table(plan: Plan, trace: Trace, lengths: str) -> str:
    """Return the plan's figures as text: load, bound, gap, status, spread, seconds."""
    packing, load = plan.packing, plan.packing.load
    why = {"": "", "effort": " (effort spent)"}.get(packing.stopped_by)
    stopped = f" (stopped by {packing.stopped_by})" if why is None else why
    lines = [
        f"{trace.name}: {len(trace):,} requests on {len(load):,} slots, lengths {lengths}",
        f"makespan     {packing.makespan:,} {plan.unit}, found by {packing.closed_by}",
        f"lower bound  {packing.lower_bound:,} {plan.unit}, by {packing.bound_by}",
        f"gap          {packing.gap_percent:.4f} %",
        f"status       {packing.status}{stopped}",
        f"slot loads   min {load.min():,}, mean {load.mean():,.1f}, max {load.max():,}, "
        f"std {load.std():,.1f}",
        f"cpu          {packing.cpu_s:.2f} s",
    ]
    return "\n".join(lines) + "\n"
