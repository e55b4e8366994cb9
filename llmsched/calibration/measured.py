"""Measured steps, as a profiler writes them: one row a step, a CSV with a header."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.reading import text_lines

COUNTS = ("num_prefill_tokens", "num_decode_seqs", "kv_tokens")
OPTIONAL_COUNTS = ("sum_sq_prefill", "sum_prefill_x_ctx")
TIME = "step_ms"


@dataclass(frozen=True, eq=False)
class MeasuredSteps:
    """Batch compositions and how long each took; every column has shape (n,).

    Attributes
    ----------
    prefill_tokens, decode_seqs, kv_tokens : float64
        Prompt tokens computed, sequences decoding, and the context tokens those read.
    sum_sq, sum_x_context : float64 or None
        Sums of chunk length squared, and of length x tokens computed before; None: not recorded.
    seconds : float64
        Duration of the step, > 0.
    source : str
        Where the steps came from, for messages.
    """

    prefill_tokens: NDArray[np.float64]
    decode_seqs: NDArray[np.float64]
    kv_tokens: NDArray[np.float64]
    sum_sq: NDArray[np.float64] | None
    sum_x_context: NDArray[np.float64] | None
    seconds: NDArray[np.float64]
    source: str = "steps"

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def tokens(self) -> NDArray[np.float64]:
        """Tokens computed by each step."""
        return self.prefill_tokens + self.decode_seqs

    @property
    def kinds(self) -> dict[str, NDArray[np.bool_]]:
        """Which rows are decode-only, prefill-only and mixed."""
        prefill, decode = self.prefill_tokens > 0, self.decode_seqs > 0
        return {
            "decode": decode & ~prefill,
            "prefill": prefill & ~decode,
            "mixed": prefill & decode,
        }

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> MeasuredSteps:
        """Return some of the rows."""
        return MeasuredSteps(
            self.prefill_tokens[rows],
            self.decode_seqs[rows],
            self.kv_tokens[rows],
            None if self.sum_sq is None else self.sum_sq[rows],
            None if self.sum_x_context is None else self.sum_x_context[rows],
            self.seconds[rows],
            self.source,
        )


def read_steps(path: str | Path) -> MeasuredSteps:
    """Read a CSV of steps, plain or gzipped; columns that are not needed are ignored.

    Raises
    ------
    InputError
        The file cannot be read, a column is missing, or a row has a bad value: file, line, field.
    """
    rows: list[list[float]] = []
    lines = _lines(Path(path))
    header = next(lines, (1, []))[1]
    wanted = [name for name in (*COUNTS, *OPTIONAL_COUNTS, TIME) if name in header]
    for name in (*COUNTS, TIME):
        if name not in header:
            raise InputError(f"{path}:1: {name}: expected this column, got {', '.join(header)}")
    at = [header.index(name) for name in wanted]
    for number, cells in lines:
        if len(cells) != len(header):
            raise InputError(
                f"{path}:{number}: row: expected {len(header)} fields, got {len(cells)}"
            )
        rows.append([_value(f"{path}:{number}", header[i], cells[i]) for i in at])
        if rows[-1][0] + rows[-1][1] == 0:
            raise InputError(f"{path}:{number}: {COUNTS[0]}: expected a step with tokens, got none")
    if not rows:
        raise InputError(f"{path}: expected steps below the header, got none")
    table = dict(zip(wanted, np.array(rows, dtype=np.float64).T, strict=True))
    return MeasuredSteps(
        prefill_tokens=table["num_prefill_tokens"],
        decode_seqs=table["num_decode_seqs"],
        kv_tokens=table["kv_tokens"],
        sum_sq=table.get("sum_sq_prefill"),
        sum_x_context=table.get("sum_prefill_x_ctx"),
        seconds=table[TIME] / 1000.0,
        source=str(path),
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not empty."""
    reader = csv.reader(text_lines(path))
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: expected CSV, got: {error}") from error


def _value(where: str, name: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    sign = "> 0" if name == TIME else ">= 0"
    if not 0 <= value < 1e18 or (name == TIME and value == 0):
        raise InputError(f"{where}: {name}: expected a number {sign}, got {cell!r}")
    return value
