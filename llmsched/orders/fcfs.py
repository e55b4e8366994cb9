"""First come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.engine.view import View
from llmsched.orders.queue import Jobs, RankQueue


@dataclass(frozen=True)
class Fcfs:
    """In order of arrival."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(jobs.arrival)
