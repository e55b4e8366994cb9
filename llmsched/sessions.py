"""Turns of sessions: conversations whose next turn comes some time after the end of the one before.

When a turn ends is the engine's to say. A trace keeps the earliest time that is conceivable: the
first turn's arrival and the delays since, as if answers took no time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.clock import LONGEST_S, nanoseconds, seconds
from llmsched.errors import InputError

NO_SESSION = ""
"""What the session of a request without one is called."""


class Ordered(NamedTuple):
    """Columns of a trace with sessions, in its order, and the rows that they come from.

    `session` is None, and all delays are 0, where no session has two turns.
    """

    rows: NDArray[np.int64]
    arrival: NDArray[np.float64]
    session: NDArray[np.object_] | None
    delay: NDArray[np.float64]


def ordered(
    name: str,
    arrival: NDArray[np.float64],
    session: Sequence[str] | NDArray[np.object_],
    delay: ArrayLike | None = None,
    turn: ArrayLike | None = None,
) -> Ordered:
    """Put rows that are in any order, as those of a file, into the order of a trace.

    Parameters
    ----------
    name : str
        The trace's, for messages.
    arrival : float64, shape (n,)
        Seconds; those of later turns are replaced, and may be NaN.
    session : sequence of str, shape (n,)
        The name of each request's session; "" for none.
    delay : array_like of float, shape (n,), optional
        Seconds from the end of the previous turn to this one; 0 where there is none. They, and
        the arrivals of first turns with a turn after them, are rounded to whole nanoseconds.
    turn : array_like of int, shape (n,), optional
        Order within a session, any numbers that rise. Without them turns are in order of arrival,
        and one without an arrival comes next after the row of its session above it.

    Raises
    ------
    InputError
        A delay is negative, not finite, or of a request that follows none; a first turn has no
        arrival; a session has two turns of one number, or lasts beyond 272 years. The message
        names the row (from 0).
    """
    n = len(arrival)
    names = np.array([str(label) for label in session], dtype=object)
    wait = np.zeros(n) if delay is None else np.asarray(delay, dtype=np.float64)
    number = None if turn is None else np.asarray(turn)
    for what, column in {"session": names, "delay_ms": wait, "turn": number}.items():
        if column is not None and column.shape != (n,):
            raise InputError(f"{name}: {what}: expected {n} values, got shape {column.shape}")
    bad = ~(np.isfinite(wait) & (wait >= 0))
    if bad.any():
        row = int(bad.argmax())
        expected = "expected a finite time >= 0"
        raise InputError(f"{name}: row {row}: delay_ms: {expected}, got {1e3 * wait[row]:g}")
    code = _codes(names)
    key = _filled(arrival, code) if number is None else number
    line = np.lexsort((np.arange(n), key, code))  # sessions one after another, each in its order
    first = _begins(code[line])
    if number is not None:
        _check_numbers(name, line, names[line], number[line], first)
    owed = line[first & ~np.isfinite(arrival[line])]
    if len(owed):
        row = int(owed.min())
        what = "a first turn" if names[row] else "a request without a session"
        raise InputError(f"{name}: row {row}: timestamp: expected a finite time of {what}")
    idle = line[first & (wait[line] > 0)]
    if len(idle):
        row = int(idle.min())
        follows = "none of a request that follows no turn"
        raise InputError(
            f"{name}: row {row}: delay_ms: expected {follows}, got {1e3 * wait[row]:g}"
        )
    times, latest = arrival.copy(), np.arange(n)
    head = _head(first)
    chained = np.bincount(head, minlength=n)[head] > 1
    if chained.any():
        times[line[chained]] = _earliest(name, line, arrival[line[head]], wait[line], head)[chained]
    # Turns of one instant keep their order, and the place of the last of them in the file.
    latest[line] = _running_max(line, head)
    place = np.empty(n, np.int64)
    place[line] = np.arange(n)
    rows = np.lexsort((place, latest, times))
    found = names[rows] if chained.any() else None
    return Ordered(rows, times[rows], found, seconds(nanoseconds(wait[rows])))


def passed_on(
    session: NDArray[np.object_], delay: NDArray[np.float64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.object_] | None, NDArray[np.float64]]:
    """Return sessions and delays of some rows of a trace (rising): those left out pass theirs on.

    Where a first turn is left out, the next one is first. No sessions are left where none has two
    turns.
    """
    code = _codes(session)
    line = np.argsort(code, kind="stable")
    since = np.empty(len(line), np.int64)  # nanoseconds of delays since the session's first turn
    waits = nanoseconds(delay[line])
    head = _head(_begins(code[line]))
    total = np.cumsum(waits)
    since[line] = total - total[head]
    names = session[rows]
    before = previous_turns(names)
    kept = since[rows]
    wait = np.where(before >= 0, kept - kept[before], 0)
    return (names if (before >= 0).any() else None), seconds(wait)


def previous_turns(session: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the row of each request's previous turn in a trace's order; -1 where there is none."""
    latest: dict[str, int] = {}
    found = np.full(len(session), -1, np.int64)
    for row, name in enumerate(session.tolist()):
        if name != NO_SESSION:
            found[row] = latest.get(name, -1)
            latest[name] = row
    return found


