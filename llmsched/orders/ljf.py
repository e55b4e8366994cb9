"""Longest job first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import Jobs, View
from llmsched.orders.rank import Weighted


@dataclass(frozen=True)
class Ljf:
    """Most predicted output tokens first: the LPT rule of makespan scheduling (Graham, 1969)."""

    needs: ClassVar[str] = "predicted lengths"

    def queue(self, jobs: Jobs, view: View) -> Weighted:
        return Weighted(jobs, predicted_output_tokens=-1)
