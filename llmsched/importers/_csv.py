"""Tables of text: the header, what separates its columns, and the rows below it."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmsched.errors import InputError
from llmsched.importers._values import Refusal, as_number, is_date
from llmsched.reading import Lines

MAX_COLUMNS = 4096
"""Columns of a CSV file; the widest known trace has thirteen, so more are not those of a trace."""

Row = tuple[str, Sequence[object] | Refusal]
"""Where a row of a table is, and its cells, or why there are none."""

_SEPARATORS = ",;\t"


@dataclass(frozen=True)
class Header:
    """The names of a table's columns, and what stands between them."""

    names: list[str]
    separator: str


def read_header(path: str, number: int, line: bytes) -> Header:
    """Return the header of a table: its separator is what splits the line most often.

    Raises
    ------
    InputError
        It is not UTF-8 text, has too many columns, a name stands there twice, or it is a row of
        numbers.
    """
    where = f"{path}:{number}"
    counts = {mark: line.count(mark.encode()) for mark in _SEPARATORS}
    separator = max(counts, key=lambda mark: counts[mark])
    if (width := counts[separator] + 1) > MAX_COLUMNS:
        wanted = f"expected at most {MAX_COLUMNS:,} columns"
        raise InputError(f"{where}: header: {wanted}, got {width:,}")
    names = cells_of(line, separator)
    if isinstance(names, Refusal):
        raise InputError(f"{where}: {names.message}")
    if all(is_date(name) or not isinstance(as_number(name), str) for name in names):
        wanted = "a header line that names the columns, as timestamp,input_length,output_length"
        raise InputError(f"{where}: expected {wanted}; got a row of values: {', '.join(names[:9])}")
    for name, times in Counter(names).items():
        if times > 1:
            raise InputError(f"{where}: header: column {name!r} stands there twice")
    return Header(names, separator)


def csv_rows(lines: Lines, header: Header) -> Iterator[Row]:
    """Yield the rows of a table below its header."""
    width = len(header.names)
    for number, line in lines:
        yield str(number), cells_of(line, header.separator, width)


def cells_of(line: bytes, separator: str, width: int | None = None) -> list[str] | Refusal:
    """Return the cells of a line; with `width` only if there are so many, told before splitting."""
    try:
        text = line.decode()
        if '"' in text:
            # One line is one row in every format here: an open quote cannot swallow the next rows.
            cells = next(csv.reader([text], delimiter=separator, strict=True))
            found = len(cells)
        else:
            found = text.count(separator) + 1
            cells = text.split(separator) if width in (None, found) else []
    except UnicodeDecodeError:
        return Refusal("row", "UTF-8 text")
    except csv.Error as error:
        return Refusal("row", f"CSV ({error})")
    if width not in (None, found):
        return Refusal("row", f"{width} cells", str(found))
    return [cell.strip() for cell in cells]
