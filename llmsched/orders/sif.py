"""Shortest input first."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.contract import Jobs, View
from llmsched.orders.rank import Weighted, check_weight


@dataclass(frozen=True)
class Sif:
    """Fewest prompt tokens first: early first tokens without predictions; long prompts pay.

    Attributes
    ----------
    ageing : float
        Tokens by which a prompt counts as shorter for each second that it has waited: one that is L
        tokens longer than what comes goes before all that comes L / ageing seconds after it.
    """

    ageing: float = 0.0

    def __post_init__(self) -> None:
        check_weight("ageing", self.ageing)

    def queue(self, jobs: Jobs, view: View) -> Weighted:
        return Weighted(jobs, input_tokens=1, arrival=self.ageing)
