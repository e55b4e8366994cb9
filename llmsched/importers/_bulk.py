"""Whole blocks of rows at once, where nothing about them is doubtful.

pandas parses CSV, and columns are checked as arrays. Whatever is unusual (a quote, a space beside a
comma, a byte that is no ASCII, a value that is not plainly what its column takes) is `Doubtful`:
then the file is read row by row from its start, which accepts more, and names what it refuses. So
this gives the same table as `llmsched.importers._table.collect`, or none.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.importers import _source
from llmsched.importers._format import Format, Record, detect, never
from llmsched.importers._source import Refusal
from llmsched.importers._table import (
    MAX_SECONDS,
    MISSING,
    UNITS,
    Adder,
    Dropped,
    Table,
    getter,
    label_of,
)
from llmsched.reading import MIB, Lines
from llmsched.trace import MAX_TOKENS

if TYPE_CHECKING:
    import pandas as pd

LEAST = MIB
"""Bytes of a file from which blocks are worth it: pandas takes a while to import."""

_BLOCK = 8 * MIB
_NUMERIC = set("0123456789.eE-")  # Python takes more for a number
_UNUSUAL_CSV = (b'"', b"+", b"\t", b"\r", b"\0", b"\n\n", b", ", b" ,", b"\n ", b" \n")


class Doubtful(Exception):
    """Something that only reading row by row can judge."""


def is_long(source: str | Path) -> bool:
    """Return whether a source is a file, which can be read twice, and long enough to gain by it."""
    path = Path(source)
    return os.path.isfile(path) and path.stat().st_size >= LEAST


def read_blocks(
    lines: Lines,
    wanted: Format | None,
    unit_of: Callable[[Format], str],
    on_progress: Callable[[int], None],
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
            on_progress(adder.table.rows)
    except (InputError, Refusal, Dropped, ValueError, OverflowError) as error:
        raise Doubtful from error
    _doubt(len(set(adder.table.id)) < len(adder.table.id))
    return form, adder.table


def _begin(
    lines: Lines, wanted: Format | None, unit_of: Callable[[Format], str]
) -> tuple[Format, _Csv | _Json, Iterator[bytes]]:
    """Look at the first line, which says what follows."""
    kind, number, first = _source.first_line(lines)
    blocks = lines.blocks(_BLOCK)
    if kind == "csv":
        names = _source.csv_names(lines.path, number, first)
        form = wanted or detect(kind, names)
        if form is None or form.kind != kind:
            raise Doubtful
        return form, _Csv(form, unit_of(form), names), blocks
    record = _source.record(first)
    _doubt(first[:1] == b"[" or isinstance(record, Refusal))
    form = wanted or detect(kind, cast(Record, record))
    if form is None or form.kind != kind or form.expand is not None:
        raise Doubtful
    return form, _Json(form, unit_of(form)), chain([first + b"\n"], blocks)


def _doubt(doubtful: bool | np.bool_) -> None:
    if doubtful:
        raise Doubtful


class _Json:
    """Columns out of JSON lines, a block at a time."""

    def __init__(self, form: Format, unit: str) -> None:
        self.table = Table()
        self._form, self._unit = form, unit
        self._one = Adder(self.table, form, unit)  # for what is done row by row here as well

    def add(self, block: bytes) -> None:
        lines = block.removesuffix(b"\n").count(b"\n")
        _doubt(b"\0" in block or not block.startswith(b"{") or block.count(b"\n{") != lines)
        records = self._records(block)
        numbers, rows = self._kept(records)
        self.table.rows += len(records)
        outputs = self._add_columns(block, rows)
        self._add_names(block, numbers, rows)
        self._add_limits(block, rows, outputs)

    def _records(self, block: bytes) -> list[Record]:
        lines = block.removesuffix(b"\n").split(b"\n")
        records = [_source.loads(line) for line in lines]
        _doubt(not {dict}.issuperset(map(type, records)))
        found = cast("list[Record]", records)
        if block.count(b":") > sum(map(len, found)):  # some may hold a key twice
            for line, record in zip(lines, found, strict=True):
                if line.count(b":") > len(record):
                    _doubt(isinstance(_source.record(line), Refusal))
        return found

    def _kept(self, records: list[Record]) -> tuple[Sequence[int], list[Record]]:
        """Return the rows that are no failure and have an output, with their numbers."""
        form, first = self._form, self.table.rows
        output = _column(records, form.output_tokens)
        if form.failure is never and 0 not in output:
            return range(first, first + len(records)), records
        kept = []
        for number, (record, value) in enumerate(zip(records, output, strict=True), first):
            reason = form.failure(record)
            if reason is None and value == 0 and type(value) in (int, float):
                reason = f"{form.output_tokens} is 0"
            if reason is None:
                kept.append((number, record))
            else:
                self.table.dropped[reason] += 1
        return [number for number, _ in kept], [record for _, record in kept]

    def _add_columns(self, block: bytes, rows: list[Record]) -> list[int]:
        form, table = self._form, self.table
        outputs = _column(rows, form.output_tokens)
        table.output_tokens.extend(_counts(outputs))
        table.input_tokens.extend(_counts(_column(rows, form.input_tokens)))
        if form.time is not None:
            times = _column(rows, form.time)
            if form.time_may_be_missing and self._absent(times, table.time):
                pass
            elif self._unit == "date":
                table.time.extend(_dates(times))
            else:
                _check_times(times, self._unit)
                table.time.extend(cast("list[float]", times))
        if form.predicted is not None:
            predicted = _optional(block, rows, form.predicted)
            if not self._absent(predicted, table.predicted):
                table.predicted.extend(_counts(predicted))
        if form.hash_ids is not None:
            hashes = _optional(block, rows, form.hash_ids)
            if not self._absent(hashes, table.hash_ids):
                _doubt(not {list}.issuperset(map(type, hashes)))
                lists = cast("list[list[int]]", hashes)
                _doubt(not {int}.issuperset(map(type, chain.from_iterable(lists))))
                table.hash_ids.extend(map(tuple, lists))
        if form.job_class is not None:
            name = form.job_class
            labels = _optional(block, rows, name)
            if labels.count(MISSING) == len(labels):
                table.job_class.extend([""] * len(rows))
            else:
                table.job_class.extend(label_of(value, name) for value in labels)
        if form.model is not None:
            models = dict.fromkeys(filter(_is_text, _optional(block, rows, form.model)))
            table.models.update(cast("dict[str, None]", models))
        return cast("list[int]", outputs)

    def _absent(self, values: list[object], above: Sequence[object]) -> bool:
        """Return whether an optional column is missing: from every row, here and above."""
        missing = [value is MISSING or value is None for value in values]
        _doubt(any(missing) and not all(missing))
        absent = all(missing)
        _doubt(bool(self.table.id) and bool(values) and bool(above) == absent)
        return absent

    def _add_names(self, block: bytes, numbers: Sequence[int], rows: list[Record]) -> None:
        names = _optional(block, rows, self._form.id)
        if names.count(MISSING) == len(names):
            self.table.id.extend(map(str, numbers))
            return
        absent = (MISSING, None, "")
        own = [n if name in absent else name for n, name in zip(numbers, names, strict=True)]
        _doubt(not {str, int}.issuperset(map(type, own)))
        self.table.id.extend(map(str, own))

    def _add_limits(self, block: bytes, rows: list[Record], outputs: list[int]) -> None:
        if any(_mentions(block, name) for name in self._form.limits):
            pairs = zip(rows, outputs, strict=True)
            self.table.limit.extend(self._one.limit(record, output) for record, output in pairs)
        else:
            self.table.limit.extend([0] * len(rows))


class _Csv:
    """Columns out of CSV rows, a block at a time."""

    def __init__(self, form: Format, unit: str, names: list[str]) -> None:
        self.table = Table()
        self._form, self._unit, self._names = form, unit, names
        counts = [form.output_tokens, form.input_tokens]
        if form.predicted is not None and form.predicted in names:
            counts.append(form.predicted)
        texts = [name for name in (form.job_class, form.model, form.time) if name in names]
        plain = not {form.id, form.hash_ids, *form.limits} & set(names)
        _doubt(
            not plain
            or form.time_may_be_missing
            or not {*counts, form.time or counts[0]} <= set(names)
        )
        self._texts = texts
        self._types: dict[str, str] = dict.fromkeys(counts, "int64") | dict.fromkeys(texts, "str")

    def add(self, block: bytes) -> None:
        block = block.replace(b"\r\n", b"\n")
        if self._unit == "date" and len(self._texts) == 1:  # nothing but the dates has a zone
            block = block.replace(b"+00:00,", b",")
        _doubt(any(unusual in block for unusual in _UNUSUAL_CSV) or not block.isascii())
        _doubt(block[:1].isspace() or block.removesuffix(b"\n").endswith(b" "))
        rows = block.count(b"\n") + (not block.endswith(b"\n"))
        _doubt(block.count(b",") != rows * (len(self._names) - 1))
        frame = self._frame(block)
        _doubt(len(frame) != rows)
        form, table = self._form, self.table
        number = np.arange(table.rows, table.rows + rows)
        table.rows += rows
        empty = frame[form.output_tokens].to_numpy() == 0
        if empty.any():
            table.dropped[f"{form.output_tokens} is 0"] += int(empty.sum())
            frame, number = frame[~empty], number[~empty]
        table.id.extend(map(str, number.tolist()))
        table.limit.extend([0] * len(frame))
        for name, target in (
            (form.output_tokens, table.output_tokens),
            (form.input_tokens, table.input_tokens),
            (form.predicted, table.predicted),
        ):
            if name in self._types:
                target.extend(_in_range(frame[name].to_numpy()).tolist())
        self._add_times(frame)
        if form.job_class is not None:
            absent = form.job_class not in self._names
            table.job_class.extend([""] * len(frame) if absent else frame[form.job_class].tolist())
        if form.model in self._names:
            table.models.update(dict.fromkeys(frame[form.model].unique().tolist()))

    def _add_times(self, frame: pd.DataFrame) -> None:
        if self._form.time is None:
            return
        text = frame[self._form.time].tolist()
        if self._unit == "date":
            self.table.time.extend(_dates(text))
            return
        _doubt(
            not set("0123456789.eE-").issuperset("".join(text))
        )  # of what Python takes for a number
        times = list(map(int if all(map(str.isdigit, text)) else float, text))
        _check_times(times, self._unit)
        self.table.time.extend(times)

    def _frame(self, block: bytes) -> pd.DataFrame:
        import pandas as pd

        with np.errstate(invalid="ignore"):  # what no integer can be is out of range afterwards
            return pd.read_csv(
                io.BytesIO(block),
                header=None,
                names=self._names,
                usecols=list(self._types),
                dtype=cast(Any, self._types),
                keep_default_na=False,
                na_filter=False,
                index_col=False,
            )


def _column(rows: list[Record], name: str) -> list[object]:
    if "." in name:
        return list(map(getter(name), rows))
    return [row.get(name, MISSING) for row in rows]


def _optional(block: bytes, rows: list[Record], name: str | None) -> list[object]:
    """Return a column, without looking at each row where no row of the block can have it."""
    if name is None or not _mentions(block, name):
        return [MISSING] * len(rows)
    return _column(rows, name)


def _mentions(block: bytes, name: str) -> bool:
    """Return whether a key is written somewhere in a block, or may be: keys can hold escapes."""
    return f'"{name.rpartition(".")[2]}"'.encode() in block or b"\\" in block


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _counts(values: list[object]) -> list[int]:
    _doubt(not {int}.issuperset(map(type, values)))
    _in_range(np.array(values, dtype=np.int64))
    return cast("list[int]", values)


def _in_range(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    _doubt(bool(len(counts)) and not (counts.min() >= 1 and counts.max() <= MAX_TOKENS))
    return counts


def _check_times(values: Sequence[object], unit: str) -> None:
    _doubt(not {int, float}.issuperset(map(type, values)))
    times = np.array(values, dtype=np.float64)
    _doubt(not ((times >= 0) & (times < MAX_SECONDS * 10**9 // UNITS[unit])).all())


def _dates(values: Sequence[object]) -> list[int]:
    """Return dates and times of day, all written alike and in UTC, as Unix nanoseconds."""
    _doubt(not {str}.issuperset(map(type, values)))
    if not values:
        return []
    text = np.array(values, dtype="S")
    width = text.dtype.itemsize
    _doubt(not 19 <= width <= 29 or width == 20)
    places = text.view(np.uint8).reshape(len(text), width)
    marks = {4: b"-", 7: b"-", 10: b" ", 13: b":", 16: b":", 19: b"."}
    for at in range(width):
        column = places[:, at]
        if at in marks:
            _doubt((column != marks[at][0]).any())
        else:
            _doubt(((column < ord("0")) | (column > ord("9"))).any())
    moments = text.astype("U").astype("datetime64[ns]").astype(np.int64)
    _doubt(not ((moments >= 0) & (moments < MAX_SECONDS * 10**9)).all())
    return cast("list[int]", moments.tolist())
