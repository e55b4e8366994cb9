"""What a trace format is: the names it uses for what a request is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from math import isnan
from typing import Annotated, Literal

from msgspec import Meta

from llmsched.errors import InputError
from llmsched.schema import Named, check_fields, shown

Record = dict[str, object]
"""One row: a JSON object, or the cells of a line of a table by column name."""

Unit = Literal["s", "ms", "us", "ns", "date", "any"]
"""What a time counts; "date" is a date, "any" a date or seconds, as the first row has it."""

Failure = Callable[[Record], str | None]
Expand = Callable[[Record], Iterable[Record]]

_SOME = Meta(min_length=1)


def never(record: Record) -> str | None:
    return None


@dataclass(frozen=True)
class Moment:
    """A time that a record has beside its arrival.

    Attributes
    ----------
    name : str
        Where it is in the record; a dot descends into a nested object.
    unit : str
    since : {"arrival", "zero"}
        Whether it counts from the request's arrival, or from the zero of the arrivals' clock.
    """

    name: Named
    unit: Unit = "s"
    since: Literal["arrival", "zero"] = "arrival"


@dataclass(frozen=True)
class Run:
    """A benchmark run: what `Format.expand` turns into requests, and how they were sent.

    Attributes
    ----------
    rate : float or None
        Requests a second; NaN where they followed a trace, None where all came at once, or as soon
        as others ended, or nobody says.
    concurrency : int or None
        Requests in flight at most; None without such a limit.
    note : str
        What else somebody should know of it.
    """

    record: Record
    rate: float | None = None
    concurrency: int | None = None
    note: str = ""

    def __str__(self) -> str:
        how = "" if self.rate is None else f"rate {self.rate:g}/s"
        if self.rate is not None and isnan(self.rate):
            how = "at the times of a trace"
        most = "" if self.concurrency is None else f"at most {self.concurrency:,} at once"
        return ", ".join(filter(None, (how, most))) or "all at once"


Runs = Callable[[Record], Iterable[Run]]


@dataclass(frozen=True)
class Format:
    """A foreign format, as data: where each column of a :class:`~llmsched.trace.Trace` is found.

    Attributes
    ----------
    name : str
        What ``--trace-format`` calls it.
    about : str
        One line for people.
    kind : {"csv", "json", "any"}
        Text of the file: a table with a header (commas, semicolons, tabs or Parquet), JSON (lines,
        an array, or one document; YAML as well), or either.
    signatures : tuple of tuples of str
        Sets of names; the format is recognised if all names of one set are there.
    input_tokens, output_tokens : str
        Names of the two lengths. A dot descends into a nested object.
    time : str or None
        Name of the arrival time; None where the format has none.
    unit : str
        What the arrival time counts, or that it is a date.
    time_may_be_missing : bool
        Whether some versions of the format leave the arrival time out (of every row).
    id, job_class, predicted, hash_ids, block_size, timeout, priority : str or None
        Names of optional columns.
    hash_block : int
        Tokens of a block that `hash_ids` name, where the rows do not say it; 0 where nobody does.
    limits : tuple of str
        Names under which a request may declare its output limit; some rows may have none.
    model : str or None
        Name of the model that served a request, or is to.
    session, turn : str or None
        Names of the session of a request, and of its place there.
    delay : Moment or None
        What passes after the answer before it in the session. A row with it needs no arrival.
    first_token, last_token : Moment or None
        When they came, in a measured run.
    measured_from : str or None
        Name of the arrival on the clock of `first_token` and `last_token`, if that is another one.
    failure : callable
        Says of a record why its request failed, or None; failed requests are dropped and counted.
    runs : callable or None
        Splits a record of the file into the benchmark runs that it holds.
    joined : str or None
        Name of a list that the records of a file share: they are one record, of all its items.
    expand : callable or None
        Turns a record (of a run, its whole) into one record a request.
    aliases : tuple of str
        Other names for ``--trace-format``.
    keys_are_shared : bool
        Whether other tools use the same names with another clock; blocks of another size tell.
    note : str
        What the import leaves out; told on stderr.
    source : str
        Where the names are known from: a project and commit, or a sample.
    """

    name: Named
    about: str
    kind: Literal["csv", "json", "any"]
    signatures: Annotated[tuple[Annotated[tuple[Named, ...], _SOME], ...], _SOME]
    input_tokens: Named
    output_tokens: Named
    time: Named | None = None
    unit: Unit = "s"
    time_may_be_missing: bool = False
    id: Named | None = None
    job_class: Named | None = None
    predicted: Named | None = "predicted_output_length"
    hash_ids: Named | None = None
    block_size: Named | None = None
    hash_block: Annotated[int, Meta(ge=0)] = 0
    timeout: Named | None = None
    priority: Named | None = None
    limits: tuple[Named, ...] = ("max_output_tokens", "max_completion_tokens", "max_tokens")
    model: Named | None = None
    session: Named | None = None
    turn: Named | None = None
    delay: Moment | None = None
    first_token: Moment | None = None
    last_token: Moment | None = None
    measured_from: Named | None = None
    failure: Failure = never
    runs: Runs | None = None
    joined: Named | None = None
    expand: Expand | None = None
    aliases: tuple[Named, ...] = ()
    keys_are_shared: bool = False
    note: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        check_fields(self, but=(*_FUNCTIONS, *_MOMENTS))
        for field in _FUNCTIONS:
            function = getattr(self, field)
            if function is not None and not callable(function):
                raise InputError(f"{field}: expected a function, got {shown(function)}")
        for field in _MOMENTS:
            moment = getattr(self, field)
            if moment is not None and not isinstance(moment, Moment):
                raise InputError(f"{field}: expected a Moment, got {shown(moment)}")

    @property
    def needed(self) -> list[str]:
        """The names without which there is no request."""
        return [name for name in (self.time, self.input_tokens, self.output_tokens) if name]

    @property
    def names(self) -> Iterator[str]:
        """Every name that it may read."""
        yield from (name for signature in self.signatures for name in signature)
        columns = (self.id, self.job_class, self.predicted, self.hash_ids, self.block_size)
        others = (
            self.timeout,
            self.priority,
            self.model,
            self.session,
            self.turn,
            self.measured_from,
        )
        moments = (getattr(self, name) for name in _MOMENTS)
        yield from filter(None, (*self.needed, *columns, *others, *self.limits))
        yield from (moment.name for moment in moments if moment is not None)

    @property
    def rare(self) -> list[str]:
        """Names of columns that few files have, which are read row by row."""
        delay = None if self.delay is None else self.delay.name
        return [name for name in (self.block_size, self.session, self.turn, delay) if name]

    @property
    def is_measured(self) -> bool:
        """Whether it says when tokens came."""
        return self.first_token is not None and self.last_token is not None

    def matches(self, names: Collection[str]) -> int:
        """Return the size of the largest signature found among `names`, 0 for none."""
        return max((len(s) for s in self.signatures if all(n in names for n in s)), default=0)

    def spelled(self, header: list[str]) -> list[str]:
        """Return the names of a header as this format spells them: case does not matter there."""
        own = {name.casefold(): name for name in self.names}
        spelled = [
            name if name in own.values() else own.get(name.casefold(), name) for name in header
        ]
        return spelled if len(set(spelled)) == len(set(header)) else header

    def untimed(self) -> Format:
        """Return it without arrival times: for requests that all come at once."""
        if self.time is None:
            return self
        signatures = tuple(
            rest for s in self.signatures if (rest := tuple(n for n in s if n != self.time))
        )
        return replace(self, time=None, unit="s", signatures=signatures or self.signatures)


_FUNCTIONS = ("failure", "runs", "expand")
_MOMENTS = ("delay", "first_token", "last_token")
