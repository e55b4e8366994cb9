"""A saved plan for replicas, read back and replayed on all of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from llmsched.documents.plan import SplitRecord
from llmsched.engine.replicas import Assignment
from llmsched.errors import InputError
from llmsched.reading import read_whole
from llmsched.schema import checked
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
    if not isinstance(document, dict) or "replicas" not in document:
        expected = "a plan for replicas (llmsched plan --replicas N --output FILE)"
        raise InputError(f"{path}: expected {expected}")
    plan = checked(document, SplitRecord, str(path))
    queues, made_for = [part.requests for part in plan.replicas], plan.trace.sha256
    if made_for != trace.sha256:
        raise InputError(f"{path}: trace.sha256: expected that of {trace.name}, got {made_for!r}")
    row = {name: i for i, name in enumerate(trace.id)}
    names = [*plan.refused, *(name for queue in queues for name in queue)]
    if len(names) != len(row) or set(names) != row.keys():
        raise InputError(f"{path}: replicas: expected every request of {trace.name} once")
    replica_of = np.zeros(len(row), dtype=np.int32)  # whose engine refuses what the plan did
    for replica, queue in enumerate(queues):
        replica_of[[row[name] for name in queue]] = replica
    return Assignment(replica_of, len(queues))
