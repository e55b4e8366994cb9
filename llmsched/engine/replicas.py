"""Several engines side by side, each with its share of the requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.result import PER_REQUEST, SimulationResult, Streams
from llmsched.trace import Trace


class Assignment(NamedTuple):
    """Which of `replicas` engines runs each request; one of them may stay idle.

    `replica_of` has shape (n,).
    """

    replica_of: NDArray[np.int32]
    replicas: int

    def rows(self) -> list[NDArray[np.int64]]:
        """Return the requests of each replica that has any, rising."""
        every = (np.flatnonzero(self.replica_of == r) for r in range(self.replicas))
        return [rows for rows in every if len(rows)]


def count_replicas(assignment: Assignment | None) -> int:
    """Return the number of engines: one where no plan says who runs what."""
    return 1 if assignment is None else assignment.replicas


def merge(
    trace: Trace, assignment: Assignment, results: Sequence[SimulationResult]
) -> SimulationResult:
    """Join the results of the replicas that ran into that of one engine with all slots of all.

    Times and counts of requests are exact. Steps of different replicas overlap in time.
    """
    rows = assignment.rows()
    back = np.argsort(np.concatenate(rows))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(result, name) for result in results])[back]
        for name in PER_REQUEST
    }
    config = results[0].config
    return replace(
        results[0],
        trace=trace,
        config=replace(config, max_num_seqs=config.max_num_seqs * assignment.replicas),
        **columns,
        works=tuple(work for result in results for work in result.works),
        resume_gap=np.concatenate([result.resume_gap for result in results]),
        streams=_merge_streams(rows, back, [result.streams for result in results]),
        peak_blocks=max((result.peak_blocks for result in results), key=lambda peak: peak or 0),
    )


def _merge_streams(
    rows: Sequence[NDArray[np.int64]], back: NDArray[np.int64], several: Sequence[Streams | None]
) -> Streams | None:
    """Join what interrupted the streams of each replica, which know requests by their own rows."""
    known = [streams for streams in several if streams is not None]
    if len(known) < len(several):
        return None
    causes = [
        np.where(streams.cause >= 0, own[streams.cause], streams.cause)
        for own, streams in zip(rows, known, strict=True)
    ]
    return Streams(
        np.concatenate([streams.worst_gap for streams in known])[back],
        np.concatenate(causes)[back],
        np.concatenate([streams.stall for streams in known])[back],
    )
