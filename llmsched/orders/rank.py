"""A queue by fixed keys, which most orders need nothing else than."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

import numpy as np
from numpy.typing import ArrayLike

from llmsched.columns import ints


class RankQueue:
    """A queue by fixed keys, lowest first; ties by arrival, then by position in the trace.

    Keys become ranks once, so that the heap holds plain integers.

    Raises
    ------
    ValueError
        A key is NaN, which no other is above or below.
    """

    release: Callable[[int], None] | None = None

    def __init__(self, keys: ArrayLike) -> None:
        keys = np.asarray(keys)
        if np.isnan(keys).any():
            raise ValueError("keys: expected numbers, got NaN")
        by_rank = np.argsort(keys, kind="stable")
        rank = np.empty(len(by_rank), dtype=np.int64)
        rank[by_rank] = np.arange(len(by_rank))
        self._request = ints(by_rank)
        self._rank = ints(rank)
        self._heap: list[int] = []

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, request: int) -> None:
        heappush(self._heap, self._rank[request])

    def peek(self) -> int:
        return self._request[self._heap[0]] if self._heap else -1

    def pop(self) -> int:
        return self._request[heappop(self._heap)]
