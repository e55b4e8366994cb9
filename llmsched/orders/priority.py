"""Most urgent first, by a priority that requests come with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from llmsched.contract import Jobs, View

_Entry: TypeAlias = "tuple[int, float, str, int]"


@dataclass(frozen=True)
class Priority:
    """Least priority first; then who arrived first, then ids as text (vLLM's policy `priority`)."""

    def queue(self, jobs: Jobs, view: View) -> Urgent:
        return Urgent(jobs)


class Urgent:
    """Waiting requests, the most urgent first; a preempted one has no head start."""

    def __init__(self, jobs: Jobs) -> None:
        self.release: Callable[[int], None] | None = None
        self._jobs = jobs
        self._heap: list[_Entry] = []

    def push(self, request: int) -> None:
        """Add a request that has arrived, or was preempted."""
        jobs = self._jobs
        priority, arrival = int(jobs.priority[request]), float(jobs.arrival[request])
        heappush(self._heap, (priority, arrival, jobs.id_of(request), request))

    def peek(self) -> int:
        """Return the next request without removing it; -1 if there is none."""
        return self._heap[0][-1] if self._heap else -1

    def pop(self) -> int:
        """Remove and return the next request."""
        return heappop(self._heap)[-1]

    def waiting(self) -> list[int]:
        """Return all requests in order."""
        return [entry[-1] for entry in sorted(self._heap)]

    def remove(self, request: int) -> None:
        """Take out a request from wherever it is."""
        self._heap = [entry for entry in self._heap if entry[-1] != request]
        heapify(self._heap)
