"""Sessions in a file: who comes after whom, and how long after the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.importers._table import Table
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.importers._options import TraceOptions

_Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Turns:
    """The turns of a file's sessions, by row.

    Attributes
    ----------
    name : list of str
        Of each row's session; empty of a request that is in none.
    before : int64, shape (n,)
        Row of the turn before; -1 of first turns.
    delay : int64, shape (n,)
        Nanoseconds after the answer to the turn before; 0 of first turns.
    order : int64, shape (n,)
        Rows such that no turn comes before the one that it follows.
    timed : bool, shape (n,)
        Rows with an arrival of their own.
    """

    name: list[str]
    before: _Ints
    delay: _Ints
    order: _Ints
    timed: NDArray[np.bool_]

    def start(self, time: NDArray[np.int64] | NDArray[np.float64]) -> float:
        """Return when the first request of the file arrives, which is its time 0."""
        timed = time[self.timed]
        start: float = timed.min() if len(timed) else 0
        return start

    def earliest(self, time: _Ints) -> _Ints:
        """Return when each row could arrive at the soonest, if no answer took any time."""
        earliest = np.where(self.timed, time, 0)
        for row in self.order[self.before[self.order] >= 0].tolist():
            earliest[row] = earliest[self.before[row]] + self.delay[row]
        return earliest

    def linked(self, trace: Trace, rows: _Ints | None, options: TraceOptions) -> Trace:
        """Return a trace of some rows with its sessions: what is left out passes its delay on."""
        raise NotImplementedError


def chained(table: Table, path: str) -> Turns | None:
    """Return the sessions of a file; None where no row waits for another's answer.

    Raises
    ------
    InputError
        A turn after the first has neither a delay nor comes in a session without any.
    """
    names, delays = table.session.whole(), table.delay.whole()
    untimed = table.untimed.whole()
    if not names or not (delays or untimed):
        return None
    n = len(table)
    places = table.turn.whole() or [-1] * n
    delay = np.array(delays or [np.inf] * n)
    order = np.array(sorted(range(n), key=lambda row: (names[row], places[row])), np.int64)
    before = np.full(n, -1, np.int64)
    last: dict[str, int] = {}
    timed = ~np.array(untimed or [False] * n)
    for row in order.tolist():
        name = names[row]
        if name and name in last:
            before[row] = last[name]
            if timed[row] and not np.isfinite(delay[row]):
                who = f"request {table.id.whole()[row]!r} of session {name!r}"
                raise InputError(f"{path}: delay: expected one of {who}, which is not its first")
        if name:
            last[name] = row
    follows = before >= 0
    first = ~follows
    if (first & ~timed).any() and (first & timed).any():
        row = int(np.flatnonzero(first & ~timed)[0])
        who = f"request {table.id.whole()[row]!r}, the first of its session"
        raise InputError(f"{path}: time: expected one of {who}, as others have it")
    timed &= first
    wait = np.rint(np.where(follows & np.isfinite(delay), delay, 0.0) * 1e9).astype(np.int64)
    return Turns(names, before, wait, order, timed)
