"""What interrupts the requests' streams of tokens: worst gaps, what was computed in them, stalls.

All decoding sequences wait for the same rounds, so that a round is noted once. The longest of the
rounds since a sequence began to decode is then found among those that no later round surpasses:
they are few, and in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import Floats, Ints, floats, ints

DECODE, PREEMPTION = -1, -2
"""Causes of a gap in which no prompt was computed, and of one without a slot; others are requests.

The one whose prompt it was: of several, who had most tokens computed in that gap.
"""

_DECODE = DECODE
_PREEMPTION = PREEMPTION


class Stalls:
    """One engine's streams, by request, from a first token to the last.

    Attributes
    ----------
    prompt_s : float
        Seconds so far of steps that compute prompt tokens.
    """

    def __init__(self) -> None:
        self.prompt_s = 0.0
        self._prompt_then = 0.0  # the same when the last round ended
        self._requests: dict[str, NDArray[Any]] = {}
        self.submit(0)
        # Rounds that none after them surpasses: their numbers rise, their gaps fall.
        self._rounds: dict[str, NDArray[Any]] = {}
        self._depth = 0
        self._more_rounds()
        # Since the last round: who began to decode, and whose prompt tokens were computed.
        self._begun: dict[str, NDArray[Any]] = {}
        self._beginners = 0
        self._more_beginners()
        self._chunks: dict[str, NDArray[Any]] = {}
        self._computed = 0
        self._more_chunks()

    def submit(self, requests: int) -> None:
        """Make room for so many requests in all."""
        if self._requests and requests <= len(self._requests["worst"]):
            return
        floating, whole = _longer(self._requests, ("worst", "stall"), ("cause", "tokens"), requests)
        self._worst, self._stall = floating
        self._cause, self._tokens = whole

    def _more_rounds(self) -> None:
        floating, whole = _longer(self._rounds, ("gap",), ("round", "cause"), self._depth + 1)
        (self._round_gap,) = floating
        self._round, self._round_cause = whole

    def _more_beginners(self) -> None:
        names = ("at", "prompt"), ("request", "after")
        floating, whole = _longer(self._begun, *names, self._beginners + 1)
        self._began_at, self._prompt_at = floating
        self._beginner, self._after = whole

    def _more_chunks(self) -> None:
        _, whole = _longer(self._chunks, (), ("request", "tokens"), self._computed + 1)
        self._chunk_of, self._chunk = whole

    def chunk(self, request: int, tokens: int) -> None:
        """Note prompt tokens of a request in a step that somebody's next token waits for."""
        if self._computed == len(self._chunk):
            self._more_chunks()
        self._chunk_of[self._computed] = request
        self._chunk[self._computed] = tokens
        self._computed += 1

    def begin(self, request: int, now: float) -> None:
        """Let a request decode that got a token now."""
        if self._beginners == len(self._beginner):
            self._more_beginners()
        at = self._beginners
        self._beginner[at] = request
        self._began_at[at] = now
        self._prompt_at[at] = self.prompt_s
        self._after[at] = self._computed
        self._beginners = at + 1

    def resume(self, request: int, gap: float) -> None:
        """Note the seconds from the last token before a preemption to the next one."""
        self._take(request, gap, _PREEMPTION)
        self._stall[request] += gap

    def rounds(self, clock: int, rounds: int, since: float, first_end: float, last: float) -> None:
        """Note rounds of all that decode, of which none is longer than the first or the last.

        Parameters
        ----------
        clock : int
            Number of the first round.
        since, first_end : float
            When the round before it ended, and when it ends.
        last : float
            Seconds of the last round, if there are several.
        """
        cause = self._first_gaps(first_end) if self._computed or self._beginners else _DECODE
        self._prompt_then = self.prompt_s
        first = first_end - since
        if rounds == 1 or first > last:  # else the last one surpasses it at once
            self._push(clock, first, cause)
        if rounds > 1:
            self._push(clock + rounds - 1, last, _DECODE)

    def _first_gaps(self, end: float) -> int:
        """Note those who began to decode since the last round; return the cause of all others."""
        j = self._beginners - 1
        cause, most = _DECODE, 0
        for i in range(self._computed - 1, -1, -1):
            while j >= 0 and self._after[j] > i:
                self._first_gap(j, end, cause)
                j -= 1
            request = self._chunk_of[i]
            self._tokens[request] += self._chunk[i]
            if self._tokens[request] > most:
                cause, most = request, self._tokens[request]
        while j >= 0:
            self._first_gap(j, end, cause)
            j -= 1
        for i in range(self._computed):
            self._tokens[self._chunk_of[i]] = 0
        self._computed = self._beginners = 0
        return cause

    def _first_gap(self, beginner: int, end: float, cause: int) -> None:
        request = self._beginner[beginner]
        self._take(request, end - self._began_at[beginner], cause)
        self._stall[request] -= self._prompt_at[beginner]

    def _push(self, clock: int, gap: float, cause: int) -> None:
        depth = self._depth
        while depth and self._round_gap[depth - 1] <= gap:
            depth -= 1
        if depth == len(self._round):
            self._depth = depth
            self._more_rounds()
        self._round[depth] = clock
        self._round_gap[depth] = gap
        self._round_cause[depth] = cause
        self._depth = depth + 1

    def end(self, request: int, since: int, clock: int) -> None:
        """Let a request stop to decode, for whatever reason, before round `clock`.

        `since` is the number of its first round; there may not have been one.
        """
        if since == clock:
            self._withdraw(request)
            return
        self._stall[request] += self._prompt_then
        low, high = 0, self._depth  # the first one after its first round, whose gap it has had
        while low < high:
            middle = (low + high) >> 1
            if self._round[middle] > since:
                high = middle
            else:
                low = middle + 1
        if low < self._depth:
            self._take(request, self._round_gap[low], self._round_cause[low])

    def _withdraw(self, request: int) -> None:
        """Forget that a request began."""
        left = 0
        for j in range(self._beginners):
            if self._beginner[j] != request:
                self._beginner[left] = self._beginner[j]
                self._began_at[left] = self._began_at[j]
                self._prompt_at[left] = self._prompt_at[j]
                self._after[left] = self._after[j]
                left += 1
        self._beginners = left

    def _take(self, request: int, gap: float, cause: int) -> None:
        if not gap <= self._worst[request]:  # NaN: its first one
            self._worst[request] = gap
            self._cause[request] = cause

    def outcome(self, requests: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return worst gaps, their causes and stalls: NaN, `DECODE` and NaN without any gap."""
        names = ("worst", "cause", "stall")
        worst, cause, stall = (self._requests[name][:requests] for name in names)
        none = np.isnan(worst)
        cause[none], stall[none] = DECODE, np.nan
        return worst, cause, stall


def _longer(
    columns: dict[str, NDArray[Any]], floating: Sequence[str], whole: Sequence[str], least: int
) -> tuple[list[Floats], list[Ints]]:
    """Let columns grow to a length or twice their own; gaps that are not known are NaN."""
    for name in (*floating, *whole):
        old = columns.get(name, np.zeros(0))
        empty = np.nan if name == "worst" else 0
        new = np.full(max(least, 2 * len(old)), empty, float if name in floating else np.int64)
        new[: len(old)] = old
        columns[name] = new
    return [floats(columns[name]) for name in floating], [ints(columns[name]) for name in whole]
