"""Columns out of JSON lines, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any, TypeAlias, TypeGuard, cast

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from llmsched.ids import Ids
from llmsched.importers import _source
from llmsched.importers._doubt import Doubtful, dates, doubt, in_range, times
from llmsched.importers._format import Format, Record, never
from llmsched.importers._table import Adder, Table
from llmsched.importers._values import MISSING, Refusal, getter, label_of, priority, timeout_ms
from llmsched.trace import MOST_PRIORITY

_Find: TypeAlias = Callable[[str], Callable[[Any], object] | None]
"""Returns for a key the function that finds its value in a row; None if no row has the key."""

_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""What orjson takes for an integer; to it greater ones are floats."""


class JsonBlocks:
    """Columns out of JSON lines, a block at a time.

    Parameters
    ----------
    first : dict
        The first row: rows with its keys are read fastest.
    """

    def __init__(self, form: Format, unit: str, first: Record) -> None:
        self.table = Table()
        self._form, self._unit = form, unit
        self._one = Adder(self.table, form, unit)  # for what is done row by row here as well
        self._alike = _Alike(form, first) if _may_be_alike(form, first) else None

    def add(self, block: bytes) -> None:
        lines = block.removesuffix(b"\n").split(b"\n")
        begun = block.startswith(b"{") + block.count(b"\n{")
        doubt(b"\0" in block or begun != len(lines))
        rows = None if self._alike is None else self._alike.read(block, lines)
        rows = rows or _records(block, lines)
        numbers = self._kept(rows)
        if len(rows):
            self._add_columns(rows, numbers)

    def _kept(self, rows: _Rows) -> range | NDArray[np.int64]:
        """Keep the rows that are no failure and have an output; return their numbers."""
        form, first = self._form, self.table.rows
        self.table.rows += len(rows)
        output = rows.needed(form.output_tokens)
        if form.failure is never and 0 not in output:
            return range(first, first + len(rows))
        kept = []
        for place, (row, value) in enumerate(zip(rows.rows, output, strict=True)):
            reason = None if form.failure is never else form.failure(cast(Record, row))
            if reason is None and value == 0 and type(value) in (int, float):
                reason = f"{form.output_tokens} is 0"
            if reason is None:
                kept.append(place)
            else:
                self.table.dropped[reason] += 1
        rows.rows = [rows.rows[place] for place in kept]
        return first + np.array(kept, np.int64)

    def _add_columns(self, rows: _Rows, numbers: range | NDArray[np.int64]) -> None:
        form, table, above = self._form, self.table, len(self.table)
        outputs = rows.needed(form.output_tokens)
        table.output_tokens.extend(_counts(outputs))
        table.input_tokens.extend(_counts(rows.needed(form.input_tokens)))
        self._add_times(rows, above)
        predicted = rows.column(form.predicted)
        if _is_there(predicted, above, len(table.predicted)):
            table.predicted.extend(_counts(predicted))
        hashes = rows.column(form.hash_ids)
        if _is_there(hashes, above, len(table.hash_ids)):
            doubt(not {list}.issuperset(map(type, hashes)))
            lists = cast("list[list[int]]", hashes)
            doubt(not {int}.issuperset(map(type, chain.from_iterable(lists))))
            table.hash_ids.extend(map(tuple, lists))
        labels = rows.column(form.job_class)
        if labels is None:
            table.job_class.skip(len(rows))
        else:
            table.job_class.extend([label_of(value, str(form.job_class)) for value in labels])
        timeouts = rows.column(form.timeout)
        if timeouts is None:
            table.timeout.skip(len(rows))
        else:
            table.timeout.extend([timeout_ms(value, str(form.timeout)) for value in timeouts])
        urgencies = rows.column(form.priority)
        if urgencies is None:
            table.priority.skip(len(rows))
        else:
            table.priority.extend(_priorities(urgencies, str(form.priority)))
        doubt(any(rows.column(name) is not None for name in form.rare))
        table.skip_rare(len(rows))
        models = rows.column(form.model) or []
        table.models.update({model: None for model in models if isinstance(model, str)})
        self._add_names(rows.column(form.id), numbers)
        self._add_limits([rows.column(label) for label in form.limits], len(rows))

    def _add_times(self, rows: _Rows, above: int) -> None:
        form, table = self._form, self.table
        if form.time is None:
            return
        if form.time_may_be_missing:
            values = rows.column(form.time)
            if not _is_there(values, above, len(table.time)):
                return
        else:
            values = rows.needed(form.time)
        table.time.extend(dates(values) if self._unit == "date" else times(values, self._unit))

    def _add_names(self, names: list[object] | None, numbers: range | NDArray[np.int64]) -> None:
        if names is None or names.count(MISSING) == len(names):
            self.table.id.extend(Ids(numbers))
            return
        if not {str}.issuperset(map(type, names)) or "" in names:
            absent = (MISSING, None, "")
            names = [n if name in absent else name for n, name in zip(numbers, names, strict=True)]
            doubt(not {str, int, np.int64}.issuperset(map(type, names)))
        self.table.id.extend(Ids.of(map(str, names)))

    def _add_limits(self, columns: list[list[object] | None], count: int) -> None:
        if not any(columns):
            self.table.limit.skip(count)
            return
        values = zip(*(column or [MISSING] * count for column in columns), strict=True)
        self.table.limit.extend([self._one.limit(said) for said in values])


