"""From records to checked columns: what is accepted or refused, and how it is said.

`_doubt` and the block readers accept no more than this, and leave every doubt to it.
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from llmsched.errors import InputError
from llmsched.importers._columns import Counts, Names, Rare, Times
from llmsched.importers._format import Format, Record
from llmsched.importers._source import Found, Refusal, as_json
from llmsched.trace import LEAST_TIMEOUT_S, MAX_TOKENS

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each unit of time."""

MAX_SECONDS = 2**33
"""Times beyond this (as Unix time, the year 2242) are refused; below, int64 nanoseconds suffice."""

OnProgress = Callable[[int, int, int], None]
"""Told how many rows have been read, and how many of a file's bytes (0, 0 where nobody knows)."""

_Check = Callable[[object, str], object]
_Getter = Callable[[str], Callable[[Record], object]]
MISSING = object()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)


class Dropped(Exception):
    """A request that a trace has no place for; the argument is the reason to count."""


@dataclass
class Table:
    """Checked columns of the rows kept, in the order of the file.

    ``time`` holds numbers in the unit of the format (nanoseconds for dates). An optional column is
    empty, or as long as the others; ``limit`` is 0 where a request declares none, ``timeout`` (in
    ms) infinite.
    """

    time: Times = field(default_factory=Times)
    input_tokens: Counts = field(default_factory=Counts)
    output_tokens: Counts = field(default_factory=Counts)
    id: Names = field(default_factory=Names)
    job_class: Rare[str] = field(default_factory=lambda: Rare(""))
    predicted: Counts = field(default_factory=Counts)
    limit: Rare[int] = field(default_factory=lambda: Rare(0))
    timeout: Rare[float] = field(default_factory=lambda: Rare(math.inf))
    hash_ids: list[tuple[int, ...]] = field(default_factory=list)
    models: dict[str, None] = field(default_factory=dict)  # each once, in order
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.output_tokens)


def collect(
    rows: Iterable[Found],
    form: Format,
    unit: str,
    path: str,
    *,
    skip: bool,
    on_progress: Callable[[int], None],
) -> Table:
    """Check every row and keep it, drop it with a reason, or refuse it.

    Failed requests, and requests without output, are dropped. A row that cannot be accepted is
    an error, or dropped as well if `skip`.

    Raises
    ------
    InputError
        `path`, line, field, what was expected and what is there.
    """
    table = Table()
    add = Adder(table, form, unit)
    for where, record in _one_a_request(rows, form):
        table.rows += 1
        if not table.rows & 0xFFFF:
            on_progress(table.rows)
        try:
            if isinstance(record, Refusal):
                raise record
            add(record)
        except Dropped as dropped:
            table.dropped[str(dropped)] += 1
        except Refusal as refusal:
            if not skip:
                raise InputError(f"{path}:{where}: {refusal.message}") from None
            table.dropped[refusal.reason] += 1
    return table


def _one_a_request(rows: Iterable[Found], form: Format) -> Iterator[Found]:
    if form.expand is None:
        yield from rows
        return
    for run, (where, record) in enumerate(rows):
        try:
            if isinstance(record, Refusal):
                raise record
            if run:
                raise Refusal("row", "one benchmark run in the file", "another one")
            for i, request in enumerate(form.expand(record), 1):
                yield f"{where}: item {i}", request
        except Refusal as refusal:
            yield where, refusal


class _Target(Protocol):
    def append(self, value: Any, /) -> None: ...


@dataclass(frozen=True)
class _Column:
    """One column: where its value is in a record, how it is checked, where it goes."""

    label: str
    get: Callable[[Record], object]
    check: _Check
    target: _Target
    optional: bool
    """Whether the column may be missing, then from every row."""


