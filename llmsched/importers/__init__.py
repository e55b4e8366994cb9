"""Traces in: any known format becomes a valid :class:`~llmsched.trace.Trace`, or one line why not.

The format is told from names (CSV header, JSON keys), never from positions or magnitudes, or it is
named by ``--columns``. Each module here without an underscore is one format, and defines
``FORMAT``; a new one is found by itself. Data flows `llmsched.reading` (bytes to lines) ->
`_source` (lines to records) -> `_runs` (one benchmark run of a file) -> `_table` (records to
checked columns; of long files `_bulk`, in blocks) -> `_assemble` (one order, one clock, one Trace).
`_source` says why orjson parses.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.importers import _source
from llmsched.importers._asked import check_there
from llmsched.importers._assemble import assembled
from llmsched.importers._blocks import Blocks, blocks_of
from llmsched.importers._bulk import is_long, read_blocks
from llmsched.importers._detect import detect, formats, named, unknown
from llmsched.importers._doubt import Doubtful
from llmsched.importers._facts import Fact, facts_of, resolved
from llmsched.importers._format import Format, Moment, Record, Run
from llmsched.importers._options import TraceOptions
from llmsched.importers._runs import Chosen, choose, joined
from llmsched.importers._source import Cells, Objects
from llmsched.importers._table import OnProgress, Table, collect
from llmsched.importers._values import Refusal
from llmsched.notes import say
from llmsched.reading import opened
from llmsched.schema import within
from llmsched.trace import Trace

__all__ = [
    "Fact",
    "Format",
    "Imported",
    "Moment",
    "Run",
    "TraceOptions",
    "detected",
    "formats",
    "load",
    "named",
    "read",
    "tell",
]


@dataclass(frozen=True)
class Imported:
    """A trace and what became of the file it was read from.

    Attributes
    ----------
    trace : Trace
    format : str
        Name of the format.
    rows : int
        Rows in the file, of the run that was read.
    dropped : mapping of str to int
        Rows dropped, by reason.
    notes : tuple of str
        What a user should know: rows dropped, times sorted, no arrival times.
    facts : tuple of Fact
        What was taken of the file or assumed of it, and how sure that is.
    run : Run or None
        How the requests of a benchmark run were sent.
    is_timed : bool
        Whether the file says when requests arrived.
    first_token, last_token : float64, shape (n,), or None
        Seconds since each request's arrival, of a measured run; NaN where nobody knows.
    """

    trace: Trace
    format: str
    rows: int
    dropped: Mapping[str, int]
    notes: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    run: Run | None = None
    is_timed: bool = True
    first_token: NDArray[np.float64] | None = None
    last_token: NDArray[np.float64] | None = None


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


@dataclass(frozen=True, eq=False)
class _Read:
    """The checked rows of a file, and what it was read as."""

    path: str
    form: Format
    unit: str
    table: Table
    first: Record
    chosen: Chosen | None = None


def read(
    source: str | Path,
    options: TraceOptions = TraceOptions(),
    on_progress: OnProgress = lambda rows, done, size: None,
    *,
    measured: bool = False,
) -> Imported:
    """Return the trace in `source` with the format found and what was dropped; see :func:`load`.

    Parameters
    ----------
    measured : bool
        Whether to read when the first and the last token of each request came as well.
    """
    found = None if measured else _in_blocks(source, options, on_progress)
    found = found or _row_by_row(source, options, on_progress, measured=measured)
    table, form, path = found.table, found.form, found.path
    if found.chosen is not None and (left_out := found.chosen.left_out):
        table.rows += left_out
        table.drop(f"the run is another ({found.chosen.of} runs, --run K picks)", left_out)
    if not len(table):
        why = "".join(_dropped_notes(table)) or "no rows"
        raise InputError(f"{path}:1: no requests are left; {why}")
    blocks = blocks_of(table, form) if table.hash_ids else None
    if blocks is not None:
        _check_clock(blocks, form, path, options)
    trace, rows, notes = assembled(table, found.unit, blocks, path, options)
    if found.chosen is not None and found.chosen.of > 1:
        trace = replace(trace, name=f"{trace.name}, run {found.chosen.number}")
    is_timed = len(table.time) > 0 and not table.all_untimed
    unit = found.unit if is_timed else None
    span = float(trace.arrival[-1]) * options.speed
    rate = (len(trace) - 1) / span if span else 0.0
    facts = tuple(facts_of(form, unit, found.first, rate, blocks, found.chosen, options))
    more = [fact.note for fact in facts if fact.note] + ([form.note] if form.note else [])
    first, last = (
        np.array(column)[slice(None) if rows is None else rows] if column else None
        for column in (table.first_token, table.last_token)
    )
    return Imported(
        trace,
        form.name,
        table.rows,
        dict(table.dropped),
        (*_dropped_notes(table), *notes, *more),
        facts,
        None if found.chosen is None else found.chosen.run,
        is_timed,
        first,
        last,
    )


def detected(
    source: str | Path, options: TraceOptions = TraceOptions(), *, unless: Collection[str] = ()
) -> Format | None:
    """Return the format of a file; None of a table that has one of some other names.

    Raises
    ------
    InputError
        It cannot be read, or is of no format.
    """
    with opened(source) as lines:
        file = _source.begin(lines)
        if isinstance(file, Cells) and set(unless) & file.first().keys():
            return None
        return _form(file, lines.path, options)[0]


def _check_clock(blocks: Blocks, form: Format, path: str, options: TraceOptions) -> None:
    """Refuse to take a file for the format whose keys it has, where its blocks say otherwise."""
    told = options.offline or options.time_unit or options.format
    if not blocks.is_other or not form.keys_are_shared or told:
        return
    usual = f"{form.hash_block}-token blocks, whose times are {form.unit}"
    raise InputError(
        f"{path}:1: expected --time-unit s or --time-unit ms: its hash_ids name blocks of "
        f"{blocks.size} tokens, so it is no {form.name} trace of {usual}; vLLM's timed traces "
        "count seconds"
    )


def _in_blocks(source: str | Path, options: TraceOptions, on_progress: OnProgress) -> _Read | None:
    """Read a long file quickly; None if it is short, or anything about it is doubtful."""
    if not is_long(source):
        return None
    with opened(source) as lines, suppress(Doubtful):
        form, unit, first, table = read_blocks(lines, options, on_progress)
        return _Read(lines.path, form, unit, table, first)
    return None


def _row_by_row(
    source: str | Path, options: TraceOptions, on_progress: OnProgress, *, measured: bool = False
) -> _Read:
    """Read a file so that anything refused is named by its line."""
    with opened(source) as lines:
        file = _source.begin(lines)
        form, first = _form(file, lines.path, options)
        if options.columns is not None:
            with within(f"{lines.path}:{file.number}", ": "):
                check_there(options.columns, file.sample(form))
        rows = file.records(form)
        if measured and form.measured_from is not None:
            form = replace(form, time=form.measured_from)
        if form.joined is not None:
            rows = joined(rows, form.joined)
        chosen = None
        if form.runs is not None:
            chosen = choose(rows, form, lines.path, options.run, skip=options.skip)
            rows = iter([(chosen.where, chosen.run.record)])
        elif options.run not in (None, 1):
            raise InputError(f"{lines.path}:1: run: expected 1, as it holds one; got {options.run}")
        unit = resolved(form, options, first)
        table = collect(
            rows,
            form,
            unit,
            lines.path,
            skip=options.skip,
            measured=measured,
            on_progress=lambda rows: on_progress(rows, *lines.progress()),
        )
        return _Read(lines.path, form, unit, table, first, chosen)


def _form(file: Objects | Cells, path: str, options: TraceOptions) -> tuple[Format, Record]:
    """Return the format of a file, and its first row (the first that has one, with `skip`)."""
    form, first = options.wanted, file.first()
    if isinstance(file, Cells):
        if form is not None and form.kind == "json":
            raise InputError(f"{path}:{file.number}: expected JSON (format {form.name})")
        form = form or detect("csv", first, timed=not options.offline)
        if form is None:
            raise InputError(f"{path}:{file.number}: {unknown('csv', first)}")
        return form, file.sample(form)[0]
    if form is not None and form.kind == "csv":
        raise InputError(f"{path}:1: expected a CSV header (format {form.name})")
    problem = "there is no row"
    for where, record in file.looked_at():
        if isinstance(record, Refusal):
            problem = record.message
        else:
            problem = unknown("json", record)
            form = form or detect("json", record, timed=not options.offline)
        if form is not None:
            return form, record if isinstance(record, dict) else first
        if not options.skip:
            raise InputError(f"{path}:{where}: {problem}")
    said = problem if problem.startswith("expected") else f"expected a trace; {problem}"
    raise InputError(f"{path}:1: {said}")


def _dropped_notes(table: Table) -> list[str]:
    reasons = "; ".join(f"{n:,} where {reason}" for reason, n in sorted(table.dropped.items()))
    total = table.dropped.total()
    return [f"dropped {total:,} of {table.rows:,} rows: {reasons}"] if total else []
