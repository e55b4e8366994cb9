"""Waiting requests in the order in which they are admitted."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from llmsched.kernel.known import Seen, ledger


class Queue:
    """First come, first served: requests are numbered as they arrive.

    A preempted request has its old place again. Who has waited since it came needs no entry: they
    are numbers in a row.
    """

    def __init__(self) -> None:
        self.release: Callable[[int], None] | None = None
        self.first = self.end = 0  # of those in a row
        self.others: list[int] = []  # heap

    def __len__(self) -> int:
        return self.end - self.first + len(self.others)

    def push(self, request: int) -> None:
        """Add a request that has arrived, or was preempted."""
        if self.first == self.end and request >= self.end:
            self.first, self.end = request, request + 1
        elif request == self.end:
            self.end += 1
        else:
            heappush(self.others, request)

    def peek(self) -> int:
        """Return the next request without removing it; -1 if there is none."""
        if self.others:
            other: int = self.others[0]
            return other if other < self.first or self.first == self.end else self.first
        return self.first if self.first < self.end else -1

    def pop(self) -> int:
        """Remove and return the next request."""
        if self.others or self.first == self.end:
            request = self.peek()
            if request != self.first or self.first == self.end:
                return heappop(self.others)
        self.first += 1
        return self.first - 1

    def waiting(self) -> list[int]:
        """Return all requests in order."""
        return sorted([*self.others, *range(self.first, self.end)])

    def remove(self, request: int) -> None:
        """Take out a request from wherever it is."""
        if self.first <= request < self.end:
            self.others += range(self.first, request)
            self.first = request + 1
        else:
            self.others.remove(request)
        heapify(self.others)


class RankQueue(Queue):
    """Least key first; ties by arrival.

    Parameters
    ----------
    keys : array_like or callable
        A key for each request known so far; or a function that is given a request's number when it
        arrives, or was preempted, and returns its key.

    Raises
    ------
    ValueError
        A key is NaN, which no other is above or below.

    Attributes
    ----------
    keys : list of float
        Those given.
    later : callable or None
        Given the number of the first request without one, returns the keys from there on. The
        engine sets it: it asks the order again, with the requests that have arrived since. That is
        slow, so it is put off until two wait: who is alone is next.
    """

    def __init__(self, keys: ArrayLike | Callable[[int], float]) -> None:
        super().__init__()
        self.function: Any = keys if callable(keys) else None
        self.keys: list[float] = []
        self.later: Callable[[int], list[float]] | None = None
        self.ranked: list[tuple[float, int]] = []
        self.unranked: list[int] = []  # waiting, with keys yet to be asked for
        self.deferring = self.function is None and type(self) is RankQueue
        if self.function is None:
            self.keys = np.asarray(keys, dtype=np.float64).ravel().tolist()
            if any(key != key for key in self.keys):
                raise ValueError("keys: expected numbers, got NaN")

    def __len__(self) -> int:
        return len(self.ranked) + len(self.unranked)

    def key(self, request: int) -> float:
        """Return the key of a request."""
        if self.function is not None:
            return float(self.function(request))
        if request >= len(self.keys) and self.later is not None:
            self.keys += self.later(len(self.keys))
        if not 0 <= request < len(self.keys):
            raise ValueError(f"keys: got {len(self.keys)}, and none for request {request}")
        return self.keys[request]

    def push(self, request: int) -> None:
        if self.deferring and request >= len(self.keys) and self.later is not None:
            self.unranked.append(request)
        else:
            self._rank(request)

    def _rank(self, request: int) -> None:
        key = self.key(request)
        if key != key:
            raise ValueError("keys: expected numbers, got NaN")
        heappush(self.ranked, (key, request))

    def _rank_all(self) -> None:
        """Ask for the keys of those that have arrived since somebody needed one."""
        for request in self.unranked:
            self._rank(request)
        self.unranked.clear()

    def peek(self) -> int:
        if self.unranked:
            if not self.ranked and len(self.unranked) == 1:  # next, whatever its key is
                alone: int = self.unranked[0]
                return alone
            self._rank_all()
        return self.ranked[0][1] if self.ranked else -1

    def pop(self) -> int:
        request = self.peek()
        if self.unranked:
            self.unranked.clear()
        else:
            heappop(self.ranked)
        return request

    def waiting(self) -> list[int]:
        self._rank_all()
        return [request for _, request in sorted(self.ranked)]

    def remove(self, request: int) -> None:
        self._rank_all()
        self.ranked = [entry for entry in self.ranked if entry[1] != request]
        heapify(self.ranked)


class Weighted(RankQueue):
    """Least weighted sum first of what is known of a request: shortest, longest, ageing.

    Parameters
    ----------
    jobs : Seen
    arrival, input_tokens, predicted_output_tokens, max_output_tokens : float
        Weights; a key is a second's, or a token's, worth of each.
    """

    def __init__(
        self,
        jobs: Seen,
        *,
        arrival: float = 0.0,
        input_tokens: float = 0.0,
        predicted_output_tokens: float = 0.0,
        max_output_tokens: float = 0.0,
    ) -> None:
        super().__init__(())
        self._known = ledger(jobs)
        self.per_second, self.per_prompt_token = arrival, input_tokens
        self.per_predicted_token, self.per_limit_token = predicted_output_tokens, max_output_tokens

    def key(self, request: int) -> float:
        known = self._known
        if not 0 <= request < known.count:
            raise ValueError(f"expected a request that has arrived, got {request}")
        return (
            self.per_second * known.arrivals[request]
            + self.per_prompt_token * known.prompts[request]
            + self.per_predicted_token * known.predicted[request]
            + self.per_limit_token * known.limits[request]
        )
