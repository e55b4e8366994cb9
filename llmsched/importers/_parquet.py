"""Tables in Parquet files: pyarrow reads the columns, and cells become what they are in CSV."""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llmsched.errors import InputError
from llmsched.importers._csv import Row
from llmsched.reading import Lines

_BATCH = 2**14


def read_parquet(lines: Lines) -> tuple[list[str], Iterator[Row]]:
    """Return the columns of a Parquet file and its rows, numbered from 1.

    Raises
    ------
    InputError
        pyarrow is not installed, or the file is broken.
    """
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        needs = "reading Parquet needs pyarrow: pip install pyarrow"
        raise InputError(f"{lines.path}: {needs}") from error
    with _blamed(arrow, lines.path):
        file = parquet.ParquetFile(io.BytesIO(lines.rest()))
        return list(file.schema_arrow.names), _rows(arrow, file, lines.path)


def _rows(arrow: Any, file: Any, path: str) -> Iterator[Row]:
    number = 0
    with _blamed(arrow, path):
        for batch in file.iter_batches(_BATCH):
            columns = [_values(arrow, column) for column in batch.columns]
            for cells in zip(*columns, strict=True):
                number += 1
                yield f"row {number}", cells


@contextmanager
def _blamed(arrow: Any, path: str) -> Iterator[None]:
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: expected a Parquet file: {problem}") from error


def _values(arrow: Any, column: Any) -> list[object]:
    """Return a column as plain values: no date of pandas has 100 ns, a text has."""
    if arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.string())
    if arrow.types.is_decimal(column.type):
        column = column.cast(arrow.float64())
    values: list[object] = column.to_pylist()
    return values
