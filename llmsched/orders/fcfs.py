"""First come, first served."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.contract import Jobs, View
from llmsched.orders.rank import Queue


@dataclass(frozen=True)
class Fcfs:
    """In order of arrival."""

    def queue(self, jobs: Jobs, view: View) -> Queue:
        return Queue()
