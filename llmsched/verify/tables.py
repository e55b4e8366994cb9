"""Reading back what ``simulate --requests`` and ``--steps`` wrote."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.reading import text_lines

STATUS_WORDS = ("completed", "refused", "aborted")
COMPLETED, REFUSED, ABORTED = range(3)


@dataclass(frozen=True, eq=False)
class Requests:
    """One entry a request, in the order of the file; times in seconds, shape (n,) each.

    What did not come is NaN. `status` is an index of `STATUS_WORDS`. Without a prefix cache nothing
    is found in it.
    """

    id: tuple[str, ...]
    arrival_s: NDArray[np.float64]
    input_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]
    admitted_s: NDArray[np.float64]
    first_token_s: NDArray[np.float64]
    finish_s: NDArray[np.float64]
    preemptions: NDArray[np.int64]
    status: NDArray[np.int64]
    emitted_tokens: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> Requests:
        """Return some of the requests."""
        columns: dict[str, Any] = {
            field.name: getattr(self, field.name)[rows] for field in fields(self)[1:]
        }
        return Requests(tuple(compress(self.id, rows)), **columns)


@dataclass(frozen=True, eq=False)
class Steps:
    """One entry a row, in the order of the file; a row is a step, or `rounds` decode rounds."""

    start_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    rounds: NDArray[np.int64]
    prefill_tokens: NDArray[np.int64]
    prefill_seqs: NDArray[np.int64]
    decode_seqs: NDArray[np.int64]
    kv_tokens: NDArray[np.int64]
    running: NDArray[np.int64]
    waiting: NDArray[np.int64]
    cached_tokens: NDArray[np.int64]

    @property
    def end_s(self) -> NDArray[np.float64]:
        """When each row ends."""
        return self.start_s + self.duration_s


def read_requests(path: str | Path) -> Requests:
    """Read a ``--requests`` file.

    Raises
    ------
    InputError
        It cannot be read, a column is missing, or a cell is not the number it should be.
    """
    table = _Table(path)
    status = table.words("status", STATUS_WORDS)
    may_lack = status > 0
    emitted = "emitted_tokens" if table.has("emitted_tokens") else "output_tokens"
    return Requests(
        id=tuple(table.cells("id")),
        arrival_s=table.seconds("arrival_s"),
        input_tokens=table.counts("input_tokens"),
        output_tokens=table.counts("output_tokens"),
        admitted_s=table.seconds("admitted_s", may_lack),
        first_token_s=table.seconds("first_token_s", may_lack),
        finish_s=table.seconds("finish_s", may_lack),
        preemptions=table.counts("preemptions"),
        status=status,
        emitted_tokens=table.counts(emitted),
        cached_tokens=table.counts_or_none("cached_tokens"),
    )


def read_steps(path: str | Path) -> Steps:
    """Read a ``--steps`` file; raises as :func:`read_requests` does."""
    table = _Table(path)
    return Steps(
        start_s=table.seconds("start_s"),
        duration_s=table.seconds("duration_s"),
        rounds=table.counts("rounds"),
        prefill_tokens=table.counts("prefill_tokens"),
        prefill_seqs=table.counts("prefill_seqs"),
        decode_seqs=table.counts("decode_seqs"),
        kv_tokens=table.counts("kv_tokens"),
        running=table.counts("running"),
        waiting=table.counts("waiting"),
        cached_tokens=table.counts_or_none("cached_tokens"),
    )


class _Table:
    """A CSV file by columns."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            rows = list(csv.reader(text_lines(path), strict=True))
        except csv.Error as error:
            raise InputError(f"{path}: cannot read: {error}") from error
        self._header, lines = (rows[0], rows[1:]) if rows else ([], [])
        if not lines:
            raise InputError(f"{path}:2: expected at least one row, got the end of the file")
        for number, line in enumerate(lines, 2):
            if len(line) != len(self._header):
                wanted = len(self._header)
                raise InputError(f"{path}:{number}: expected {wanted} cells, got {len(line)}")
        self._columns = list(zip(*lines, strict=True))

    def cells(self, name: str) -> tuple[str, ...]:
        """Return a column as text."""
        if self._header.count(name) != 1:
            got = ", ".join(self._header)
            raise InputError(f"{self._path}:1: header: expected one column {name}, got {got}")
        return self._columns[self._header.index(name)]

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._header

    def words(self, name: str, words: Sequence[str]) -> NDArray[np.int64]:
        """Return which of the words each cell is; the first where there is no such column."""
        if not self.has(name):
            return np.zeros(len(self._columns[0]), np.int64)
        cells = self.cells(name)
        for line, cell in enumerate(cells, 2):
            if cell not in words:
                raise self._expected(line, name, f"one of {', '.join(words)}", cell)
        return np.array([words.index(cell) for cell in cells], dtype=np.int64)

    def seconds(self, name: str, may_lack: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Return a column of finite numbers; NaN where a cell is empty and may be."""
        lacks = np.zeros(len(self._columns[0]), np.bool_) if may_lack is None else may_lack
        return np.array(
            [
                math.nan if lack and not cell else self._time(line, name, cell)
                for line, (cell, lack) in enumerate(zip(self.cells(name), lacks, strict=True), 2)
            ]
        )

    def counts(self, name: str) -> NDArray[np.int64]:
        """Return a column of integers >= 0."""
        return np.array([self._count(i, name, x) for i, x in enumerate(self.cells(name), 2)])

    def counts_or_none(self, name: str) -> NDArray[np.int64]:
        """Return a column of integers >= 0, of zeros where there is no such column."""
        if self.has(name):
            return self.counts(name)
        return np.zeros(len(self._columns[0]), np.int64)

    def _time(self, line: int, name: str, cell: str) -> float:
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._expected(line, name, "a finite number", cell)
        return value

    def _count(self, line: int, name: str, cell: str) -> int:
        if not (cell.isascii() and cell.isdigit() and len(cell) < 19):
            raise self._expected(line, name, "an integer >= 0", cell)
        return int(cell)

    def _expected(self, line: int, name: str, what: str, cell: str) -> InputError:
        return InputError(f"{self._path}:{line}: {name}: expected {what}, got {cell!r}")
