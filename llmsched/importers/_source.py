"""From lines to records; nothing here knows what a trace is.

JSON is parsed by orjson, line by line: it reads a million short lines in about a second and keeps
memory to one line, it refuses NaN and broken UTF-8 where the standard library accepts them, and,
unlike a data-frame reader (pandas, pyarrow), it keeps an integer an integer, a string a string and
every line its number, which the error messages need.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import orjson

from llmsched.errors import InputError
from llmsched.importers._csv import Row, csv_rows, read_header
from llmsched.importers._format import Format, Record
from llmsched.importers._values import Refusal, as_json
from llmsched.reading import PARQUET, Lines

Found = tuple[str, Record | Refusal]
"""Where a record was found ("17", or "1: item 3") and the record, or why there is none."""

_SAMPLE = 100
"""Objects in which a name that somebody gives is looked for."""

_SMALL = 2**20
"""Bytes of JSON that are parsed twice, to find keys that stand there twice."""

_YAML = re.compile(rb"---|[A-Za-z_][\w.-]*:(\s+[^,;\t]*)?")


class Objects:
    """A file of objects, which name what they hold."""

    kind: Literal["json"] = "json"
    number = 1

    def __init__(self, rows: Iterator[Found]) -> None:
        self._rows = rows

    def first(self) -> Record:
        """Return the first record, which stays; empty if there is none."""
        for _, found in self.looked_at():
            if isinstance(found, dict):
                return found
        return {}

    def sample(self, form: Format) -> list[Record]:
        """Return the first records, which stay."""
        several = itertools.islice(self.looked_at(), _SAMPLE)
        return [found for _, found in several if isinstance(found, dict)]

    def looked_at(self) -> Iterator[Found]:
        """Yield rows from the first one on, which stay, for as long as somebody wants more."""
        seen, rows = [], self._rows
        try:
            for where, found in rows:
                seen.append((where, found))
                yield where, found
        finally:
            self._rows = itertools.chain(seen, rows)

    def records(self, form: Format | None = None) -> Iterator[Found]:
        """Yield all records."""
        return self._rows


class Cells:
    """A table, whose header names its columns once.

    Attributes
    ----------
    number : int
        Line of the header.
    """

    kind: Literal["csv"] = "csv"

    def __init__(self, number: int, names: list[str], rows: Iterator[Row]) -> None:
        self.number, self._names, self._rows = number, names, rows

    def first(self) -> Record:
        """Return the first row, which stays; of a table without rows the names alone."""
        where, cells = next(self._rows, ("", None))
        if cells is None:
            return dict.fromkeys(self._names)
        self._rows = itertools.chain([(where, cells)], self._rows)
        known = [None] * len(self._names) if isinstance(cells, Refusal) else cells
        return dict(zip(self._names, known, strict=True))

    def sample(self, form: Format) -> list[Record]:
        """Return the first row, whose names are those of all, as a format spells them."""
        first = self.first()
        return [dict(zip(form.spelled([*first]), first.values(), strict=True))]

    def records(self, form: Format) -> Iterator[Found]:
        """Yield all records, with the names as a format spells them."""
        names = form.spelled(self._names)
        for where, cells in self._rows:
            if isinstance(cells, Refusal):
                yield where, cells
            else:
                yield where, dict(zip(names, cells, strict=True))


def begin(lines: Lines) -> Objects | Cells:
    """Return what a file holds, told from its first line that is not blank.

    Raises
    ------
    InputError
        It is binary and no Parquet file, or empty, or its header or document cannot be read.
    """
    if lines.starts_with(PARQUET):
        from llmsched.importers._parquet import read_parquet

        names, rows = read_parquet(lines)
        return Cells(1, names, rows)
    kind, number, first = first_line(lines)
    if kind == "json":
        return Objects(json_rows(lines, number, first))
    if _YAML.fullmatch(first) or lines.path.endswith((".yaml", ".yml")):
        return Objects(yaml_rows(lines, number, first))
    header = read_header(lines.path, number, first)
    return Cells(number, header.names, csv_rows(lines, header))


def first_line(lines: Lines) -> tuple[Literal["csv", "json"], int, bytes]:
    """Return ("csv" or "json", number, text) of the first line that is not blank.

    Raises
    ------
    InputError
        The text is binary, or has no such line.
    """
    lines.refuse_binary()
    for number, line in lines:
        bare = line.strip()
        return ("json", number, bare) if bare[:1] in b"{[" else ("csv", number, line)
    raise InputError(f"{lines.path}:1: expected a trace, got an empty file")


def json_rows(lines: Lines, number: int, first: bytes) -> Iterator[Found]:
    """Yield the records of JSON text: objects a line, an array of objects, or one document.

    An array starts with ``[``; a document is what begins with ``{`` on a line that does not end it.

    Raises
    ------
    InputError
        An array or a document is malformed, so that there are no records at all.
    """
    if first.startswith(b"{") and first.endswith(b"}"):
        yield str(number), record(first)
        for number, line in lines:
            yield str(number), record(line)
        return
    rest = bytes(lines.rest())
    try:
        document = loads(first + b"\n" + rest)
    except orjson.JSONDecodeError as error:
        if first.startswith(b"[") or first == b"{":
            where = f"{lines.path}:{number + error.lineno - 1}"
            raise InputError(f"{where}: expected JSON, got {_malformed(error)}") from error
        # Lines after all, the first of which is broken.
        yield str(number), record(first)
        for below, line in enumerate(rest.split(b"\n"), number + 1):
            if line := line.strip():
                yield str(below), record(line)
    else:
        if len(rest) < _SMALL:
            try:
                json.loads(first + b"\n" + rest, object_pairs_hook=_each_once)
            except Refusal as refusal:
                raise InputError(f"{lines.path}:{number}: {refusal.message}") from None
            except (ValueError, RecursionError):
                pass  # what only the other parser takes
        yield from _items(document, number)


def _items(document: object, number: int) -> Iterator[Found]:
    if isinstance(document, list):
        for i, item in enumerate(document, 1):
            yield f"{number}: item {i}", _object(item)
    else:
        yield str(number), _object(document)


def yaml_rows(lines: Lines, number: int, first: bytes) -> Iterator[Found]:
    """Yield the records of a YAML document: a report that may as well be JSON.

    Raises
    ------
    InputError
        It is not YAML.
    """
    from llmsched.documents.yaml import read_foreign

    yield from _items(read_foreign(bytes(first + b"\n" + lines.rest()), lines.path), number)


def record(line: bytes) -> Record | Refusal:
    """Return the object on a line, or why there is none."""
    try:
        record = _object(loads(line))
        # Only a line with more colons than keys can hold a key twice. A run with all its latencies
        # is one line of many MB, in which no request has keys: it is not worth parsing again.
        if isinstance(record, dict) and line.count(b":") > len(record) and len(line) < _SMALL:
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


def display(source: str | Path) -> str:
    """Return what messages call `source`."""
    return "<stdin>" if str(source) == "-" else str(source)
