"""From checked columns to a trace: one order, one clock."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.clock import LONGEST_S
from llmsched.errors import InputError
from llmsched.files import plain
from llmsched.importers._asked import listed
from llmsched.importers._blocks import Blocks
from llmsched.importers._options import TraceOptions
from llmsched.importers._span import Span
from llmsched.importers._table import Table
from llmsched.importers._turns import sessions_of
from llmsched.importers._values import UNITS
from llmsched.schema import within
from llmsched.sessions import Ordered
from llmsched.trace import Trace, frozen, nanoseconds, seconds

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
        A class or span that holds nothing, a speed that stretches time too far, or turns that make
        no session.
    """
    notes = []
    start = None
    if len(table.time) and not table.all_untimed:
        start = int(table.time.whole().min()) if unit == "date" else None
        time = _nanoseconds(table.time.whole(), UNITS.get(unit, 1), table.untimed.whole())
    else:
        who = "session begins" if table.delay.whole() else "request arrives"
        notes.append(f"no arrival times in this file: every {who} at time 0")
        time = np.zeros(len(table), np.int64)
    line = sessions_of(table, time, path, skip=options.skip)
    names = [name for name in table.session.whole() if name]
    if line is None and len(set(names)) < len(names):
        notes.append(
            "sessions are names alone: all turns have times of their own and no delays, so that "
            "none waits for the answer before it"
        )
    order = None if line is None else line.rows
    if line is not None:
        time = nanoseconds(line.arrival)
    kept, when, more = _kept(table, time, order, start, path, options)
    notes += more
    if line is not None:
        return Assembled(*_linked(table, line, kept, path, blocks, options), notes)
    when -= when[0]
    if options.offline:
        when[:] = 0
    if options.speed != 1:
        when = _faster(when, options.speed)
    trace = _picked(table, kept, seconds(when), plain(Path(path).name), blocks)
    return Assembled(_patient(trace, options), kept, notes)


def _kept(
    table: Table,
    time: NDArray[np.int64],
    order: _Rows,
    start: int | None,
    path: str,
    options: TraceOptions,
) -> tuple[_Rows, NDArray[np.int64], list[str]]:
    """Return which requests are kept, in order of arrival, when they come, and notes of it.

    `time` is in the order of the rows, or in `order`; `start` its zero in Unix nanoseconds.
    """
    notes = []
    kept = _of_classes(table, path, options.classes, order)
    when = _taken(time, kept)
    span = Span(options.since, options.until)
    if not span.is_whole:
        with within(path, ": "):
            inside = span.rows(when, start)
        notes.append(
            f"{len(inside):,} of {len(when):,} requests arrive {span}; others are left out"
        )
        kept, when = inside if kept is None else kept[inside], when[inside]
    late = int(np.count_nonzero(when[1:] < when[:-1]))
    if late:
        notes.append(
            f"sorted by time: {late:,} of {len(when):,} requests came before the row above"
        )
    if late or options.limit is not None:
        first = np.argsort(when, kind="stable")[: options.limit]
        kept, when = first if kept is None else kept[first], when[first]
    return kept, when, notes


def _linked(
    table: Table,
    line: Ordered,
    kept: _Rows,
    path: str,
    blocks: Blocks | None,
    options: TraceOptions,
) -> tuple[Trace, NDArray[np.int64]]:
    """Return the trace of some turns, of which those left out pass their delay on, and its rows."""
    whole = _picked(table, line.rows, line.arrival, plain(Path(path).name), blocks)
    if line.session is not None:
        whole = replace(whole, session=frozen(line.session), delay=frozen(line.delay))
    rows = np.arange(len(whole)) if kept is None else np.sort(kept)
    trace = whole.take(rows).retimed(speed=options.speed, offline=options.offline)
    return _patient(replace(trace, longest_of_whole=0), options), line.rows[rows]


def _patient(trace: Trace, options: TraceOptions) -> Trace:
    if options.timeout_ms is None:
        return trace
    return replace(trace, timeout=frozen(np.full(len(trace), options.timeout_ms / 1e3)))


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
        priority=_priority(table, rows),
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


def _priority(table: Table, rows: _Rows) -> NDArray[np.int64] | None:
    """Return the priorities of rows; None where there are none."""
    if not table.priority.whole():
        return None
    priority = _taken(np.array(table.priority.whole(), dtype=np.int64), rows)
    return frozen(priority) if priority.any() else None


def _nanoseconds(
    time: NDArray[np.int64] | NDArray[np.float64], unit_ns: int, untimed: Sequence[bool]
) -> NDArray[np.int64]:
    """Return times, which are overwritten, as whole nanoseconds since the first.

    Integers are never made floats. What has no time is at 0.
    """
    grain = 1
    if time.dtype != np.int64:  # a Unix time in a float has no nanoseconds: there they are noise
        digits = float(np.spacing(time.min())) * unit_ns
        grain = 10 ** max(0, math.ceil(math.log10(digits)))
    if untimed:
        time[np.array(untimed)] = time[~np.array(untimed)].min()
    time -= time.min()
    time *= unit_ns
    if time.dtype == np.int64:
        return time.astype(np.int64, copy=False)
    return np.rint(time / grain).astype(np.int64) * grain


def _faster(time: NDArray[np.int64], speed: float) -> NDArray[np.int64]:
    with np.errstate(over="ignore"):  # refused below
        scaled = time / speed
    if scaled[-1] >= LONGEST_S * 1e9:
        raise InputError(f"speed: {speed} stretches the trace beyond {LONGEST_S} s")
    return np.rint(scaled).astype(np.int64)


def _of_classes(table: Table, path: str, classes: tuple[str, ...], order: _Rows) -> _Rows:
    """Return the places, in an order of the rows, of those of the wanted classes."""
    if not classes:
        return None
    column = table.job_class.whole()
    there = set(column) - {""}
    if unknown_classes := [name for name in classes if name not in there]:
        have = f"one of {listed(sorted(there))}" if there else "none: the trace has no classes"
        raise InputError(f"{path}: class: expected {have}; got {unknown_classes[0]!r}")
    wanted = np.array([name in classes for name in column])
    return np.flatnonzero(_taken(wanted, order))
