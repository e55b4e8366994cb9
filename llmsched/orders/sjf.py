"""Shortest job first."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.orders.queue import Jobs, RankQueue


@dataclass(frozen=True)
class Sjf:
    """Fewest predicted output tokens first: short mean latency, a long tail of big requests."""

    def queue(self, jobs: Jobs) -> RankQueue:
        return RankQueue(jobs.predicted_output_tokens)
