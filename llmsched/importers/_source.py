"""From a path or stdin to records; nothing here knows what a trace is.

JSON is parsed by orjson, line by line: it reads a million short lines in about a second and keeps
memory to one line, it refuses NaN and broken UTF-8 where the standard library accepts them, and,
unlike a data-frame reader (pandas, pyarrow), it keeps an integer an integer, a string a string and
every line its number, which the error messages need.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from llmsched.errors import InputError
from llmsched.files import reading
from llmsched.importers._format import Record

MAX_LINE = 2**30
"""Bytes in one line or JSON document (a benchmark run with all its latencies); more is refused."""

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Refusal(Exception):
    """Why a record or a value is not accepted: the field, what was expected, what was there."""

    def __init__(self, field: str, expected: str, got: str = "") -> None:
        super().__init__(field, expected, got)
        self.reason = f"{field}: expected {expected}"
        self.message = f"{self.reason}, got {got}" if got else self.reason


Row = tuple[str, Record | Refusal]
"""Where a record was found ("17", or "1: item 3") and the record, or why there is none."""


class Lines:
    """Iterator over the lines that are not blank, as (number from 1, stripped bytes)."""

    def __init__(self, path: str, stream: io.BufferedReader) -> None:
        self.path = path
        self.number = 0
        self._stream = stream

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self

    def __next__(self) -> tuple[int, bytes]:
        while line := self._guarded(self._stream.readline):
            self.number += 1
            if self.number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if b"\0" in line:
                self.number -= 1
                raise self._error("expected UTF-8 text, got binary data")
            if line := line.strip():
                return self.number, line
        raise StopIteration

    def refuse_binary(self) -> None:
        """Look at the start of the first line only: a device may have no end of line at all.

        Raises
        ------
        InputError
            There are zero bytes, which no text has.
        """
        if b"\0" in self._guarded(self._stream.peek).partition(b"\n")[0]:
            raise self._error("expected UTF-8 text, got binary data")

    def rest(self) -> bytes:
        """Return all that follows the last line."""
        return self._guarded(self._stream.read)

    def _guarded(self, read: Callable[[int], bytes]) -> bytes:
        try:
            data = read(MAX_LINE + 1)
        except _broken_data() as error:
            raise self._error(f"expected whole compressed data: {error}") from error
        except OSError as error:
            raise self._error(f"cannot read: {error.strerror or error}") from error
        if len(data) > MAX_LINE:
            raise self._error(f"expected a line of at most {MAX_LINE} bytes")
        return data

    def _error(self, problem: str) -> InputError:
        return InputError(f"{self.path}:{self.number + 1}: {problem}")


@contextmanager
def opened(source: str | Path) -> Iterator[Lines]:
    """Open a path, or stdin for "-", and undo gzip or Zstandard, told by their first bytes.

    Raises
    ------
    InputError
        There is no such file, it cannot be read, or Zstandard support is not installed.
    """
    path = reading(source)
    if str(source) == "-":
        yield Lines("<stdin>", _decompressed("<stdin>", sys.stdin.buffer))
        return
    try:
        stream = open(path, "rb")  # noqa: SIM115 (closed by the with below)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{source}: cannot read: {problem}") from error
    with stream:
        yield Lines(str(source), _decompressed(str(source), stream))


def _decompressed(path: str, stream: BinaryIO) -> io.BufferedReader:
    buffered: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, stream))
    try:
        magic = buffered.peek(4)[:4]
    except OSError as error:
        raise InputError(f"{path}: cannot read: {error.strerror or error}") from error
    if magic.startswith(_GZIP):
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=buffered)), 2**17)
    if magic.startswith(_ZSTD):
        return io.BufferedReader(_Zstd(path, buffered), 2**17)
    return buffered


class _Zstd(io.RawIOBase):
    """Zstandard frames as a stream, which notices when the last one is cut short."""

    def __init__(self, path: str, stream: BinaryIO) -> None:
        try:
            self._zstandard = importlib.import_module("zstandard")
        except ImportError as error:
            problem = "reading .zst needs an extra: pip install 'llmsched[zst]'"
            raise InputError(f"{path}: {problem}") from error
        self._stream = stream
        self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = (self._frame.unused_data if self._frame.eof else b"") or self._stream.read(2**16)
            if not data:
                if self._begun and not self._frame.eof:
                    raise EOFError("the last frame is cut short")
                return 0
            if self._frame.eof:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._ready = self._frame.decompress(data)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _broken_data() -> tuple[type[Exception], ...]:
    """Return what decompressors raise (Zstandard's own error only where it is in use)."""
    zstandard = sys.modules.get("zstandard")
    own = () if zstandard is None else (zstandard.ZstdError,)
    return (EOFError, zlib.error, gzip.BadGzipFile, *own)


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
        It is not UTF-8 text, or a name stands there twice.
    """
    cells = _cells(line)
    if isinstance(cells, Refusal):
        raise InputError(f"{path}:{number}: {cells.message}")
    for name in cells:
        if cells.count(name) > 1:
            raise InputError(f"{path}:{number}: header: column {name!r} stands there twice")
    return cells


def csv_rows(lines: Lines, names: list[str]) -> Iterator[Row]:
    """Yield the rows of a CSV file below its header `names`."""
    width = len(names)
    for number, line in lines:
        cells = _cells(line)
        if isinstance(cells, Refusal):
            yield str(number), cells
        elif len(cells) != width:
            yield str(number), Refusal("row", f"{width} cells", str(len(cells)))
        else:
            yield str(number), dict(zip(names, cells, strict=True))


def _cells(line: bytes) -> list[str] | Refusal:
    try:
        text = line.decode()
        # One line is one row in every format here, so an open quote cannot swallow the next rows.
        cells = next(csv.reader([text], strict=True)) if '"' in text else text.split(",")
    except UnicodeDecodeError:
        return Refusal("row", "UTF-8 text")
    except csv.Error as error:
        return Refusal("row", f"CSV ({error})")
    return [cell.strip() for cell in cells]


def json_rows(lines: Lines, number: int, first: bytes) -> Iterator[Row]:
    """Yield the records of JSON text: objects a line, an array of objects, or one document.

    An array starts with ``[``; a document over several lines starts with ``{`` on its own line.

    Raises
    ------
    InputError
        An array or a document is malformed, so that there are no records at all.
    """
    if first[:1] != b"[" and first != b"{":
        yield str(number), _record(first)
        for number, line in lines:
            yield str(number), _record(line)
        return
    try:
        document = _loads(first + b"\n" + lines.rest())
    except orjson.JSONDecodeError as error:
        where = f"{lines.path}:{number + error.lineno - 1}"
        raise InputError(f"{where}: expected JSON, got {_malformed(error)}") from error
    if isinstance(document, list):
        for i, item in enumerate(document, 1):
            yield f"{number}: item {i}", _object(item)
    else:
        yield str(number), _object(document)


def _record(line: bytes) -> Record | Refusal:
    try:
        record = _object(_loads(line))
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
            raise Refusal("row", "every key once", f"{shown(key)} twice")
        seen.add(key)


def _object(value: object) -> Record | Refusal:
    return value if isinstance(value, dict) else Refusal("row", "a JSON object", shown(value))


def _loads(text: bytes) -> object:
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


def shown(value: object) -> str:
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