class Adder:
    """Appends one record to a table, after all of its values are checked."""

    def __init__(self, table: Table, form: Format, unit: str) -> None:
        self.table = table
        self.failure = form.failure
        self.above = 0
        self.ids: set[str] = set()  # empty while ids are the rows' numbers
        self.id = form.id or "id"
        text, number = (_cell_getter, _number_getter) if form.kind == "csv" else (getter, getter)
        self.get_id = _nothing if form.id is None else text(form.id)
        self.get_model = None if form.model is None else text(form.model)
        self.limits = form.limits
        self.get_limits = [number(label) for label in form.limits]
        date = unit == "date"
        time = date_ns if date else _time_below(MAX_SECONDS * 10**9 // UNITS[unit])
        may = form.time_may_be_missing
        plan: list[tuple[str | None, _Check, _Target, _Getter, bool]] = [
            (form.output_tokens, _output, table.output_tokens, number, False),
            (form.input_tokens, count, table.input_tokens, number, False),
            (form.time, time, table.time, text if date else number, may),
            (form.job_class, label_of, table.job_class, text, False),
            (form.timeout, timeout_ms, table.timeout, number, False),
            (form.predicted, count, table.predicted, number, True),
            (form.hash_ids, _hashes, table.hash_ids, text, True),
        ]
        self.columns = [
            _Column(label, find(label), check, target, optional)
            for label, check, target, find, optional in plan
            if label is not None
        ]

    def __call__(self, record: Record) -> None:
        """Add the record.

        Raises
        ------
        Dropped
            The request failed or has no output.
        Refusal
            A value cannot be accepted.
        """
        if (reason := self.failure(record)) is not None:
            raise Dropped(reason)
        values = [self._value(column, record) for column in self.columns]
        said = [get(record) for get in self.get_limits]
        none = said.count(MISSING) == len(said)
        limit = 0 if none else self.limit(said)
        self.table.id.append(self._name(record))
        self.table.limit.append(limit)
        for column, value in zip(self.columns, values, strict=True):
            if value is not MISSING:
                column.target.append(value)
        self.above += 1
        if self.get_model is not None and isinstance(model := self.get_model(record), str):
            self.table.models[model] = None

    def _value(self, column: _Column, record: Record) -> object:
        value = column.get(record)
        if column.optional:
            value = MISSING if value is None else value
            if self.above and bool(column.target) is (value is MISSING):
                raise Refusal(column.label, "a value in every row or in none", as_json(value))
            if value is MISSING:
                return value
        return column.check(value, column.label)

    def limit(self, values: Iterable[object]) -> int:
        """Return the output limit that a request declares, under `limits`; 0 if it declares none.

        Raises
        ------
        Refusal
        """
        limit, named = 0, ""
        for label, value in zip(self.limits, values, strict=True):
            if value is MISSING or value is None or value == "":
                continue
            declared = count(value, label)
            if limit and declared != limit:
                raise Refusal(label, f"{named} once more", f"{as_json(value)} and {limit}")
            limit, named = declared, label
        return limit

    def _name(self, record: Record) -> str:
        value = self.get_id(record)
        if value is MISSING or value is None or value == "":
            if not self.ids:
                return str(self.table.rows - 1)
            value = self.table.rows - 1
        if type(value) is not str and type(value) is not int:
            raise Refusal(self.id, "a string or an integer", as_json(value))
        name = str(value)
        self.ids = self.ids or set(self.table.id.whole())
        if name in self.ids:
            raise Refusal(self.id, "an id that no row above has", as_json(value))
        self.ids.add(name)
        return name


def getter(path: str) -> Callable[[Record], object]:
    """Return a function that finds the value at `path`, descending at dots."""
    if "." not in path:
        return lambda record: record.get(path, MISSING)
    keys = path.split(".")

    def descend(record: Record) -> object:
        value: object = record
        for key in keys:
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
        return value

    return descend


def _nothing(record: Record) -> object:
    return MISSING


def _cell_getter(name: str) -> Callable[[Record], object]:
    """Return a function that finds the CSV cell `name`, in which a dot is a character."""
    return lambda record: record.get(name, MISSING)


def _number_getter(name: str) -> Callable[[Record], object]:
    """Return a function that reads the CSV cell `name` as a number, or as text if it is none."""

    def read(record: Record) -> object:
        text = record.get(name, MISSING)
        if type(text) is not str:
            return text
        if _INTEGER.fullmatch(text):
            return int(text)
        return float(text) if _DECIMAL.fullmatch(text) else text

    return read


def count(value: object, label: str) -> int:
    """Return `value` if it is an integer in 1..MAX_TOKENS (5.0 is the integer 5).

    Raises
    ------
    Refusal
    """
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < 1:
        raise Refusal(label, "an integer >= 1", as_json(value))
    if value > MAX_TOKENS:
        raise Refusal(label, f"an integer <= {MAX_TOKENS}", as_json(value))
    return value


def timeout_ms(value: object, label: str) -> float:
    """Return milliseconds after which a client gives up; infinite where the row says nothing.

    Raises
    ------
    Refusal
    """
    if value is MISSING or value is None or value == "":
        return math.inf
    if (type(value) is int or type(value) is float) and 1e3 * LEAST_TIMEOUT_S <= value < math.inf:
        return float(value)
    raise Refusal(label, f"a number >= {1e3 * LEAST_TIMEOUT_S:g}", as_json(value))


def _output(value: object, label: str) -> int:
    if type(value) in (int, float) and value == 0:
        raise Dropped(f"{label} is 0")
    return count(value, label)


def _time_below(limit: int) -> _Check:
    def check(value: object, label: str) -> float:
        if (type(value) is int or type(value) is float) and 0 <= value < limit:
            return value
        late = type(value) in (int, float) and limit <= cast(float, value) < math.inf
        raise Refusal(
            label, f"a time < {limit}" if late else "a finite number >= 0", as_json(value)
        )

    return check


def date_ns(value: object, label: str) -> int:
    """Return a date and time (UTC unless it says otherwise) as Unix nanoseconds."""
    match = DATE.fullmatch(value) if type(value) is str else None
    if match is not None:
        day, clock, fraction, zone = match.groups()
        with suppress(ValueError):
            moment = datetime.fromisoformat(f"{day}T{clock}{zone or '+00:00'}")
            whole = (moment - _EPOCH) // _SECOND
            if 0 <= whole < MAX_SECONDS:
                return whole * 10**9 + int((fraction or "").ljust(9, "0"))
    raise Refusal(label, "a date as 2023-11-16 18:17:03.9799600", as_json(value))


def label_of(value: object, label: str) -> str:
    if value is MISSING or value is None:
        return ""
    if type(value) is not str and type(value) is not int:
        raise Refusal(label, "a string or an integer", as_json(value))
    return sys.intern(str(value))  # millions of requests are of few classes


def _hashes(value: object, label: str) -> tuple[int, ...]:
    if type(value) is not list or any(type(item) is not int for item in value):
        raise Refusal(label, "a list of integers", as_json(value))
    return tuple(value)