class _Rows:
    """Rows of a block, and how the value of a key is found in one."""

    def __init__(self, rows: Sequence[object], find: _Find) -> None:
        self.rows, self._find = rows, find

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str | None) -> list[object] | None:
        """Return a column, with `MISSING` where a row has none; None if no row has one."""
        find = None if name is None else self._find(name)
        return None if find is None else list(map(find, self.rows))

    def needed(self, name: str) -> list[object]:
        """Return a column; doubt one that no row has."""
        column = self.column(name)
        if column is None:
            raise Doubtful
        return column


def _may_be_alike(form: Format, first: Record) -> bool:
    """Whether a format is read off keys of the row itself, which need no escapes."""
    names = (*form.needed, form.id, form.job_class, form.predicted, form.hash_ids, form.model)
    names = (*names, form.timeout, form.priority, *form.limits)
    flat = not any("." in name for name in names if name is not None)
    return form.failure is never and flat and b"\\" not in orjson.dumps([*first])


class _Alike:
    """Reads rows that have the keys of the first one, each once, into objects without a dict.

    Every key is needed, and a line has no more colons than keys: so none stands there twice.
    """

    def __init__(self, form: Format, first: Record) -> None:
        types: dict[str | None, object] = {
            form.output_tokens: int,
            form.input_tokens: int,
            form.time: int | float | str,
            form.id: _Integer | str | None,
            form.job_class: _Integer | str | None,
            form.hash_ids: list[_Integer] | None,
            form.timeout: int | float | None,
            form.priority: _Integer | None,
        }
        self._fields = {key: f"_{i}" for i, key in enumerate(first)}
        row = msgspec.defstruct(
            "Row",
            [(field, cast(type, types.get(key, Any))) for key, field in self._fields.items()],
            rename={field: key for key, field in self._fields.items()},
            gc=False,
        )
        self._decode = msgspec.json.Decoder(row).decode

    def read(self, block: bytes, lines: list[bytes]) -> _Rows | None:
        """Return the rows; None if they are not alike."""
        if b"\\" in block or block.count(b":") != len(lines) * len(self._fields):
            return None
        try:
            return _Rows(list(map(self._decode, lines)), self._find)
        except msgspec.MsgspecError:
            return None

    def _find(self, key: str) -> Callable[[Any], object] | None:
        return attrgetter(self._fields[key]) if key in self._fields else None


def _records(block: bytes, lines: list[bytes]) -> _Rows:
    """Return the rows as they are; doubt those that row by row refuses."""
    records = [_source.loads(line) for line in lines]
    doubt(not {dict}.issuperset(map(type, records)))
    found = cast("list[Record]", records)
    if block.count(b":") > sum(map(len, found)):  # some may hold a key twice
        for line, record in zip(lines, found, strict=True):
            if line.count(b":") > len(record):
                doubt(isinstance(_source.record(line), Refusal))

    def find(key: str) -> Callable[[Any], object] | None:
        """Find a key if it is written somewhere, or may be: keys can hold escapes."""
        written = f'"{key.rpartition(".")[2]}"'.encode() in block or b"\\" in block
        return getter(key) if written else None

    return _Rows(found, find)


def _is_there(values: list[object] | None, above: int, kept: int) -> TypeGuard[list[object]]:
    """Return whether an optional column is there: in every row, here and above, or in none."""
    if values is None or all(value is MISSING or value is None for value in values):
        doubt(kept > 0)
        return False
    doubt(MISSING in values or None in values or kept < above)
    return True


def _priorities(values: list[object], label: str) -> list[int]:
    if not {int}.issuperset(map(type, values)):  # some rows may lack it
        return [priority(value, label) for value in values]
    whole = cast("list[int]", values)
    doubt(bool(whole) and max(max(whole), -min(whole)) > MOST_PRIORITY)
    return whole


def _counts(values: list[object]) -> NDArray[np.int64]:
    doubt(not {int}.issuperset(map(type, values)))
    return in_range(np.array(values, dtype=np.int64))
