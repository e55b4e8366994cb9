"""Traces in: any known format becomes a valid :class:`~llmsched.trace.Trace`, or one line why not.

The format is told from names (CSV header, JSON keys), never from positions or magnitudes. Each
module here without an underscore is one format, and defines ``FORMAT``; a new one is found by
itself. Data flows `llmsched.reading` (bytes to lines) -> `_source` (lines to records) -> `_table`
(records to checked columns; of long files `_bulk`, in blocks) -> here (one order, one clock, one
Trace). `_source` says why orjson parses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.files import plain
from llmsched.importers import _source
from llmsched.importers._bulk import is_long, read_blocks
from llmsched.importers._doubt import Doubtful
from llmsched.importers._format import Format, detect, formats, listed, named, unknown
from llmsched.importers._source import Found, Refusal
from llmsched.importers._span import Instant, Span
from llmsched.importers._table import MAX_SECONDS, UNITS, OnProgress, Table, collect
from llmsched.notes import say
from llmsched.reading import Lines, opened
from llmsched.schema import Named, check_fields, within
from llmsched.trace import LEAST_TIMEOUT_S, Trace, frozen, seconds

__all__ = ["Format", "Imported", "TraceOptions", "formats", "load", "read", "tell"]


_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class TraceOptions:
    """How to read a trace; each field is the command-line option of the same name.

    Attributes
    ----------
    format : str or None
        Name of the format; None detects it.
    time_unit : {"s", "ms", "us", "ns"} or None
        What numeric times count; None follows the format.
    since, until : number, str or None
        Keep the requests that arrive from `since` until before `until`: seconds after the first
        request of the file, spans like "10m", or dates where the file has dates.
    limit : int or None
        Keep the first `limit` requests in order of arrival, of those.
    speed : float
        Requests arrive this many times faster.
    offline : bool
        Every request arrives at time 0.
    classes : tuple of str
        Keep only requests of these classes; empty keeps all.
    timeout_ms : float or None
        Milliseconds after which every client gives up, whatever the file says; None follows the
        file.
    on_error : {"fail", "skip"}
        Whether a row that cannot be accepted is an error or is dropped and counted; a replay asks
        the same of a request that can never fit, which is refused then.
    """

    format: Named | None = None
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    since: Instant | None = None
    until: Instant | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    speed: Annotated[float, Meta(ge=1e-9, le=1e9)] = 1.0
    offline: bool = False
    classes: tuple[str, ...] = ()
    timeout_ms: Annotated[float, Meta(ge=1e3 * LEAST_TIMEOUT_S, le=1e12)] | None = None
    on_error: Literal["fail", "skip"] = "fail"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.format is not None:
            named(self.format)
        Span(self.since, self.until)


@dataclass(frozen=True)
class Imported:
    """A trace and what became of the file it was read from.

    Attributes
    ----------
    trace : Trace
    format : str
        Name of the format.
    rows : int
        Rows in the file.
    dropped : mapping of str to int
        Rows dropped, by reason.
    notes : tuple of str
        What a user should know: rows dropped, times sorted, no arrival times.
    """

    trace: Trace
    format: str
    rows: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...]


def load(
    source: str | Path,
    options: TraceOptions = TraceOptions(),
    on_progress: OnProgress = lambda rows, done, size: None,
) -> Trace:
    """Return the trace in `source` and tell what was sorted or dropped on stderr.

    Parameters
    ----------
    source : str or Path
        A file, plain or compressed by gzip or Zstandard; "-" is stdin.
    options : TraceOptions
    on_progress : callable, optional
        Told now and then how many rows and how many bytes have been read, and of how many bytes
        of the file; 0 of 0 bytes where nobody knows.

    Raises
    ------
    InputError
        The file cannot be read or accepted; the message names file, line, field and value.

    Examples
    --------
    >>> from llmsched.files import shipped
    >>> len(load(shipped("traces", "gsm8k-llama65b.jsonl")))
    1319
    """
    imported = read(source, options, on_progress)
    tell(source, imported)
    return imported.trace


def tell(source: str | Path, imported: Imported) -> None:
    """Print the notes of an import on stderr."""
    for note in imported.notes:
        say(f"{_source.display(source)}: {note}")


def read(
    source: str | Path,
    options: TraceOptions = TraceOptions(),
    on_progress: OnProgress = lambda rows, done, size: None,
) -> Imported:
    """Return the trace in `source` with the format found and what was dropped; see :func:`load`."""
    asked = (source, options, on_progress)
    form, table, path = _in_blocks(*asked) or _row_by_row(*asked)
    unit = _unit(form, options)
    notes = _dropped_notes(table)
    if not len(table):
        raise InputError(f"{path}:1: no requests are left; {notes[0] if notes else 'no rows'}")
    trace, more = _trace(table, form, UNITS.get(unit, 1), path, options)
    note = (form.note,) if form.note else ()
    return Imported(trace, form.name, table.rows, dict(table.dropped), (*notes, *more, *note))


def _in_blocks(
    source: str | Path, options: TraceOptions, on_progress: OnProgress
) -> tuple[Format, Table, str] | None:
    """Read a long file quickly; None if it is short, or anything about it is doubtful."""
    if not is_long(source):
        return None
    wanted = None if options.format is None else named(options.format)
    with opened(source) as lines, suppress(Doubtful):
        form, table = read_blocks(lines, wanted, partial(_unit, options=options), on_progress)
        return form, table, lines.path
    return None


def _row_by_row(
    source: str | Path, options: TraceOptions, on_progress: OnProgress
) -> tuple[Format, Table, str]:
    """Read a file so that anything refused is named by its line."""
    skip = options.on_error == "skip"
    with opened(source) as lines:
        form, rows = _rows(lines, options)
        unit = _unit(form, options)
        table = collect(
            rows,
            form,
            unit,
            lines.path,
            skip=skip,
            on_progress=lambda rows: on_progress(rows, *lines.progress()),
        )
        return form, table, lines.path


def _rows(lines: Lines, options: TraceOptions) -> tuple[Format, Iterator[Found]]:
    """Return the format of the text and its records."""
    wanted = None if options.format is None else named(options.format)
    kind, number, first = _source.first_line(lines)
    if wanted is not None and wanted.kind != kind:
        expected = "a CSV header" if wanted.kind == "csv" else "JSON"
        raise InputError(f"{lines.path}:{number}: expected {expected} (format {wanted.name})")
    if kind == "json":
        rows = _source.json_rows(lines, number, first)
        return _json_format(rows, wanted, lines.path, options.on_error == "skip")
    names = _source.csv_names(lines.path, number, first)
    form = wanted or detect(kind, names)
    if form is None:
        raise InputError(f"{lines.path}:{number}: {unknown(kind, names)}")
    return form, _source.csv_rows(lines, names)


def _json_format(
    rows: Iterator[Found], wanted: Format | None, path: str, skip: bool
) -> tuple[Format, Iterator[Found]]:
    """Return the format of the first row (the first that has one, with `skip`) and all rows."""
    seen: list[Found] = []
    problem = "there is no row"
    for where, record in rows:
        seen.append((where, record))
        form = None
        if isinstance(record, Refusal):
            problem = record.message
        else:
            problem = unknown("json", record)
            form = wanted or detect("json", record)
        if form is not None:
            return form, itertools.chain(seen, rows)
        if not skip:
            raise InputError(f"{path}:{where}: {problem}")
    raise InputError(f"{path}:1: expected a trace; {problem}")


def _unit(form: Format, options: TraceOptions) -> str:
    if options.time_unit is None:
        return form.unit
    if form.time is None or form.unit == "date":
        has = "no arrival times" if form.time is None else "dates"
        raise InputError(f"time_unit: the format {form.name} has {has}")
    return options.time_unit


def _trace(
    table: Table, form: Format, unit_ns: int, path: str, options: TraceOptions
) -> tuple[Trace, list[str]]:
    """Put the rows into one order and on one clock; return the trace and notes about it."""
    notes = []
    rows = _of_classes(table, path, options.classes)
    span = Span(options.since, options.until)
    start = None
    if len(table.time):
        start = int(table.time.whole().min()) if form.unit == "date" else None
        time = _taken(_nanoseconds(table.time.whole(), unit_ns), rows)
    else:
        notes.append("no arrival times in this format: every request arrives at time 0")
        time = np.zeros(len(table) if rows is None else len(rows), np.int64)
    if not span.is_whole:
        with within(path, ": "):
            inside = span.rows(time, start)
        notes.append(
            f"{len(inside):,} of {len(time):,} requests arrive {span}; others are left out"
        )
        rows, time = inside if rows is None else rows[inside], time[inside]
    late = int(np.count_nonzero(time[1:] < time[:-1]))
    if late:
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
    trace = _picked(table, rows, seconds(time), plain(Path(path).name))
    if options.timeout_ms is not None:
        patience = np.full(len(trace), options.timeout_ms / 1e3)
        trace = replace(trace, timeout=frozen(patience))
    return trace, notes


_Rows = NDArray[np.int64] | None
"""Rows of a table in an order; None is all of them in that of the file, which needs no copy."""


def _taken(column: NDArray[_T], rows: _Rows) -> NDArray[_T]:
    return column if rows is None else column[rows]


def _picked(table: Table, rows: _Rows, arrival: NDArray[np.float64], name: str) -> Trace:
    """Return the trace of rows, whose values the table has checked."""
    names, predicted, hashes = table.id.whole(), table.predicted.whole(), table.hash_ids
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
        hash_ids=tuple(hashes if rows is None else (hashes[i] for i in rows)) if hashes else None,
        name=name,
        models=tuple(table.models),
    )


def _timeout(table: Table, rows: _Rows) -> NDArray[np.float64] | None:
    """Return the timeouts of rows in seconds; None where there are none."""
    if not table.timeout.whole():
        return None
    timeout = _taken(np.array(table.timeout.whole(), dtype=np.float64), rows)
    return frozen(timeout / 1e3) if np.isfinite(timeout).any() else None


def _nanoseconds(time: NDArray[np.int64] | NDArray[np.float64], unit_ns: int) -> NDArray[np.int64]:
    """Return times, which are overwritten, as whole nanoseconds since the first.

    Integers are never made floats.
    """
    time -= time.min()
    time *= unit_ns
    return np.asarray(time if time.dtype == np.int64 else np.rint(time), np.int64)


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


def _dropped_notes(table: Table) -> list[str]:
    reasons = "; ".join(f"{n:,} where {reason}" for reason, n in sorted(table.dropped.items()))
    total = table.dropped.total()
    return [f"dropped {total:,} of {table.rows:,} rows: {reasons}"] if total else []
