"""What makes reading in blocks give up, and the checks of columns that both kinds of text share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from llmsched.clock import LONGEST_S
from llmsched.importers._values import UNITS
from llmsched.trace import MAX_TOKENS

_ZERO = ord("0")
_MARKS = {4: "-", 7: "-", 10: " ", 13: ":", 16: ":", 19: "."}
"""What stands between the numbers of a date as 2023-11-16 18:17:03.9799600."""


Numbers: TypeAlias = "NDArray[np.int64] | NDArray[np.float64]"


class Doubtful(Exception):
    """Something that only reading row by row can judge."""


def doubt(doubtful: bool | np.bool_) -> None:
    """Raise `Doubtful` if it is."""
    if doubtful:
        raise Doubtful


def in_range(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the counts if all are numbers of tokens that a request may have."""
    doubt(bool(len(counts)) and not (counts.min() >= 1 and counts.max() <= MAX_TOKENS))
    return counts


def times(values: Sequence[object], unit: str) -> Numbers:
    """Return numbers of `unit`; doubt what row by row does not accept."""
    kinds = set(map(type, values))
    doubt(not kinds <= {int, float})
    if float in kinds:
        return in_time(np.array(values, np.float64), unit)
    return in_time(np.array(values, np.int64), unit)


def in_time(column: Numbers, unit: str) -> Numbers:
    """Return times if all are such as a request may have."""
    doubt(not ((column >= 0) & (column < LONGEST_S * 10**9 // UNITS[unit])).all())
    return column


def dates(values: Sequence[object]) -> NDArray[np.int64]:
    """Return dates and times of day, all written alike and in UTC, as Unix nanoseconds."""
    doubt(not {str}.issuperset(map(type, values)))
    text = np.array([cast(str, value).removesuffix("+00:00") for value in values], dtype="S")
    return moments(text.view(np.uint8).reshape(len(text), -1 if len(text) else 1))


def moments(places: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return dates and times of day, one a row of ASCII characters, as Unix nanoseconds."""
    rows, width = places.shape
    if not rows:
        return np.zeros(0, np.int64)
    doubt(not 19 <= width <= 29 or width == 20)
    columns = np.ascontiguousarray(places.T)
    for at, mark in _MARKS.items():
        doubt(at < width and (columns[at] != ord(mark)).any())
    digits = columns - np.uint8(_ZERO)
    doubt((digits[[at for at in range(width) if at not in _MARKS]] > 9).any())

    def number(start: int, stop: int) -> NDArray[np.int64]:
        value = np.zeros(rows, np.int64)
        for at in range(start, stop):
            value *= 10
            value += digits[at]
        return value

    hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
    doubt((hour > 23).any() or (minute > 59).any() or (second > 59).any())
    # In whole seconds every year of four digits has room; in nanoseconds those after 2262 wrap.
    whole = _days(number(0, 4), number(5, 7), number(8, 10)) * 86400
    whole += hour * 3600 + minute * 60 + second
    doubt(not ((whole >= 0) & (whole < LONGEST_S)).all())
    whole *= 10**9
    whole += number(20, width) * 10 ** (29 - max(width, 20))
    return whole


def _days(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return days since 1970; doubt what is in no calendar."""
    doubt((month < 1).any() or (month > 12).any())
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    first, next_first = (
        column.astype("datetime64[D]").astype(np.int64) for column in (months, months + 1)
    )
    doubt((day < 1).any() or (first + day > next_first).any())
    return first + day - 1
