"""From records to checked columns: which rows are kept, dropped or refused.

`_doubt` and the block readers accept no more than this, and leave every doubt to it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from llmsched.errors import InputError
from llmsched.importers._columns import Counts, Names, Rare, Times
from llmsched.importers._format import Format, Moment, Record
from llmsched.importers._source import Found
from llmsched.importers._values import (
    MISSING,
    Check,
    Dropped,
    Refusal,
    as_json,
    as_number,
    count,
    getter,
    hashes,
    instant_ns,
    is_absent,
    label_of,
    output,
    priority,
    seconds_in,
    time_in,
    timeout_ms,
)

OnProgress = Callable[[int, int, int], None]
"""Told how many rows have been read, and how many of a file's bytes (0, 0 where nobody knows)."""


@dataclass
class Table:
    """Checked columns of the rows kept, in the order of the file.

    ``time`` holds numbers in the unit of the format (nanoseconds for dates). An optional column is
    empty, or as long as the others; ``limit``, ``priority`` and ``block_size`` are 0 where a
    request declares none, ``timeout`` (in ms) and ``delay`` (in s) infinite, ``turn`` -1;
    ``untimed`` says which turns of sessions have no time of their own, ``where`` the place of each
    turn in the file. ``first_token`` and ``last_token``, of measured runs, are seconds since the
    arrival, NaN where nobody knows.
    """

    time: Times = field(default_factory=Times)
    input_tokens: Counts = field(default_factory=Counts)
    output_tokens: Counts = field(default_factory=Counts)
    id: Names = field(default_factory=Names)
    job_class: Rare[str] = field(default_factory=lambda: Rare(""))
    predicted: Counts = field(default_factory=Counts)
    limit: Rare[int] = field(default_factory=lambda: Rare(0))
    timeout: Rare[float] = field(default_factory=lambda: Rare(math.inf))
    priority: Rare[int] = field(default_factory=lambda: Rare(0))
    hash_ids: list[tuple[int, ...]] = field(default_factory=list)
    block_size: Rare[int] = field(default_factory=lambda: Rare(0))
    session: Rare[str] = field(default_factory=lambda: Rare(""))
    turn: Rare[int] = field(default_factory=lambda: Rare(-1))
    delay: Rare[float] = field(default_factory=lambda: Rare(math.inf))
    untimed: Rare[bool] = field(default_factory=lambda: Rare(False))
    where: Rare[str] = field(default_factory=lambda: Rare(""))
    first_token: list[float] = field(default_factory=list)
    last_token: list[float] = field(default_factory=list)
    models: dict[str, None] = field(default_factory=dict)  # each once, in order
    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.output_tokens)

    @property
    def all_untimed(self) -> bool:
        """Whether no row has a time of its own."""
        untimed = self.untimed.whole()
        return bool(untimed) and all(untimed)

    def drop(self, reason: str, rows: int) -> None:
        """Count rows that were left out after they had been kept."""
        if rows:
            self.dropped[reason] += rows

    def skip_rare(self, rows: int) -> None:
        """Add rows that have nothing under the names of `Format.rare`."""
        for column in (
            *(self.block_size, self.session, self.turn, self.delay),
            *(self.untimed, self.where),
        ):
            column.skip(rows)


def collect(
    rows: Iterable[Found],
    form: Format,
    unit: str,
    path: str,
    *,
    skip: bool,
    measured: bool,
    on_progress: Callable[[int], None],
) -> Table:
    """Check every row and keep it, drop it with a reason, or refuse it.

    Failed requests, and requests without output, are dropped. A row that cannot be accepted is
    an error, or dropped as well if `skip`.

    Parameters
    ----------
    rows : iterable
        A record each, which the format may turn into several requests.
    measured : bool
        Whether the times of the first and the last token are read as well.

    Raises
    ------
    InputError
        `path`, line, field, what was expected and what is there.
    """
    table = Table()
    add = Adder(table, form, unit, measured=measured)
    for where, record in _one_a_request(rows, form):
        table.rows += 1
        if not table.rows & 0xFFFF:
            on_progress(table.rows)
        try:
            if isinstance(record, Refusal):
                raise record
            add(record)
            if add.turns.are_there:
                table.where.append(where if add.turns.last else "")
        except Dropped as dropped:
            table.dropped[str(dropped)] += 1
        except Refusal as refusal:
            if not skip:
                hint = "; --on-error skip leaves out such rows" if form.name == "columns" else ""
                raise InputError(f"{path}:{where}: {refusal.message}{hint}") from None
            table.dropped[refusal.reason] += 1
    return table


def _one_a_request(rows: Iterable[Found], form: Format) -> Iterator[Found]:
    for where, record in rows:
        if form.expand is None or isinstance(record, Refusal):
            yield where, record
            continue
        try:
            for i, request in enumerate(form.expand(record), 1):
                if form.session is not None and request is not record:
                    request.setdefault(form.session, where)  # of a record that names none
                yield where if request is record else f"{where}: item {i}", request
        except Refusal as refusal:
            yield where, refusal


class _Target(Protocol):
    def append(self, value: Any, /) -> None: ...


@dataclass(frozen=True)
class _Column:
    """One column: where its value is in a record, how it is checked, where it goes."""

    label: str
    get: Callable[[Record], object]
    check: Check
    target: _Target
    optional: bool
    """Whether the column may be missing, then from every row."""


