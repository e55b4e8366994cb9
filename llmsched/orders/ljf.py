"""Longest job first."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.orders.queue import Jobs, RankQueue


@dataclass(frozen=True)
class Ljf:
    """Most predicted output tokens first: the LPT rule of makespan scheduling (Graham, 1969)."""

    def queue(self, jobs: Jobs) -> RankQueue:
        return RankQueue(-jobs.predicted_output_tokens)
