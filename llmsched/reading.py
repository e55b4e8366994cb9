"""Bytes of foreign files: decompressed, line by line or whole, and never more than a said amount.

A line of text has no natural length and a small compressed file no natural size, so both are read
in pieces, and refused as soon as they pass the limit: what is refused costs its limit in memory.
"""

from __future__ import annotations

import codecs
import gzip
import importlib
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from llmsched.errors import InputError
from llmsched.files import input_path

MIB = 2**20

MAX_LINE = 16 * MIB
"""Bytes in one line, decompressed; more is refused."""

MAX_DOCUMENT = 256 * MIB
"""Bytes in one document, decompressed: a benchmark run with all its latencies may be one line."""

_PIECE = 2**18
_ZSTD_PIECE = 2**9
"""Compressed bytes decoded at once: four may stand for 128 KiB, so more might fill the memory."""

_AROUND = b" \r\n\v\f"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
PARQUET = b"PAR1"
"""What a Parquet file begins with."""


class Lines:
    """Iterator over the lines that are not blank, as (number from 1, bytes).

    Ends of lines and spaces around them are taken off, but no tabs: they may be empty cells.

    The first of them may be a whole JSON document; any other one is at most `MAX_LINE` long.
    """

    def __init__(self, path: str, stream: io.BufferedReader, file: BinaryIO | None = None) -> None:
        self.path = path
        self.number = 0
        self._stream = stream
        self._file = file
        self._size = 0 if file is None else os.fstat(file.fileno()).st_size
        self._document_may_come = True

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return self

    def __next__(self) -> tuple[int, bytes]:
        while line := self._guarded(self._line):
            self.number += 1
            if self.number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if b"\0" in line:
                self.number -= 1
                raise self._error("expected UTF-8 text, got binary data")
            if line.strip():
                self._document_may_come = False
                return self.number, line.strip(_AROUND)
        raise StopIteration

    def progress(self) -> tuple[int, int]:
        """Return how many bytes of the file have been read, and how many it has; 0 of no file."""
        return (self._file.tell(), self._size) if self._file and self._size else (0, 0)

    def raw(self, *, document: bool = False) -> Iterator[bytes]:
        """Yield every line as it stands, with its end; each is at most `MAX_LINE` long.

        With `document`, the first that is not blank may be a whole JSON document.
        """
        self._document_may_come = document
        while line := self._guarded(self._line):
            self.number += 1
            if self._document_may_come and line.strip():
                self._document_may_come = False
            yield line

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield what follows in blocks of about `size` bytes that end with a line's end.

        Raises
        ------
        InputError
            The file is broken, or a line is longer than a block.
        """
        rest = b""
        while piece := self._guarded(lambda: self._stream.read(size)):
            head, end, tail = piece.rpartition(b"\n")
            if not end and len(rest) + len(piece) > size:
                raise self._error(f"expected lines of at most {_mib(size)}")
            if end:
                yield rest + head + end
                rest = tail
            else:
                rest += piece
        if rest:
            yield rest

    def starts_with(self, magic: bytes) -> bool:
        """Whether what follows begins with these bytes, which are not taken."""
        return self._guarded(self._stream.peek).startswith(magic)

    def refuse_binary(self) -> None:
        """Look at the start of the first line only: a device may have no end of line at all.

        Raises
        ------
        InputError
            There are zero bytes, which no text has.
        """
        if b"\0" in self._guarded(self._stream.peek).partition(b"\n")[0]:
            raise self._error("expected UTF-8 text, got binary data")

    def rest(self, limit: int | None = None) -> bytearray:
        """Return all that follows the last line; at most `limit` bytes, or `MAX_DOCUMENT`.

        Raises
        ------
        InputError
            It is more, or broken.
        """
        limit = MAX_DOCUMENT if limit is None else limit
        whole = bytearray()
        while piece := self._guarded(lambda: self._stream.read(_PIECE)):
            whole += piece
            if len(whole) > limit:
                raise self._error(f"expected a document of at most {_mib(limit)}")
        return whole

    def _line(self) -> bytes:
        line = self._stream.readline(_PIECE)
        if len(line) < _PIECE:
            return line
        whole = bytearray(line)  # which grows in place, where joining pieces would hold them twice
        begun = line.lstrip(codecs.BOM_UTF8 + b" \t")
        document = self._document_may_come and begun.startswith((b"{", b"["))
        limit, what = (MAX_DOCUMENT, "document") if document else (MAX_LINE, "line")
        while not whole.endswith(b"\n") and (piece := self._stream.readline(_PIECE)):
            whole += piece
            if len(whole) > limit:
                raise self._error(f"expected a {what} of at most {_mib(limit)}")
        return bytes(whole)

    def _guarded(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except _broken_data() as error:
            raise self._error(f"expected whole compressed data: {error}") from error
        except OSError as error:
            raise self._error(f"cannot read: {error.strerror or error}") from error

    def _error(self, problem: str) -> InputError:
        return InputError(f"{self.path}:{self.number + 1}: {problem}")


@contextmanager
def opened(source: str | Path) -> Iterator[Lines]:
    """Open a path, or stdin for "-", and undo gzip or Zstandard, told by their first bytes.

    Raises
    ------
    InputError
        There is no such file, it cannot be read, this run writes it, or Zstandard support is not
        installed.
    """
    path = input_path(source)
    if str(source) == "-":
        if sys.stdin.buffer.closed:
            raise InputError("<stdin>: expected to be read once, got another use of it")
        yield Lines("<stdin>", _decompressed("<stdin>", sys.stdin.buffer))
        return
    try:
        stream = open(path, "rb")  # noqa: SIM115 (closed by the with below)
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{source}: cannot read: {problem}") from error
    with stream:
        yield Lines(str(source), _decompressed(str(source), stream), stream)


def read_whole(source: str | Path, limit: int | None = None) -> bytes:
    """Return all that is in a file, decompressed; at most `limit` bytes, or `MAX_DOCUMENT`.

    Raises
    ------
    InputError
        As `opened`, or it holds more.
    """
    with opened(source) as lines:
        return bytes(lines.rest(limit))


def read_text(source: str | Path, limit: int | None = None) -> str:
    """Return a file's text without its byte order mark.

    Raises
    ------
    InputError
        As `read_whole`, or it is not UTF-8.
    """
    try:
        return read_whole(source, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: expected UTF-8 text, got {error.reason}") from error


def text_lines(source: str | Path) -> Iterator[str]:
    """Yield the lines of a text file with their ends, as `csv.reader` takes them.

    Raises
    ------
    InputError
        As `opened`, a line is too long, or one is not UTF-8.
    """
    with opened(source) as lines:
        for line in lines.raw():
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                where = f"{lines.path}:{lines.number}"
                raise InputError(f"{where}: expected UTF-8 text, got {error.reason}") from error
            yield text.removeprefix("\ufeff") if lines.number == 1 else text


def _mib(size: int) -> str:
    return f"{size // MIB} MiB"


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
            problem = "reading .zst needs Zstandard: pip install zstandard"
            raise InputError(f"{path}: {problem}") from error
        self._stream = stream
        self._frame = self._zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._frame.unused_data if self._frame.eof else b""
            data = data or self._stream.read(_ZSTD_PIECE)
            if not data:
                if self._begun and not self._frame.eof:
                    raise EOFError("the last frame is cut short")
                return 0
            if self._frame.eof:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            self._begun = True
            self._ready = memoryview(self._frame.decompress(data))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _broken_data() -> tuple[type[Exception], ...]:
    """Return what decompressors raise (Zstandard's own error only where it is in use)."""
    zstandard = sys.modules.get("zstandard")
    own = () if zstandard is None else (zstandard.ZstdError,)
    return (EOFError, zlib.error, gzip.BadGzipFile, *own)
