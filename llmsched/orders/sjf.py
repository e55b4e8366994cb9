"""Shortest job first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import Jobs, View
from llmsched.orders.rank import Weighted


@dataclass(frozen=True)
class Sjf:
    """Fewest predicted output tokens first: short mean latency, a long tail of big requests."""

    needs: ClassVar[str] = "predicted lengths"

    def queue(self, jobs: Jobs, view: View) -> Weighted:
        return Weighted(jobs, predicted_output_tokens=1)
