"""Serve the waiting request that fills the free KV blocks best at its predicted end."""

from bisect import bisect_right, insort
from dataclasses import dataclass

from llmsched.contract import Jobs, View


class Fitting:
    release = None

    def __init__(self, view: View) -> None:
        self.view = view
        self.ends: list[tuple[int, int]] = []  # tokens at the end, -request: the first of equals

    def push(self, request: int) -> None:
        tokens = self.view.prefill_tokens(request) + max(1, self.view.predicted_left(request))
        insort(self.ends, (tokens, -request))

    def best(self) -> int:
        free = self.view.free_blocks
        if free is None:
            return len(self.ends) - 1
        at = bisect_right(self.ends, (free * self.view.config.block_size, 0)) - 1
        return at if self.view.running else max(at, 0)  # an empty cache holds anybody

    def peek(self) -> int:
        best = self.best() if self.ends else -1
        return -1 if best < 0 else -self.ends[best][1]

    def pop(self) -> int:
        return -self.ends.pop(self.best())[1]


@dataclass(frozen=True)
class BestFit:
    def queue(self, jobs: Jobs, view: View) -> Fitting:
        return Fitting(view)
