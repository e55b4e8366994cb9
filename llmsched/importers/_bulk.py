"""Whole blocks of rows at once, where nothing about them is doubtful.

Columns are checked as arrays. Whatever is unusual is `Doubtful`: then the file is read row by row
from its start, which accepts more, and names what it refuses. So this gives the same table as
`llmsched.importers._table.collect`, or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import cast

from llmsched.errors import InputError
from llmsched.importers import _source
from llmsched.importers._bulk_csv import CsvBlocks
from llmsched.importers._bulk_json import JsonBlocks
from llmsched.importers._doubt import Doubtful, doubt
from llmsched.importers._format import Format, Record, detect
from llmsched.importers._source import Refusal
from llmsched.importers._table import Dropped, OnProgress, Table
from llmsched.reading import MIB, Lines

LEAST = MIB
"""Bytes of a file from which blocks are worth it, if a doubt then has it read once more."""

_BLOCK = MIB
"""Bytes of a block: what is computed of them stays in the processor's caches."""


def is_long(source: str | Path) -> bool:
    """Return whether a source is a file, which can be read twice, and long enough to gain by it."""
    path = Path(source)
    return str(source) != "-" and os.path.isfile(path) and path.stat().st_size >= LEAST


def read_blocks(
    lines: Lines,
    wanted: Format | None,
    unit_of: Callable[[Format], str],
    on_progress: OnProgress,
) -> tuple[Format, Table]:
    """Return the format and the table of a file.

    Parameters
    ----------
    wanted : Format or None
        The format that the user says it is.
    unit_of : callable
        Returns the unit of a format's times.

    Raises
    ------
    Doubtful
        It must be read row by row.
    """
    try:
        form, adder, blocks = _begin(lines, wanted, unit_of)
        for block in blocks:
            adder.add(block)
            on_progress(adder.table.rows, *lines.progress())
    except (InputError, Refusal, Dropped, ValueError, OverflowError) as error:
        raise Doubtful from error
    doubt(adder.table.id.whole().repeated() is not None)
    return form, adder.table


def _begin(
    lines: Lines, wanted: Format | None, unit_of: Callable[[Format], str]
) -> tuple[Format, CsvBlocks | JsonBlocks, Iterator[bytes]]:
    """Look at the first line, which says what follows."""
    kind, number, first = _source.first_line(lines)
    blocks = lines.blocks(_BLOCK)
    if kind == "csv":
        names = _source.csv_names(lines.path, number, first)
        form = wanted or detect(kind, names)
        if form is None or form.kind != kind:
            raise Doubtful
        return form, CsvBlocks(form, unit_of(form), names), blocks
    record = _source.record(first)
    doubt(first[:1] == b"[" or isinstance(record, Refusal))
    form = wanted or detect(kind, cast(Record, record))
    if form is None or form.kind != kind or form.expand is not None:
        raise Doubtful
    blocks = chain([first + b"\n"], blocks)
    return form, JsonBlocks(form, unit_of(form), cast(Record, record)), blocks