def turn_numbers(previous: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which turn of its session each request is, from 0, by the rows of previous ones."""
    turn = [0] * len(previous)
    for row, before in enumerate(previous.tolist()):
        if before >= 0:
            turn[row] = turn[before] + 1
    return np.array(turn, np.int64)


def apart(
    parts: Sequence[NDArray[np.object_] | None], sizes: Sequence[int]
) -> NDArray[np.object_] | None:
    """Return the sessions of several traces, of which no two share one: else names get numbers."""
    if all(part is None for part in parts):
        return None
    names = [
        np.full(size, NO_SESSION, dtype=object) if part is None else part
        for part, size in zip(parts, sizes, strict=True)
    ]
    several = [set(part.tolist()) - {NO_SESSION} for part in names]
    if len(set().union(*several)) < sum(map(len, several)):
        for number, part in enumerate(names):
            names[number] = np.array([label and f"{number}:{label}" for label in part], object)
    return np.concatenate(names)


def _codes(names: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return a number for each session; every request without one has its own."""
    known: dict[str, int] = {}
    labels = names.tolist()
    return np.array(
        [
            -1 - row if label == NO_SESSION else known.setdefault(label, len(known))
            for row, label in enumerate(labels)
        ],
        np.int64,
    )


def _filled(arrival: NDArray[np.float64], code: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return arrivals where turns without one have that of their session's row above."""
    filled = arrival.copy()
    line = np.argsort(code, kind="stable")
    there = np.where(np.isfinite(arrival[line]), np.arange(len(line)), -1)
    above = np.maximum.accumulate(np.maximum(there, _head(_begins(code[line]))))
    filled[line] = arrival[line][above]
    filled[np.isnan(filled)] = np.inf
    return filled


def _begins(code: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return where sessions begin that lie one after another."""
    return np.concatenate(([True], code[1:] != code[:-1]))[: len(code)]


def _head(first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the place of each turn's first one."""
    return np.maximum.accumulate(np.where(first, np.arange(len(first)), 0))


def _running_max(line: NDArray[np.int64], head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the greatest row of each turn and those before it in its session."""
    offset = head * np.int64(len(line) + 1)  # so that those of one session exceed all before it
    latest: NDArray[np.int64] = np.maximum.accumulate(line + offset) - offset
    return latest


def _earliest(
    name: str,
    line: NDArray[np.int64],
    begun: NDArray[np.float64],
    wait: NDArray[np.float64],
    head: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the earliest time of each turn, by the arrival of its session's first one."""
    total = np.cumsum(wait)
    late = ~(begun + (total - total[head]) < LONGEST_S)
    if late.any():
        row, within = int(line[late].min()), "a session that ends within 272 years"
        raise InputError(f"{name}: row {row}: delay_ms: expected {within}")
    exact = np.cumsum(nanoseconds(wait))  # may wrap around, and differences be right even so
    return seconds(nanoseconds(begun) + (exact - exact[head]))


def _check_numbers(
    name: str,
    line: NDArray[np.int64],
    session: NDArray[np.object_],
    turn: NDArray[np.generic],
    first: NDArray[np.bool_],
) -> None:
    """Refuse two turns of one number."""
    twice = np.flatnonzero(~first[1:] & (turn[1:] == turn[:-1]))
    if len(twice):
        place = int(twice[0]) + 1
        who = f"session {session[place]!r}"
        expected = f"expected {turn[place]} once in {who}, got it twice"
        raise InputError(f"{name}: row {line[place]}: turn: {expected}")
