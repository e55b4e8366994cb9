"""Whole blocks of rows at once, where nothing about them is doubtful.

Columns are checked as arrays. Whatever is unusual is `Doubtful`: then the file is read row by row
from its start, which accepts more, and names what it refuses. So this gives the same table as
`llmsched.importers._table.collect`, or none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

from llmsched.errors import InputError
from llmsched.importers import _source
from llmsched.importers._asked import check_there
from llmsched.importers._bulk_csv import CsvBlocks
from llmsched.importers._bulk_json import JsonBlocks
from llmsched.importers._csv import cells_of, read_header
from llmsched.importers._detect import detect
from llmsched.importers._doubt import Doubtful, doubt
from llmsched.importers._facts import resolved
from llmsched.importers._format import Format, Record
from llmsched.importers._options import TraceOptions
from llmsched.importers._table import OnProgress, Table
from llmsched.importers._values import Dropped, Refusal
from llmsched.reading import MIB, PARQUET, Lines

LEAST = MIB
"""Bytes of a file from which blocks are worth it, if a doubt then has it read once more."""

_BLOCK = MIB
"""Bytes of a block: what is computed of them stays in the processor's caches."""


def is_long(source: str | Path) -> bool:
    """Return whether a source is a file, which can be read twice, and long enough to gain by it."""
    path = Path(source)
    return str(source) != "-" and os.path.isfile(path) and path.stat().st_size >= LEAST


def read_blocks(
    lines: Lines, options: TraceOptions, on_progress: OnProgress
) -> tuple[Format, str, Record, Table]:
    """Return the format of a file, the unit of its times, its first row, and its table.

    Raises
    ------
    Doubtful
        It must be read row by row.
    """
    try:
        begun = _begin(lines, options)
        table = begun.adder.table
        for block in begun.blocks:
            begun.adder.add(block)
            on_progress(table.rows, *lines.progress())
    except (InputError, Refusal, Dropped, ValueError, OverflowError) as error:
        raise Doubtful from error
    doubt(table.id.whole().repeated() is not None)
    return begun.form, begun.unit, begun.first, table


class _Begun(NamedTuple):
    form: Format
    unit: str
    first: Record
    adder: CsvBlocks | JsonBlocks
    blocks: Iterator[bytes]


def _begin(lines: Lines, options: TraceOptions) -> _Begun:
    """Look at the first lines, which say what follows."""
    doubt(lines.starts_with(PARQUET) or options.run is not None)
    kind, number, first = _source.first_line(lines)
    blocks = lines.blocks(_BLOCK)
    header = read_header(lines.path, number, first) if kind == "csv" else None
    if header is None:
        record = _source.record(first)
        doubt(first[:1] == b"[" or isinstance(record, Refusal))
        blocks = chain([first + b"\n"], blocks)
    else:
        ahead = next(blocks, b"")
        cells = cells_of(ahead.partition(b"\n")[0], header.separator, len(header.names))
        doubt(isinstance(cells, Refusal))
        record = dict(zip(header.names, cast("list[str]", cells), strict=True))
        blocks = chain([ahead], blocks)
    row = cast(Record, record)
    form = options.wanted or detect(kind, row, timed=not options.offline)
    if form is None or form.kind not in (kind, "any"):
        raise Doubtful
    doubt(form.expand is not None or form.runs is not None)
    names = [*row] if header is None else form.spelled(header.names)
    row = dict(zip(names, row.values(), strict=True))
    if options.columns is not None:
        check_there(options.columns, [row])  # an error there is a doubt here
    unit = resolved(form, options, row)
    if header is None:
        return _Begun(form, unit, row, JsonBlocks(form, unit, row), blocks)
    return _Begun(form, unit, row, CsvBlocks(form, unit, names, header.separator), blocks)
