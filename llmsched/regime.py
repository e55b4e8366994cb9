"""What load the arrivals put on the engine, and so which figures answer the user's question.

A batch, or an engine that is offered more than it can serve, is measured by its total time. Below
that the last arrival decides the total, whatever the policy: there it is latency that differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from llmsched.bounds import least_work, turns
from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile
from llmsched.trace import Trace

Regime: TypeAlias = Literal["batch", "arrivals", "overload"]

_LEAST_WORK = 20
"""Requests a slot that capacity is measured with: fewer measure how long the longest one takes."""

_MOST_COPIED = 20_000

_LEAST_REQUESTS = 10
"""Fewer may come together, or far apart, by chance."""

_BEHIND = 0.97
"""The share of what is offered below which an engine is behind: less is the end of the trace."""

_EQUAL_PERCENT = 1.0
"""The gap of the best total to its bound up to which nobody need look at totals."""


def capacity(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    total_speed: float = 1,
    least_work_s: float | None = None,
) -> float:
    """Return requests a second of this mix that no policy can exceed for long.

    By the least work of the trace, which may be known; a short one is taken several times over.
    """
    wanted = min(_LEAST_WORK * config.max_num_seqs, _MOST_COPIED)
    copies = -(-wanted // len(trace))
    if copies > 1:
        columns = (np.tile(c, copies) for c in (trace.input_tokens, trace.output_tokens))
        trace = Trace.from_columns(np.zeros(copies * len(trace)), *columns)
    if copies > 1 or least_work_s is None:
        least_work_s = least_work(trace, hardware, config, total_speed=total_speed)
    return len(trace) / least_work_s if least_work_s else np.inf


@dataclass(frozen=True)
class Load:
    """What arrives, beside what can be served.

    Attributes
    ----------
    offered : float
        Requests a second.
    most : float
        Requests a second of this mix that no policy can exceed for long.
    span_s : float
        Seconds from the first arrival to the last.
    requests : int
        How many there are.
    """

    offered: float
    most: float
    span_s: float
    requests: int

    @property
    def ratio(self) -> float:
        """Above 1 the queue grows under every policy; below, under a slow one it may."""
        return self.offered / self.most


def load_of(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    *,
    concurrency: int | None = None,
    total_speed: float = 1,
    least_work_s: float | None = None,
) -> Load | None:
    """Return the load of a trace; None of a batch, in a closed loop, or where work costs nothing.

    Requests that come all at once are a batch, and so is a handful, and sessions that all begin at
    once. Later turns count as if each turn took what it needs alone: slower, they would come later.

    Parameters
    ----------
    total_speed, least_work_s
        As in `capacity`.
    """
    comes = trace.arrival
    if trace.delay is not None:
        comes = trace.arrival[trace.previous < 0]
        if comes[0] < comes[-1]:
            comes, _ = turns(trace, hardware, config)
    span = float(comes.max() - comes.min())
    if span <= 0 or concurrency is not None or len(trace) < _LEAST_REQUESTS:
        return None
    most = capacity(trace, hardware, config, total_speed, least_work_s)
    return None if most == np.inf else Load((len(trace) - 1) / span, most, span, len(trace))


def record_load(load: Load | None) -> dict[str, Any]:
    """Return what a document keeps of a load: nothing of a batch."""
    return {} if load is None else {"load": asdict(load)}


def regime_of(load: Load | None, rows: Sequence[Mapping[str, Any]]) -> Regime:
    """Return whose question a comparison answers.

    The engine is overloaded if the best policy that ran fell behind: it took longer than the
    requests came, and they waited for it. Before any has run it is if no policy could keep up.
    """
    if load is None:
        return "batch"
    best = _best(rows)
    if best is None:
        return "overload" if load.ratio >= 1 else "arrivals"
    after = best["makespan_s"] - load.span_s
    waited = (best.get("p99_queue_ms") or 0.0) / 1e3
    behind = load.requests / best["makespan_s"] < _BEHIND * load.offered
    # Where a queue grows, somebody waits as long as what is left takes at the end, whatever the
    # order; else that time is the last request's own.
    return "overload" if behind and waited > after / 2 else "arrivals"


def describe(load: Load | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the load in one line; empty for a batch."""
    if load is None:
        return ""
    best = _best(rows)
    words = f"load {load.ratio:.2f}: {load.offered:.3g} requests/s of at most {load.most:.3g}"
    grows = regime_of(load, rows) == "overload"
    if grows or load.ratio >= 1:
        patient = best is None or best.get("completed") == best.get("offered")
        what = "the queue grows" if grows and patient else "not all can be served"
        return f"{words}; overloaded: {what}, {load.offered:.3g} offered{_served(load, best)}"
    gap = None if best is None else best.get("gap_percent")
    if gap is not None and gap < _EQUAL_PERCENT:
        words += f"; arrival-bound: no policy can end more than {gap:.2f} % sooner than the best"
    return words


def _best(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the row of the shortest total, and of those the one whose requests waited least."""
    ran = [row for row in rows if row.get("makespan_s") is not None]
    return min(ran, key=lambda r: (r["makespan_s"], r.get("p99_queue_ms") or 0.0), default=None)


def _served(load: Load, row: Mapping[str, Any] | None) -> str:
    """Return what a row completes a second; of one that measures some requests it is not known."""
    if row is None or row.get("offered") != load.requests:
        return ""
    return f", {row['completed'] / row['makespan_s']:.3g} served"
