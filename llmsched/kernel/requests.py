"""The requests of one engine: what they are, and what becomes of them.

Columns with one entry each, read through memory views: plain numbers in the loop, in Python as in
C, and NumPy arrays around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints

_GIVEN = {
    "arrival": np.float64,
    "prompt": np.int64,
    "output": np.int64,
    "predicted": np.int64,
    "limit": np.int64,
}
_OUTCOME = {
    "admitted": np.float64,
    "first_token": np.float64,
    "finish": np.float64,
    "preemptions": np.int64,
    "recomputed": np.int64,
    "cached": np.int64,
    "status": np.int64,
    "emitted": np.int64,
    "computed_input": np.int64,
}

REFUSED, ABORTED = 1, 2
"""What became of a request that was not completed: turned away, or left by its client."""


def appended(column: NDArray[Any], used: int, new: NDArray[Any]) -> NDArray[Any]:
    """Return a column with new entries after those in use: another one where it has no room."""
    if used + len(new) > len(column):
        longer = np.empty(2 * used + len(new), column.dtype)
        longer[:used] = column[:used]
        column = longer
    column[used : used + len(new)] = new
    return column


class Requests:
    """Columns that grow as requests are submitted.

    Attributes
    ----------
    arrival : float, seconds; infinite where nothing but a finish makes the request arrive
    prompt, output, predicted, limit : int, tokens
    admitted, first_token, finish : float, seconds; NaN until it happens
    priority : int
        Lower is more urgent.
    timeout : float, seconds
        How long its client waits for the last token; infinite where it does not give up.
    preemptions, recomputed, cached : int
        How often it was preempted, the tokens that it lost by that and did not find in the cache
        again, and those that it found there and had never computed itself.
    status : int
        0, REFUSED or ABORTED; such a request's finish is when it was turned away or left.
    emitted, computed_input : int, tokens
        Output and prompt tokens that an aborted request had got.
    submitted, dated : int
        Requests so far, and those of them whose arrival is known.
    """

    def __init__(self) -> None:
        self.submitted = self.dated = 0
        self.impatient = False  # whether any has a timeout
        self._columns: dict[str, NDArray[Any]] = {}
        self.submit(*(np.zeros(0, kind) for kind in _GIVEN.values()))

    def submit(
        self,
        arrival: NDArray[np.float64],
        prompt: NDArray[np.int64],
        output: NDArray[np.int64],
        predicted: NDArray[np.int64],
        limit: NDArray[np.int64],
        timeout: NDArray[np.float64] | None = None,
        priority: NDArray[np.int64] | None = None,
    ) -> None:
        """Add requests, none of which arrives before one that was submitted earlier.

        An infinite arrival waits for a finish (a closed loop). Policies learn of a request, and of
        what it is predicted to be, when it arrives.
        """
        n = len(arrival)
        for name, column in zip(_GIVEN, (arrival, prompt, output, predicted, limit), strict=True):
            self._append(name, column)
        if timeout is not None and not self.impatient:
            self.impatient = True
            self._columns["timeout"] = np.full(self.submitted, np.inf)
        if self.impatient:
            self._append("timeout", np.full(n, np.inf) if timeout is None else timeout)
        self._append("priority", np.zeros(n, np.int64) if priority is None else priority)
        for name, kind in _OUTCOME.items():
            self._append(name, np.full(n, np.nan) if kind is np.float64 else np.zeros(n, kind))
        self.submitted += n
        self.dated += int(np.isfinite(arrival).sum())
        columns = self._columns
        if self.dated < self.submitted and not columns["arrival"].flags.writeable:
            columns["arrival"] = columns["arrival"].copy()
        self.arrival = floats(columns["arrival"])
        self.dating = self.arrival if self.dated < self.submitted else None  # to be written
        self.prompt = ints(columns["prompt"])
        self.output = ints(columns["output"])
        self.predicted = ints(columns["predicted"])
        self.limit = ints(columns["limit"])
        self.priority = ints(columns["priority"])
        self.admitted = floats(columns["admitted"])
        self.first_token = floats(columns["first_token"])
        self.finish = floats(columns["finish"])
        self.preemptions = ints(columns["preemptions"])
        self.recomputed = ints(columns["recomputed"])
        self.cached = ints(columns["cached"])
        if self.impatient:
            self.timeout = floats(columns["timeout"])
        self.status = ints(columns["status"])
        self.emitted = ints(columns["emitted"])
        self.computed_input = ints(columns["computed_input"])

    def _append(self, name: str, new: NDArray[Any]) -> None:
        if not self.submitted:
            self._columns[name] = new  # a whole trace is not copied
        else:
            self._columns[name] = appended(self._columns[name], self.submitted, new)

    def outcome(self) -> dict[str, NDArray[Any]]:
        """Return the arrivals and what became of each request so far, shape (submitted,) each."""
        names = ("arrival", *_OUTCOME)
        return {name: self._columns[name][: self.submitted] for name in names}

    def has_finished(self, request: int) -> bool:
        """Whether a request has got its last token, was refused or has been aborted."""
        return self.finish[request] == self.finish[request]  # not NaN
