"""What was taken of a file and what was assumed of it, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llmsched.importers._asked import parsed
from llmsched.importers._blocks import Blocks
from llmsched.importers._format import Format, Record
from llmsched.importers._options import TraceOptions
from llmsched.importers._runs import Chosen
from llmsched.importers._values import DATE, getter, is_date

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True)
class Fact:
    """One thing that a file was read as.

    Attributes
    ----------
    what, value : str
    sure : str
        How that is known: said by somebody, the format's rule, seen in the rows, or assumed.
    note : str
        What somebody should know who does not ask; empty of what goes without saying.
    """

    what: str
    value: str
    sure: str
    note: str = ""


def resolved(form: Format, options: TraceOptions, first: Record) -> str:
    """Return what the arrival times count: where they may be dates, as the first row has it.

    Raises
    ------
    InputError
        As `TraceOptions.unit_of`.
    """
    unit = options.unit_of(form)
    if unit != "any" or form.time is None:
        return unit
    return "date" if is_date(getter(form.time)(first)) else "s"


_LARGER = {"ms": "s", "us": "ms", "ns": "us"}
_MOST_A_SECOND = 1000.0
"""Requests a second beyond which a unit is doubted: a wrong one is a factor of 1,000."""


def facts_of(
    form: Format,
    unit: str | None,
    first: Record,
    rate: float,
    blocks: Blocks | None,
    chosen: Chosen | None,
    options: TraceOptions,
) -> Iterator[Fact]:
    """Yield what is known of the clock, the blocks and the run that were read.

    Parameters
    ----------
    unit : str or None
        What the arrival times count; None of a file without any.
    first : dict
        The first row.
    rate : float
        Requests a second, by that clock.
    """
    if form.time is not None and unit is not None:
        yield _clock(form, unit, rate, options)
        if unit == "date":
            yield _zone(getter(form.time)(first))
    if blocks is not None:
        if blocks.size:
            yield Fact("blocks", f"{blocks.size} tokens each", blocks.sure)
        else:
            note = f"hash_ids are left out: {blocks.sure}"
            yield Fact("blocks", "left out", blocks.sure, note)
    if chosen is not None:
        yield from _run(chosen, options, is_timed=unit is not None)


def _clock(form: Format, unit: str, rate: float, options: TraceOptions) -> Fact:
    value = f"{form.time}, {'dates' if unit == 'date' else _UNITS[unit]}"
    if options.time_unit is not None:
        return Fact("clock", value, "said by --time-unit")
    if options.columns is not None and form.unit != "any":
        units = [column.unit for column in parsed(options.columns) if column.role == "arrival"]
        return Fact("clock", value, "said by --columns" if all(units) else "said by its name")
    if form.unit == "any":
        if unit == "date":
            return Fact("clock", value, "as its first row is written")
        note = f"{form.time} is read as seconds: --columns arrival={form.time}:ms for another unit"
        return Fact("clock", value, "assumed", note)
    rule = f"the rule of the format {form.name}"
    if rate > _MOST_A_SECOND and unit in _LARGER:
        larger = _LARGER[unit]
        rule += f"; {rate:,.0f} requests/s are doubtful: --time-unit {larger} if it is in {larger}"
    return Fact("clock", value, rule)


def _zone(value: object) -> Fact:
    match = DATE.fullmatch(value) if isinstance(value, str) else None
    zone = match and match.group(4)
    if not zone:
        return Fact("zone", "UTC", "assumed: the dates name none")
    return Fact("zone", zone, "said by the dates")


def _run(chosen: Chosen, options: TraceOptions, *, is_timed: bool) -> Iterator[Fact]:
    run = chosen.run
    if run.note:
        yield Fact("requests", "some of the run's", "said by the run", run.note)
    if chosen.of > 1:
        how = "the first one" if options.run is None else "said by --run"
        yield Fact("run", f"{chosen.number} of {chosen.of}: {run}", how)
    if run.concurrency is not None:
        note = (
            f"recorded with at most {run.concurrency:,} requests at once: "
            f"--concurrency {run.concurrency} replays it so"
        )
        yield Fact("sent", f"at most {run.concurrency:,} at once", "said by the run", note)
    if run.rate is not None:
        how = str(replace(run, concurrency=None))
        missing = f"sent at {how}, at times that the file does not have"
        yield Fact("sent", how, "said by the run", "" if is_timed else missing)
