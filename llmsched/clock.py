"""The grid of times: whole nanoseconds in float64 seconds, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST_S = 2**33
"""Seconds that no trace lasts: 272 years. Nanoseconds below it suffice in int64, Unix times too."""

_FINE = 2**50
"""Nanoseconds up to which each is a step of the grid: 13 days."""


def seconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whole nanoseconds as seconds; :func:`nanoseconds` is the inverse.

    Every trace read from a file or generated has arrivals made here. They are whole nanoseconds,
    beyond 13 days microseconds and beyond 35 years milliseconds: few enough digits that a float64
    in any unit, written as a decimal and read again, gives the same arrival.
    """
    if nanoseconds.max(initial=0) < _FINE:
        return nanoseconds / 1e9  # the same, without the columns that a long trace has no room for
    tick = _tick(nanoseconds)
    return np.rint(nanoseconds / tick) / (10**9 / tick)


def nanoseconds(arrival: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return arrivals in seconds as whole nanoseconds, rounded as :func:`seconds` says."""
    tick = _tick(arrival * 1e9)
    return np.rint(arrival * (10**9 / tick)).astype(np.int64) * tick


def _tick(nanoseconds: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the nanoseconds in one step of the time grid: at most 2**50 steps from 0."""
    return np.where(nanoseconds < _FINE, 1, np.where(nanoseconds < _FINE * 10**3, 10**3, 10**6))
