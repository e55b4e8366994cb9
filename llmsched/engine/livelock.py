"""When preemptions will go on for ever: a state that comes back while nobody gets a token.

Tokens known of a request never get fewer, whatever is preempted, and their sum is limited: a run
that always emits another one ends. So a livelock is a stretch without a token, in which the state
can take finitely many values, and with a policy that follows the state alone, the first repetition
proves it; unless a request is still to arrive, which may end it. A policy may have a memory or
throw dice, so the same state must come back many times.
"""

from __future__ import annotations

from collections.abc import Hashable

RETURNS = 100
"""Returns of one state without a token in between that count as a livelock."""

RETURNS_BEFORE_AN_ARRIVAL = 100_000
"""The same while a request is to arrive: that may be in a year, and nobody waits so long."""


class LivelockWatch:
    """Compares each state with one kept from before; a new one is kept after twice as long a wait.

    That finds a cycle of any period in constant memory (R. P. Brent, "An improved Monte Carlo
    factorization algorithm", BIT 20, 1980).
    """

    def __init__(self) -> None:
        self._mark: Hashable = None
        self._kept: Hashable = None
        self._waited = self._wait = self._returns = 0

    def sees(self, mark: Hashable, situation: Hashable, arrival_to_come: bool = False) -> bool:
        """Tell of a preemption; return whether it is one of a livelock.

        Parameters
        ----------
        mark : hashable
            Changes with every token and every arrival.
        situation : hashable, not None
            All else that decides what happens next.
        arrival_to_come : bool
            Whether a request will arrive, or a client leave, without anything having to finish
            first.
        """
        if mark != self._mark:
            self._mark, self._kept = mark, None
            self._waited = self._wait = self._returns = 0
        if situation == self._kept:
            self._waited, self._returns = 0, self._returns + 1
        elif self._waited == self._wait:
            self._kept, self._waited, self._returns = situation, 0, 0
            self._wait = 2 * self._wait + 1
        else:
            self._waited += 1
        return self._returns >= (RETURNS_BEFORE_AN_ARRIVAL if arrival_to_come else RETURNS)
