"""What makes reading in blocks give up, and the checks of columns that both kinds of text share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from llmsched.importers._table import MAX_SECONDS, UNITS
from llmsched.trace import MAX_TOKENS

_ZERO, _NINE = b"09"
_MARKS = {4: b"-", 7: b"-", 10: b" ", 13: b":", 16: b":", 19: b"."}


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


def check_times(values: Sequence[object], unit: str) -> None:
    """Doubt what is no number of `unit` that row by row accepts."""
    doubt(not {int, float}.issuperset(map(type, values)))
    times = np.array(values, dtype=np.float64)
    doubt(not ((times >= 0) & (times < MAX_SECONDS * 10**9 // UNITS[unit])).all())


def dates(values: Sequence[object]) -> list[int]:
    """Return dates and times of day, all written alike and in UTC, as Unix nanoseconds."""
    doubt(not {str}.issuperset(map(type, values)))
    if not values:
        return []
    text = np.array([cast(str, value).removesuffix("+00:00") for value in values], dtype="S")
    width = text.dtype.itemsize
    doubt(not 19 <= width <= 29 or width == 20)
    places = text.view(np.uint8).reshape(len(text), width)
    for at in range(width):
        column = places[:, at]
        if at in _MARKS:
            doubt((column != _MARKS[at][0]).any())
        else:
            doubt(((column < _ZERO) | (column > _NINE)).any())
    # In whole seconds every year of four digits has room; in nanoseconds those after 2262 wrap.
    whole = text.astype("U19").astype("datetime64[s]").astype(np.int64)
    doubt(not ((whole >= 0) & (whole < MAX_SECONDS)).all())
    powers = [10**power for power in range(8, 28 - width, -1)]
    return cast("list[int]", (whole * 10**9 + _fractions(places, powers)).tolist())


def _fractions(places: NDArray[np.uint8], powers: Sequence[int]) -> NDArray[np.int64]:
    """Return the digits after the point as nanoseconds."""
    digits = places[:, 20:].astype(np.int64) - _ZERO
    return digits @ np.array(powers, dtype=np.int64)[: digits.shape[1]]
