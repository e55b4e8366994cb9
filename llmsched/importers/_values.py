"""What is accepted as a number, a time, a date, a name, and how a refusal says so."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import orjson

from llmsched.clock import LONGEST_S
from llmsched.trace import LEAST_TIMEOUT_S, MAX_TOKENS, MOST_PRIORITY

UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in each unit of time."""

Check = Callable[[object, str], object]
"""Takes a value and what it is called; returns it as it is kept, or raises `Refusal`."""

MISSING = object()
_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?"
    r" ?(Z|z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
"""A date and time of ISO 8601: a space or T, offsets with a colon or without."""


class Refusal(Exception):
    """Why a record or a value is not accepted: the field, what was expected, what was there."""

    def __init__(self, field: str, expected: str, got: str = "") -> None:
        super().__init__(field, expected, got)
        self.reason = f"{field}: expected {expected}"
        self.message = f"{self.reason}, got {got}" if got else self.reason


class Dropped(Exception):
    """A request that a trace has no place for; the argument is the reason to count."""


def getter(path: str) -> Callable[[Mapping[str, object]], object]:
    """Return a function that finds the value at `path`: a key of that name, else through dots."""
    if "." not in path:
        return lambda record: record.get(path, MISSING)
    keys = path.split(".")

    def descend(record: Mapping[str, object]) -> object:
        if path in record:
            return record[path]
        value: object = record
        for key in keys:
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
        return value

    return descend


def as_json(value: object) -> str:
    """Return `value` as JSON of at most 40 characters, as error messages show it."""
    try:
        text = json.dumps(value)
    except TypeError:
        return "nothing (it is missing)"  # the marker of a value that is not there
    except (ValueError, RecursionError):
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 40 else text[:37] + "..."


def as_number(value: object) -> object:
    """Return a text that is a plain number as that number, and anything else as it is."""
    if type(value) is not str:
        return value
    if _INTEGER.fullmatch(value):
        return int(value)
    return float(value) if _DECIMAL.fullmatch(value) else value


def is_absent(value: object) -> bool:
    """Whether a row says nothing there: no such key, null, or an empty cell."""
    return value is MISSING or value is None or value == ""


def truth(value: object) -> bool | None:
    """Return what a flag says, however it is written; None where it says nothing."""
    if isinstance(value, str):
        return _FLAGS.get(value.strip().casefold())
    return bool(value) if isinstance(value, bool | int | float) else None


def count(value: object, label: str) -> int:
    """Return `value` if it is an integer in 1..MAX_TOKENS (5.0 is the integer 5).

    Raises
    ------
    Refusal
    """
    value = as_number(value)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or value < 1:
        raise Refusal(label, "an integer >= 1", as_json(value))
    if value > MAX_TOKENS:
        raise Refusal(label, f"an integer <= {MAX_TOKENS}", as_json(value))
    return value


def output(value: object, label: str) -> int:
    """Return `count`; a request without any output is dropped."""
    value = as_number(value)
    if type(value) in (int, float) and value == 0:
        raise Dropped(f"{label} is 0")
    return count(value, label)


def timeout_ms(value: object, label: str) -> float:
    """Return milliseconds after which a client gives up; infinite where the row says nothing.

    Raises
    ------
    Refusal
    """
    if is_absent(value):
        return math.inf
    number = as_number(value)
    if _is_number(number) and 1e3 * LEAST_TIMEOUT_S <= cast(float, number) < math.inf:
        return float(cast(float, number))
    raise Refusal(label, f"a number >= {1e3 * LEAST_TIMEOUT_S:g}", as_json(value))


def priority(value: object, label: str) -> int:
    """Return how urgent a request is, lower being sooner; 0 where the row says nothing.

    Raises
    ------
    Refusal
    """
    if is_absent(value):
        return 0
    number = as_number(value)
    if type(number) is float and number.is_integer():
        number = int(number)
    if type(number) is not int or abs(number) > MOST_PRIORITY:
        raise Refusal(label, f"an integer in -{MOST_PRIORITY}..{MOST_PRIORITY}", as_json(value))
    return number


def time_in(unit: str) -> Check:
    """Return the check of a time in a unit; dates become Unix nanoseconds.

    Only a number can be in a unit: what else is there may be a date, which the message says.
    """
    if unit == "date":
        return date_ns
    limit = LONGEST_S * 10**9 // UNITS[unit]

    def check(value: object, label: str) -> float:
        number = as_number(value)
        if (type(number) is int or type(number) is float) and 0 <= number < limit:
            return number
        if _is_number(number) and limit <= cast(float, number) < math.inf:
            raise Refusal(label, f"a time < {limit} {unit}, see --time-unit", as_json(value))
        if is_date(value):
            raise Refusal(label, f"a number of {unit}", f"a date: {as_json(value)}")
        raise Refusal(label, "a finite number >= 0", as_json(value))

    return check


def seconds_in(value: object, label: str, unit: str) -> float:
    """Return a duration in a unit as seconds; NaN where the row does not say it.

    Raises
    ------
    Refusal
    """
    if is_absent(value):
        return math.nan
    number = as_number(value)
    if _is_number(number) and 0 <= cast(float, number) < LONGEST_S * 10**9 // UNITS[unit]:
        return cast(float, number) * UNITS[unit] / 1e9
    raise Refusal(label, "a finite number >= 0", as_json(value))


def date_ns(value: object, label: str) -> int:
    """Return a date and time (UTC unless it says otherwise) as Unix nanoseconds."""
    match = DATE.fullmatch(value) if type(value) is str else None
    if match is not None:
        day, clock, fraction, zone = match.groups()
        utc = zone is None or zone in ("Z", "z", "UTC", "GMT")
        with suppress(ValueError):
            moment = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if utc else zone}")
            whole = (moment - _EPOCH) // _SECOND
            if 0 <= whole < LONGEST_S:
                return whole * 10**9 + int((fraction or "").ljust(9, "0"))
    hint = "; --time-unit says what a number counts" if _is_number(as_number(value)) else ""
    raise Refusal(label, "a date as 2023-11-16 18:17:03.9799600", as_json(value) + hint)


def instant_ns(value: object, label: str, unit: str) -> float:
    """Return a time on a clock as its nanoseconds; where it may be either, a date or seconds.

    Raises
    ------
    Refusal
    """
    if unit == "any":
        unit = "date" if is_date(value) else "s"
    return cast(float, time_in(unit)(value, label)) * UNITS.get(unit, 1)


def is_date(value: object) -> bool:
    """Whether a value is written as a date."""
    return type(value) is str and DATE.fullmatch(value) is not None


def label_of(value: object, label: str) -> str:
    """Return the name of a class or a session; empty where the row has none.

    Raises
    ------
    Refusal
    """
    if value is MISSING or value is None:
        return ""
    if type(value) is not str and type(value) is not int:
        raise Refusal(label, "a string or an integer", as_json(value))
    return sys.intern(str(value))  # millions of requests are of few classes


def hashes(value: object, label: str) -> tuple[int, ...]:
    """Return the ids of prefix blocks, which a table has as JSON text.

    Raises
    ------
    Refusal
    """
    listed = value
    if type(value) is str:
        with suppress(orjson.JSONDecodeError):
            listed = orjson.loads(value)
    if type(listed) is not list or any(type(item) is not int for item in listed):
        raise Refusal(label, "a list of integers", as_json(value))
    return tuple(listed)


def _is_number(value: object) -> bool:
    return type(value) is int or type(value) is float
