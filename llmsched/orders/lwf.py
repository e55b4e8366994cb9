"""Least work first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import Jobs, View
from llmsched.orders.rank import Weighted, check_weight


@dataclass(frozen=True)
class Lwf:
    """Fewest prompt and predicted output tokens first: short mean latency, big requests pay.

    Attributes
    ----------
    output_weight : float
        Prompt tokens that an output token counts for.
    ageing : float
        As in `llmsched.orders.sif`.
    """

    output_weight: float = 1.0
    ageing: float = 0.0

    needs: ClassVar[str] = "predicted lengths"

    def __post_init__(self) -> None:
        check_weight("output_weight", self.output_weight)
        check_weight("ageing", self.ageing)

    def queue(self, jobs: Jobs, view: View) -> Weighted:
        weight = self.output_weight
        return Weighted(jobs, input_tokens=1, predicted_output_tokens=weight, arrival=self.ageing)
