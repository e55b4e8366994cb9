"""Which requests count in metrics: all, or those after a warm-up or in a window of arrivals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from llmsched.durations import seconds_of
from llmsched.errors import InputError
from llmsched.schema import check_fields, within

Warmup = Annotated[int, Meta(ge=0)] | str


@dataclass(frozen=True)
class Counted:
    """The requests that count. The replay stays whole; only what is measured of it is less.

    Attributes
    ----------
    warmup : int, str or None
        Requests that do not count, the first to arrive; or a span like "30s" from the first
        arrival, in which none counts.
    window : str or None
        "A..B": those count that arrive from A until before B, seconds or spans from the first
        arrival; either may be left out.
    """

    warmup: Warmup | None = None
    window: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.warmup is not None and self.window is not None:
            raise InputError("warmup: expected without a window, which says what counts as well")
        _ = self._span

    @property
    def given(self) -> dict[str, int | str]:
        """What a record says of it: nothing where all requests count."""
        if self.window is not None:
            return {"window": self.window}
        return (
            {}
            if self.warmup is None or self._skipped + self._span[0] == 0
            else {"warmup": self.warmup}
        )

    @property
    def _skipped(self) -> int:
        return self.warmup if isinstance(self.warmup, int) else 0

    @property
    def _span(self) -> tuple[float, float]:
        """The arrivals that count, in seconds from the first one, the end left out."""
        if isinstance(self.warmup, str):
            with within("warmup"):
                return seconds_of(self.warmup), np.inf
        if self.window is None:
            return 0.0, np.inf
        start, dots, end = self.window.partition("..")
        with within("window"):
            if not dots:
                raise InputError(f"expected A..B, in seconds or with a unit; got {self.window!r}")
            first = seconds_of(start) if start else 0.0
            last = seconds_of(end) if end else np.inf
            if first >= last:
                raise InputError(f"expected the earlier end first, got {self.window!r}")
            return first, last

    def rows(self, arrival: NDArray[np.float64]) -> NDArray[np.int64] | None:
        """Return the requests that count, rising; None where that is all of them.

        Raises
        ------
        InputError
            None does.
        """
        if not self.given:
            return None
        low, high = self._span
        since = arrival - arrival.min()
        rows = np.flatnonzero((since >= low) & (since < high))
        if self._skipped:
            rows = np.sort(np.argsort(arrival, kind="stable")[self._skipped :])
        if not len(rows):
            name, value = next(iter(self.given.items()))
            last = f"{len(arrival):,}, the last after {since.max():.6g} s"
            raise InputError(
                f"{name}: expected some of the requests to count ({last}), got {value}"
            )
        return rows if len(rows) < len(arrival) else None

    def words(self, arrival: NDArray[np.float64] | None, requests: int) -> str:
        """Return for a title which requests count; empty where that is all of them.

        `arrival` is None where only a replay decides it: in a closed loop.
        """
        if not self.given:
            return ""
        if arrival is None and not self._skipped:
            low, high = self._span
            until = f" until {high:g} s" if high < np.inf else ""
            return f"metrics of requests that arrive from {low:g} s{until}"
        rows = self.rows(np.zeros(requests) if arrival is None else arrival)
        if rows is None:
            return ""
        return f"metrics of requests {rows[0] + 1:,}..{rows[-1] + 1:,}"


EVERY = Counted()
"""All requests count."""


def first_wave(arrival: NDArray[np.float64]) -> int:
    """Return how many requests arrive at the very start, together; 0 if one does, or all."""
    together = int(np.count_nonzero(arrival == arrival.min()))
    return together if 1 < together < len(arrival) else 0
