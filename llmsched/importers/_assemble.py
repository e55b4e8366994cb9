"""From checked columns to a trace: one order, one clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.files import plain
from llmsched.importers._blocks import Blocks
from llmsched.importers._detect import listed
from llmsched.importers._options import TraceOptions
from llmsched.importers._span import Span
from llmsched.importers._table import Table
from llmsched.importers._turns import Turns, chained
from llmsched.importers._values import MAX_SECONDS, UNITS
from llmsched.schema import within
from llmsched.trace import Trace, frozen, seconds

_T = TypeVar("_T", bound=np.generic)

_Rows = NDArray[np.int64] | None
"""Rows of a table in an order; None is all of them in that of the file, which needs no copy."""


class Assembled(NamedTuple):
    """A trace, the rows of the table that it is made of, and what was done to them."""

    trace: Trace
    rows: _Rows
    notes: list[str]


def assembled(
    table: Table, unit: str, blocks: Blocks | None, path: str, options: TraceOptions
) -> Assembled:
    """Put the rows into one order and on one clock.

    Raises
    ------
    InputError
        A class or span that holds nothing, or a speed that stretches time too far.
    """
    notes = []
    rows = _of_classes(table, path, options.classes)
    turns = chained(table, path)
    start = None
    if len(table.time):
        start = int(table.time.whole().min()) if unit == "date" else None
        whole = _nanoseconds(table.time.whole(), UNITS.get(unit, 1), turns)
    else:
        notes.append("no arrival times in this file: every request arrives at time 0")
        whole = np.zeros(len(table), np.int64)
    time = _taken(whole if turns is None else turns.earliest(whole), rows)
    span = Span(options.since, options.until)
    if not span.is_whole:
        with within(path, ": "):
            inside = span.rows(time, start)
        notes.append(
            f"{len(inside):,} of {len(time):,} requests arrive {span}; others are left out"
        )
        rows, time = inside if rows is None else rows[inside], time[inside]
    late = int(np.count_nonzero(time[1:] < time[:-1]))
    if late and turns is None:
        notes.append(
            f"sorted by time: {late:,} of {len(time):,} requests came before the row above"
        )
    if late or options.limit is not None:
        order = np.argsort(time, kind="stable")[: options.limit]
        rows, time = order if rows is None else rows[order], time[order]
    time -= time[0]
    if options.offline:
        time[:] = 0
    if options.speed != 1:
        time = _faster(time, options.speed)
    trace = _picked(table, rows, seconds(time), plain(Path(path).name), blocks)
    if turns is not None:
        trace = turns.linked(trace, rows, options)
    if options.timeout_ms is not None:
        patience = np.full(len(trace), options.timeout_ms / 1e3)
        trace = replace(trace, timeout=frozen(patience))
    return Assembled(trace, rows, notes)


def _taken(column: NDArray[_T], rows: _Rows) -> NDArray[_T]:
    return column if rows is None else column[rows]


def _picked(
    table: Table, rows: _Rows, arrival: NDArray[np.float64], name: str, blocks: Blocks | None
) -> Trace:
    """Return the trace of rows, whose values the table has checked."""
    names, predicted = table.id.whole(), table.predicted.whole()
    classes = np.array(table.job_class.whole(), dtype=object)
    limit = _taken(
        np.array(table.limit.whole(), dtype=np.int64), rows if table.limit.whole() else None
    )
    return Trace(
        frozen(arrival),
        frozen(_taken(table.input_tokens.whole(), rows)),
        frozen(_taken(table.output_tokens.whole(), rows)),
        names if rows is None else names.take(rows),
        job_class=frozen(_taken(classes, rows)) if len(classes) else None,
        predicted_output_tokens=frozen(_taken(predicted, rows)) if len(predicted) else None,
        max_output_tokens=frozen(limit) if limit.any() else None,
        timeout=_timeout(table, rows),
        hash_ids=_hashes(table, rows, blocks),
        hash_block_size=0 if blocks is None else blocks.size,
        name=name,
        models=tuple(table.models),
    )


def _hashes(table: Table, rows: _Rows, blocks: Blocks | None) -> tuple[tuple[int, ...], ...] | None:
    """Return the ids of each row's blocks, none of those whose number is not that of the others."""
    if blocks is None or not blocks.size:
        return None
    hashes: Sequence[tuple[int, ...]] = table.hash_ids
    if blocks.kept is not None:
        hashes = [ids if kept else () for ids, kept in zip(hashes, blocks.kept, strict=True)]
    return tuple(hashes if rows is None else (hashes[i] for i in rows))


def _timeout(table: Table, rows: _Rows) -> NDArray[np.float64] | None:
    """Return the timeouts of rows in seconds; None where there are none."""
    if not table.timeout.whole():
        return None
    timeout = _taken(np.array(table.timeout.whole(), dtype=np.float64), rows)
    return frozen(timeout / 1e3) if np.isfinite(timeout).any() else None


def _nanoseconds(
    time: NDArray[np.int64] | NDArray[np.float64], unit_ns: int, turns: Turns | None
) -> NDArray[np.int64]:
    """Return times, which are overwritten, as whole nanoseconds since the first.

    Integers are never made floats.
    """
    grain = 1
    if time.dtype != np.int64:  # a Unix time in a float has no nanoseconds: there they are noise
        digits = float(np.spacing(time.max(initial=0))) * unit_ns
        grain = 10 ** max(0, math.ceil(math.log10(digits)))
    time -= time.min() if turns is None else turns.start(time)
    time *= unit_ns
    if time.dtype == np.int64:
        return time.astype(np.int64, copy=False)
    return np.rint(time / grain).astype(np.int64) * grain


def _faster(time: NDArray[np.int64], speed: float) -> NDArray[np.int64]:
    with np.errstate(over="ignore"):  # refused below
        scaled = time / speed
    if scaled[-1] >= MAX_SECONDS * 1e9:
        raise InputError(f"speed: {speed} stretches the trace beyond {MAX_SECONDS} s")
    return np.rint(scaled).astype(np.int64)


def _of_classes(table: Table, path: str, classes: tuple[str, ...]) -> _Rows:
    """Return the rows of the wanted classes."""
    if not classes:
        return None
    column = table.job_class.whole()
    there = set(column) - {""}
    if unknown_classes := [name for name in classes if name not in there]:
        have = f"one of {listed(sorted(there))}" if there else "none: the trace has no classes"
        raise InputError(f"{path}: class: expected {have}; got {unknown_classes[0]!r}")
    return np.flatnonzero([name in classes for name in column])
