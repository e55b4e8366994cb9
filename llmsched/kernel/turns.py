"""Requests to come where some wait for others to end: who arrives next, and when.

The engine numbers requests as they arrive. Rows are numbers of another kind: places among all that
were submitted. A first turn's arrival is known, or, in a closed loop, when a user is free; a later
turn's when the turn before it ends.
"""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.kernel.requests import appended

_SECONDS = ("arrival", "earliest", "delay", "timeout")
_WHOLE = ("prompt", "output", "predicted", "limit", "priority", "following", "first")


class Turns:
    """What was submitted, by row, and a place in the numbered columns for who arrives next.

    Attributes
    ----------
    horizon : float
        Seconds: whoever arrives by then was submitted.
    """

    def __init__(self) -> None:
        self.horizon = 0.0
        self.came = 0  # first turns that have arrived
        self.dated = 0  # those whose arrival is known
        self.later: list[tuple[float, float, int]] = []  # heap: arrival, its earliest, row
        self.submitted = self.firsts = 0  # rows so far, and those of them that follow nobody
        self._rows: dict[str, NDArray[Any]] = {name: np.zeros(0) for name in _SECONDS}
        self._rows |= {name: np.zeros(0, np.int64) for name in _WHOLE}
        self._look()

    def add(
        self,
        given: dict[str, NDArray[Any]],
        previous: NDArray[np.int64],
        delay: NDArray[np.float64],
    ) -> None:
        """Add requests in the order of their trace.

        Parameters
        ----------
        given : dict
            Columns "arrival" (of a first turn infinite where it waits for a free user), "earliest"
            (seconds, by which ties are broken), "prompt", "output", "predicted", "limit",
            "priority" and "timeout", shape (n,).
        previous : int64, shape (n,)
            Place among these of the turn before; -1 for none.
        delay : float64, shape (n,)
            Seconds from its end.
        """
        above = self.submitted
        later = np.flatnonzero(previous >= 0)
        following = np.full(len(previous), -1)
        following[previous[later]] = above + later
        first = np.flatnonzero(previous < 0)
        self.dated += int(np.isfinite(given["arrival"][first]).sum())
        rows = self._rows
        for name, new in {**given, "delay": delay, "following": following}.items():
            rows[name] = appended(rows[name], above, new)
        rows["first"] = appended(rows["first"], self.firsts, above + first)
        self.submitted += len(previous)
        self.firsts += len(first)
        self._look()

    def _look(self) -> None:
        rows = self._rows
        self.arrival, self.delay = floats(rows["arrival"]), floats(rows["delay"])
        self.timeout, self.earliest = floats(rows["timeout"]), floats(rows["earliest"])
        self.prompt, self.output = ints(rows["prompt"]), ints(rows["output"])
        self.predicted, self.limit = ints(rows["predicted"]), ints(rows["limit"])
        self.priority = ints(rows["priority"])
        self.following, self.first = ints(rows["following"]), ints(rows["first"])

    def into(self, columns: dict[str, NDArray[Any]], row_of: NDArray[np.int64]) -> None:
        """Let requests be written where the engine reads them, and their rows beside."""
        self.to_arrival = floats(columns["arrival"])
        self.to_prompt, self.to_output = ints(columns["prompt"]), ints(columns["output"])
        self.to_predicted, self.to_limit = ints(columns["predicted"]), ints(columns["limit"])
        self.to_priority = ints(columns["priority"])
        self.timed = "timeout" in columns
        self.to_timeout = floats(columns["timeout"] if self.timed else np.zeros(0))
        self.row_of = ints(row_of)

    def is_first(self) -> bool:
        """Whether a first turn arrives next: in order of time, then of rows.

        Those known when time begins come before all others, who do not belong to what is planned.
        """
        if self.came == self.dated:
            return False
        if not self.later:
            return True
        row = self.first[self.came]
        time = self.arrival[row]
        return time <= 0.0 or (time, self.earliest[row], row) < self.later[0]

    def place(self, number: int) -> bool:
        """Give a number to who arrives next; False if that is not known yet.

        A later turn beyond the horizon may yet be preceded by who has not been submitted.
        """
        if self.is_first():
            row = self.first[self.came]
            time = self.arrival[row]
        elif self.later and (self.came < self.dated or self.later[0][0] <= self.horizon):
            time, _, row = self.later[0]
        else:
            if number < len(self.to_arrival):
                self.to_arrival[number] = inf
            return False
        if number and time < self.to_arrival[number - 1]:  # a step took less than an instant
            time = self.to_arrival[number - 1]
        self.row_of[number] = row
        self.to_arrival[number] = time
        self.to_prompt[number] = self.prompt[row]
        self.to_output[number] = self.output[row]
        self.to_predicted[number] = self.predicted[row]
        self.to_limit[number] = self.limit[row]
        self.to_priority[number] = self.priority[row]
        if self.timed:
            self.to_timeout[number] = self.timeout[row]
        return True

    def take(self) -> None:
        """Let who was placed last arrive."""
        if self.is_first():
            self.came += 1
        else:
            heappop(self.later)

    def end(self, number: int, time: float) -> None:
        """Let a turn end: the next one of its session is dated, else a user is free."""
        row = self.following[self.row_of[number]]
        if row >= 0:
            heappush(self.later, (time + self.delay[row], self.earliest[row], row))
        elif self.dated < self.firsts:
            self.arrival[self.first[self.dated]] = time
            self.dated += 1
