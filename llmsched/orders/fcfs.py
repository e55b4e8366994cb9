"""First come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.orders.queue import Jobs, RankQueue


@dataclass(frozen=True)
class Fcfs:
    """In order of arrival."""

    def queue(self, jobs: Jobs) -> RankQueue:
        return RankQueue(jobs.arrival)