class Adder:
    """Appends one record to a table, after all of its values are checked."""

    def __init__(self, table: Table, form: Format, unit: str, *, measured: bool = False) -> None:
        self.table = table
        self.failure = form.failure
        self.above = 0
        self.ids: set[str] = set()  # empty while ids are the rows' numbers
        self.id = form.id or "id"
        self.get_id = _nothing if form.id is None else getter(form.id)
        self.get_model = None if form.model is None else getter(form.model)
        self.limits = form.limits
        self.get_limits = [getter(label) for label in form.limits]
        self.turns = _Turns(table, form, unit)
        self.tokens = _Tokens(table, form, unit) if measured and form.is_measured else None
        time = None if self.turns.are_there else form.time
        plan: list[tuple[str | None, Check, _Target, bool]] = [
            (form.output_tokens, output, table.output_tokens, False),
            (form.input_tokens, count, table.input_tokens, False),
            (time, time_in(unit), table.time, form.time_may_be_missing),
            (form.job_class, label_of, table.job_class, False),
            (form.timeout, timeout_ms, table.timeout, False),
            (form.priority, priority, table.priority, False),
            (form.predicted, count, table.predicted, True),
            (form.hash_ids, hashes, table.hash_ids, True),
            (form.block_size, _block_size, table.block_size, False),
        ]
        self.columns = [
            _Column(label, getter(label), check, target, optional)
            for label, check, target, optional in plan
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
        turn = self.turns.read(record)
        tokens = None if self.tokens is None else self.tokens.read(record)
        said = [get(record) for get in self.get_limits]
        none = said.count(MISSING) == len(said)
        limit = 0 if none else self.limit(said)
        self.table.id.append(self._name(record))
        self.table.limit.append(limit)
        for column, value in zip(self.columns, values, strict=True):
            if value is not MISSING:
                column.target.append(value)
        self.turns.keep(turn)
        if tokens is not None:
            self.table.first_token.append(tokens[0])
            self.table.last_token.append(tokens[1])
        self.above += 1
        if self.get_model is not None and isinstance(model := self.get_model(record), str):
            self.table.models[model] = None

    def _value(self, column: _Column, record: Record) -> object:
        value = column.get(record)
        if column.optional:
            value = MISSING if is_absent(value) else value
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
            if is_absent(value):
                continue
            declared = count(value, label)
            if limit and declared != limit:
                raise Refusal(label, f"{named} once more", f"{as_json(value)} and {limit}")
            limit, named = declared, label
        return limit

    def _name(self, record: Record) -> str:
        value = self.get_id(record)
        if is_absent(value):
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


_Turn = tuple[object, str, int, float]


class _Turns:
    """Reads where a request stands in its session, and a time that a later turn may lack."""

    def __init__(self, table: Table, form: Format, unit: str) -> None:
        self.table = table
        self.are_there = form.delay is not None
        self.last = ""  # session of the row above
        if form.delay is None:
            return
        self.labels = (form.time or "", form.session or "", form.turn or "", form.delay.name)
        self.get = [getter(label) if label else _nothing for label in self.labels]
        self.check_time = time_in(unit)
        self.unit = form.delay.unit

    def read(self, record: Record) -> _Turn | None:
        if not self.are_there:
            return None
        time, session, turn, delay = [get(record) for get in self.get]
        if session is turn is delay is MISSING and not is_absent(time):
            return self.check_time(time, self.labels[0]), "", -1, math.nan  # as most rows are
        name = label_of(session, self.labels[1])
        after = seconds_in(delay, self.labels[3], self.unit)
        if not math.isnan(after) and not name:
            raise Refusal(
                self.labels[1], "the name of the session, beside a delay", as_json(session)
            )
        absent = is_absent(time)
        if absent and math.isnan(after) and not name and self.labels[0]:
            raise Refusal(self.labels[0], "a finite number >= 0", as_json(time))
        when = None if absent else self.check_time(time, self.labels[0])
        return when, name, _place(turn, self.labels[2]), after

    def keep(self, turn: _Turn | None) -> None:
        if turn is None:
            return
        when, name, place, after = turn
        self.last = name
        if self.labels[0]:
            self.table.time.append(0 if when is None else cast(float, when))
        self.table.untimed.append(when is None)
        self.table.session.append(name)
        self.table.turn.append(place)
        self.table.delay.append(math.inf if math.isnan(after) else after)


def _place(value: object, label: str) -> int:
    """Return the number of a turn; -1 where the row does not say it."""
    if is_absent(value):
        return -1
    number = as_number(value)
    if type(number) is not int or not 0 <= number < 2**31:
        raise Refusal(label, "an integer >= 0", as_json(value))
    return number


class _Tokens:
    """Reads when a measured request got its first and its last token, in seconds since it came."""

    def __init__(self, table: Table, form: Format, unit: str) -> None:
        self.unit, self.time = unit, form.time
        self.get_time = _nothing if form.time is None else getter(form.time)
        self.moments = [
            (moment, getter(moment.name))
            for moment in (form.first_token, form.last_token)
            if moment is not None
        ]

    def read(self, record: Record) -> tuple[float, float]:
        first, last = (self._since(moment, get(record), record) for moment, get in self.moments)
        if first <= 0 or last < first:
            label = self.moments[int(first > 0)][0].name
            least = "more than its arrival" if first <= 0 else "no less than the first token's"
            raise Refusal(label, f"a time {least}", f"{first if first <= 0 else last:g} s after it")
        return first, last

    def _since(self, moment: Moment, value: object, record: Record) -> float:
        if moment.since == "arrival":
            return seconds_in(value, moment.name, moment.unit)
        if is_absent(value):
            return math.nan
        if self.time is None:
            raise Refusal(moment.name, "an arrival beside it", as_json(value))
        began = instant_ns(self.get_time(record), self.time, self.unit)
        return (instant_ns(value, moment.name, moment.unit) - began) / 1e9


def _nothing(record: Record) -> object:
    return MISSING


def _block_size(value: object, label: str) -> int:
    return 0 if is_absent(value) else count(value, label)
