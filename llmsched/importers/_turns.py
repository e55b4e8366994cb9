"""Sessions in a file: which rows are turns that wait for another's answer, in which order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.importers._table import Table
from llmsched.sessions import Ordered, ordered
from llmsched.trace import seconds

_NO_SESSION = "turns make no session"
_ORPHANED = "the first turn of the session was left out"


def sessions_of(table: Table, time: NDArray[np.int64], path: str, *, skip: bool) -> Ordered | None:
    """Return the rows of a file with their sessions; None where nobody waits for another.

    Turns of a session whose first one was dropped (or may be, if `skip`) have no time to begin at;
    they are dropped and counted in the table as well.

    Parameters
    ----------
    time : int64, shape (n,)
        Nanoseconds; anything where a row has no time of its own.

    Raises
    ------
    InputError
        Turns that make no session, by the line of one.
    """
    names, delays = table.session.whole(), table.delay.whole()
    untimed = np.array(table.untimed.whole() or [False] * len(table))
    if not names or not (delays or untimed.any()):
        return None
    delay = np.array(delays or [math.inf] * len(table))
    _check_free(table, path, names, ~untimed & ~np.isfinite(delay))
    turns = _numbers(table, path, names)
    arrival = seconds(time)
    rows = np.arange(len(table))
    if not table.all_untimed:
        arrival[untimed] = np.nan
        if skip or table.dropped:
            begun = {name for name, absent in zip(names, untimed, strict=True) if not absent}
            rows = np.flatnonzero([name in begun for name in names])
            table.drop(_ORPHANED, len(table) - len(rows))
    wait = np.where(np.isfinite(delay), delay, 0.0)
    while True:  # until the rows that are left make sessions: each round leaves one out
        try:
            line = ordered(
                path,
                arrival[rows],
                [names[row] for row in rows],
                wait[rows],
                None if turns is None else turns[rows],
            )
            return line._replace(rows=rows[line.rows])
        except InputError as error:
            before, _, after = str(error).partition(": row ")
            row, _, problem = after.partition(": ")
            if not row.isdigit():
                raise
            at = int(row)
            if not skip or len(rows) == 1:
                where = table.where.whole()[rows[at]]
                raise InputError(f"{before}:{where}: {problem}") from None
            rows = np.delete(rows, at)
            table.drop(_NO_SESSION, 1)


def _check_free(table: Table, path: str, names: Sequence[str], free: NDArray[np.bool_]) -> None:
    """Refuse a second turn that has a time and no delay: does it wait or not?"""
    met: set[str] = set()
    for row in np.flatnonzero(free).tolist():
        if names[row] and names[row] in met:
            wanted = "delays of all turns after the first, or of none"
            where = table.where.whole()[row]
            raise InputError(f"{path}:{where}: session {names[row]!r}: expected {wanted}")
        met.add(names[row])


def _numbers(table: Table, path: str, names: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the places of turns in their sessions, which all of one have or none of any."""
    turns = np.array(table.turn.whole(), np.int64)
    several = {name for name, times in Counter(names).items() if name and times > 1}
    lacking = [row for row in np.flatnonzero(turns < 0).tolist() if names[row] in several]
    if lacking:
        where = table.where.whole()[lacking[0]]
        raise InputError(f"{path}:{where}: turn: expected a number in every turn, or in none")
    return turns if len(turns) else None
