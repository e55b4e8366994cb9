"""Columns out of JSON lines, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import cast

import numpy as np

from llmsched.importers import _source
from llmsched.importers._doubt import check_times, dates, doubt, in_range
from llmsched.importers._format import Format, Record, never
from llmsched.importers._source import Refusal
from llmsched.importers._table import MISSING, Adder, Table, getter, label_of


class JsonBlocks:
    """Columns out of JSON lines, a block at a time."""

    def __init__(self, form: Format, unit: str) -> None:
        self.table = Table()
        self._form, self._unit = form, unit
        self._one = Adder(self.table, form, unit)  # for what is done row by row here as well

    def add(self, block: bytes) -> None:
        lines = block.removesuffix(b"\n").count(b"\n")
        doubt(b"\0" in block or not block.startswith(b"{") or block.count(b"\n{") != lines)
        records = self._records(block)
        numbers, rows = self._kept(records)
        self.table.rows += len(records)
        outputs = self._add_columns(block, rows)
        self._add_names(block, numbers, rows)
        self._add_limits(block, rows, outputs)

    def _records(self, block: bytes) -> list[Record]:
        lines = block.removesuffix(b"\n").split(b"\n")
        records = [_source.loads(line) for line in lines]
        doubt(not {dict}.issuperset(map(type, records)))
        found = cast("list[Record]", records)
        if block.count(b":") > sum(map(len, found)):  # some may hold a key twice
            for line, record in zip(lines, found, strict=True):
                if line.count(b":") > len(record):
                    doubt(isinstance(_source.record(line), Refusal))
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
                table.time.extend(dates(times))
            else:
                check_times(times, self._unit)
                table.time.extend(cast("list[float]", times))
        if form.predicted is not None:
            predicted = _optional(block, rows, form.predicted)
            if not self._absent(predicted, table.predicted):
                table.predicted.extend(_counts(predicted))
        if form.hash_ids is not None:
            hashes = _optional(block, rows, form.hash_ids)
            if not self._absent(hashes, table.hash_ids):
                doubt(not {list}.issuperset(map(type, hashes)))
                lists = cast("list[list[int]]", hashes)
                doubt(not {int}.issuperset(map(type, chain.from_iterable(lists))))
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
        doubt(any(missing) and not all(missing))
        absent = all(missing)
        doubt(bool(self.table.id) and bool(values) and bool(above) == absent)
        return absent

    def _add_names(self, block: bytes, numbers: Sequence[int], rows: list[Record]) -> None:
        names = _optional(block, rows, self._form.id)
        if names.count(MISSING) == len(names):
            self.table.id.extend(map(str, numbers))
            return
        absent = (MISSING, None, "")
        own = [n if name in absent else name for n, name in zip(numbers, names, strict=True)]
        doubt(not {str, int}.issuperset(map(type, own)))
        self.table.id.extend(map(str, own))

    def _add_limits(self, block: bytes, rows: list[Record], outputs: list[int]) -> None:
        if any(_mentions(block, name) for name in self._form.limits):
            pairs = zip(rows, outputs, strict=True)
            self.table.limit.extend(self._one.limit(record, output) for record, output in pairs)
        else:
            self.table.limit.extend([0] * len(rows))


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
    doubt(not {int}.issuperset(map(type, values)))
    in_range(np.array(values, dtype=np.int64))
    return cast("list[int]", values)
