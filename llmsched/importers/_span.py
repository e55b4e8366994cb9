"""A span of a trace's time: which requests arrive from one instant until before another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.durations import seconds_of
from llmsched.errors import InputError
from llmsched.importers._values import DATE, Refusal, date_ns
from llmsched.schema import within

Instant = float | str
"""Seconds after the first request of the file, a span like 10m, or a date."""


@dataclass(frozen=True)
class Span:
    """The requests that arrive from `since` until before `until`; None is no end.

    Raises
    ------
    InputError
        One of the two is no instant.
    """

    since: Instant | None
    until: Instant | None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            self._offset(name, 0)

    @property
    def is_whole(self) -> bool:
        """Whether all requests are in it."""
        return self.since is None and self.until is None

    def __str__(self) -> str:
        ends = (("from", self.since), ("until", self.until))
        return " ".join(f"{word} {end}" for word, end in ends if end is not None)

    def rows(self, time: NDArray[np.int64], start: int | None) -> NDArray[np.int64]:
        """Return the requests in it.

        Parameters
        ----------
        time : int64, shape (n,)
            Nanoseconds since the first request of the file.
        start : int or None
            When that one arrived, in Unix nanoseconds; None where the file has no dates.

        Raises
        ------
        InputError
            There are none, or the span is in dates and the file is not.
        """
        low, high = self._offset("since", start), self._offset("until", start)
        inside = np.full(len(time), True) if low is None else time >= low
        if high is not None:
            inside &= time < high
        if not inside.any():
            last = f"the last one after {time.max() / 1e9:g} s"
            raise InputError(f"no request arrives {self}; {last}")
        return np.flatnonzero(inside)

    def _offset(self, name: str, start: int | None) -> int | None:
        """Return an end in nanoseconds since the first request of the file."""
        end: Instant | None = getattr(self, name)
        if end is None:
            return None
        with within(name):
            if not DATE.fullmatch(str(end)):
                return round(seconds_of(end) * 1e9)
            if start is None:
                expected = "seconds or a span like 10m, as this file has no dates"
                raise InputError(f"expected {expected}; got {end!r}")
            try:
                return date_ns(end, name) - start
            except Refusal as error:
                raise InputError(f"expected a date, got {end!r}") from error
