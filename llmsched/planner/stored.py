"""A saved plan for replicas, read back and replayed on all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from llmsched.engine import EngineConfig, SimulationResult, simulate
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.planner.replicas import Assignment, merge
from llmsched.policies import Policy
from llmsched.reading import read_whole
from llmsched.trace import Trace


def read_replicas(path: str | Path, trace: Trace) -> Assignment:
    """Return which replica runs each request of `trace`, from ``llmsched plan --output``.

    Raises
    ------
    InputError
        The file cannot be read, is no plan for replicas, or was made for another trace.
    """
    try:
        document = orjson.loads(read_whole(path))
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}: expected a plan, got: {error}") from error
    try:
        queues = [part["requests"] for part in document["replicas"]]
        made_for = document["trace"]["sha256"]
    except (KeyError, TypeError) as error:
        expected = "a plan for replicas (llmsched plan --replicas N --output FILE)"
        raise InputError(f"{path}: expected {expected}") from error
    if made_for != trace.sha256:
        raise InputError(f"{path}: trace.sha256: expected that of {trace.name}, got {made_for!r}")
    row = {name: i for i, name in enumerate(trace.id.tolist())}
    names = [name for queue in queues for name in queue]
    if len(names) != len(row) or set(names) != row.keys():
        raise InputError(f"{path}: replicas: expected every request of {trace.name} once")
    replica_of = np.empty(len(row), dtype=np.int32)
    for replica, queue in enumerate(queues):
        replica_of[[row[name] for name in queue]] = replica
    return Assignment(replica_of, len(queues))


def count_replicas(assignment: Assignment | None) -> int:
    """Return the number of engines: one where no plan says who runs what."""
    return 1 if assignment is None else assignment.replicas


def simulate_planned(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    *,
    predicted: NDArray[np.int64],
    concurrency: int | None = None,
    assignment: Assignment | None = None,
) -> SimulationResult:
    """Replay `trace` on one engine, or on all replicas of a plan; otherwise as `simulate`."""

    def run(part: Trace, rows: NDArray[np.int64] | slice) -> SimulationResult:
        seen = predicted[rows]
        return simulate(part, hardware, policy, config, predicted=seen, concurrency=concurrency)

    return run(trace, slice(None)) if assignment is None else replay(trace, assignment, run)


def replay(
    trace: Trace,
    assignment: Assignment,
    run: Callable[[Trace, NDArray[np.int64]], SimulationResult],
) -> SimulationResult:
    """Replay every replica's part of `trace` by itself and join the results.

    Parameters
    ----------
    run : callable
        Takes a replica's trace and its rows in the whole trace (to pick predicted lengths with);
        returns what `simulate` returns.
    """
    results = [run(trace.take(rows), rows) for rows in assignment.rows()]
    return merge(trace, assignment, results)
