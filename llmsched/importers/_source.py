"""From lines to records; nothing here knows what a trace is.

JSON is parsed by orjson, line by line: it reads a million short lines in about a second and keeps
memory to one line, it refuses NaN and broken UTF-8 where the standard library accepts them, and,
unlike a data-frame reader (pandas, pyarrow), it keeps an integer an integer, a string a string and
every line its number, which the error messages need.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from llmsched.errors import InputError
from llmsched.importers._format import Record
from llmsched.reading import Lines

MAX_COLUMNS = 4096
"""Columns of a CSV file; the widest known trace has thirteen, so more are not those of a trace."""


class Refusal(Exception):
    """Why a record or a value is not accepted: the field, what was expected, what was there."""

    def __init__(self, field: str, expected: str, got: str = "") -> None:
        super().__init__(field, expected, got)
        self.reason = f"{field}: expected {expected}"
        self.message = f"{self.reason}, got {got}" if got else self.reason


Found = tuple[str, Record | Refusal]
"""Where a record was found ("17", or "1: item 3") and the record, or why there is none."""


def first_line(lines: Lines) -> tuple[str, int, bytes]:
    """Return ("csv" or "json", number, text) of the first line that is not blank.

    Raises
    ------
    InputError
        The text is binary, or has no such line.
    """
    lines.refuse_binary()
    for number, line in lines:
        return ("json" if line[:1] in b"{[" else "csv"), number, line
    raise InputError(f"{lines.path}:1: expected a trace, got an empty file")


def csv_names(path: str, number: int, line: bytes) -> list[str]:
    """Return the column names of a CSV header.

    Raises
    ------
    InputError
        It is not UTF-8 text, has too many columns, or a name stands there twice.
    """
    width = line.count(b",") + 1
    if width > MAX_COLUMNS:
        wanted = f"expected at most {MAX_COLUMNS:,} columns"
        raise InputError(f"{path}:{number}: header: {wanted}, got {width:,}")
    cells = _cells(line)
    if isinstance(cells, Refusal):
        raise InputError(f"{path}:{number}: {cells.message}")
    for name, times in Counter(cells).items():
        if times > 1:
            raise InputError(f"{path}:{number}: header: column {name!r} stands there twice")
    return cells


def csv_rows(lines: Lines, names: list[str]) -> Iterator[Found]:
    """Yield the rows of a CSV file below its header `names`."""
    width = len(names)
    for number, line in lines:
        cells = _cells(line, width)
        if isinstance(cells, Refusal):
            yield str(number), cells
        else:
            yield str(number), dict(zip(names, cells, strict=True))


def _cells(line: bytes, width: int | None = None) -> list[str] | Refusal:
    """Return the cells of a line; with `width` only if there are so many, told before splitting."""
    try:
        text = line.decode()
        if '"' in text:
            # One line is one row in every format here: an open quote cannot swallow the next rows.
            cells = next(csv.reader([text], strict=True))
            found = len(cells)
        else:
            found = text.count(",") + 1
            cells = text.split(",") if width in (None, found) else []
    except UnicodeDecodeError:
        return Refusal("row", "UTF-8 text")
    except csv.Error as error:
        return Refusal("row", f"CSV ({error})")
    if width not in (None, found):
        return Refusal("row", f"{width} cells", str(found))
    return [cell.strip() for cell in cells]


def json_rows(lines: Lines, number: int, first: bytes) -> Iterator[Found]:
    """Yield the records of JSON text: objects a line, an array of objects, or one document.

    An array starts with ``[``; a document over several lines starts with ``{`` on its own line.

    Raises
    ------
    InputError
        An array or a document is malformed, so that there are no records at all.
    """
    if first[:1] != b"[" and first != b"{":
        yield str(number), record(first)
        for number, line in lines:
            yield str(number), record(line)
        return
    try:
        document = loads(first + b"\n" + lines.rest())
    except orjson.JSONDecodeError as error:
        where = f"{lines.path}:{number + error.lineno - 1}"
        raise InputError(f"{where}: expected JSON, got {_malformed(error)}") from error
    if isinstance(document, list):
        for i, item in enumerate(document, 1):
            yield f"{number}: item {i}", _object(item)
    else:
        yield str(number), _object(document)


def record(line: bytes) -> Record | Refusal:
    try:
        record = _object(loads(line))
        # Only a line with more colons than keys can hold a key twice. A run with all its latencies
        # is one line of many MB, in which no request has keys: it is not worth parsing again.
        if isinstance(record, dict) and line.count(b":") > len(record) and len(line) < 2**20:
            with suppress(ValueError, RecursionError):
                json.loads(line, object_pairs_hook=_each_once)
    except orjson.JSONDecodeError as error:
        return Refusal("row", "a JSON object", _malformed(error))
    except Refusal as refusal:
        return refusal
    return record


def _each_once(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object with a key twice, of which parsers keep the last in silence."""
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise Refusal("row", "every key once", f"{as_json(key)} twice")
        seen.add(key)


def _object(value: object) -> Record | Refusal:
    return value if isinstance(value, dict) else Refusal("row", "a JSON object", as_json(value))


def loads(text: bytes) -> object:
    """Parse JSON; keep NaN and Infinity, which Python tools write.

    Where they stand in a field that counts they are refused by its name, elsewhere they do no harm.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" in text or b"Infinity" in text:
            with suppress(ValueError, TypeError, RecursionError):
                value: object = json.loads(text)
                orjson.dumps(value)  # refuses what orjson would have refused: half a surrogate pair
                return value
        raise


def _malformed(error: orjson.JSONDecodeError) -> str:
    return f"malformed JSON ({error.msg}, column {error.colno})"


def as_json(value: object) -> str:
    """Return `value` as JSON of at most 40 characters, as error messages show it."""
    try:
        text = json.dumps(value)
    except TypeError:
        return "nothing (it is missing)"  # the marker of a value that is not there
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 40 else text[:37] + "..."


def display(source: str | Path) -> str:
    """Return what messages call `source`."""
    return "<stdin>" if str(source) == "-" else str(source)
