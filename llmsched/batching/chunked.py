"""Chunked prefill beside the decodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, Decide, Step, View
from llmsched.errors import InputError
from llmsched.kernel.rules import Rule


@dataclass(frozen=True)
class Chunked:
    """Mixed steps: decodes first in the token budget, then prompts begun, then new ones.

    Attributes
    ----------
    token_budget : int or None
        Tokens of one step; None takes the engine's `max_num_batched_tokens` (vLLM v1). A budget of
        its own makes this Sarathi-Serve's stall-free batching (arXiv 2403.02310, algorithm 3).
    split : bool
        Whether prompts may be cut to fill the budget. Without, and with an engine that reserves the
        whole output at admission, this is Orca's iteration-level scheduling (OSDI '22,
        algorithm 1).
    """

    token_budget: int | None = None
    split: bool = True

    mixed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_budget(self.token_budget)

    def start(self, view: View) -> Decide:
        mixed = Step(prefill=True, decode=True, split=self.split, max_tokens=self.token_budget)
        return Rule(view, mixed, DECODE)


def check_budget(budget: int | None) -> None:
    """Refuse a token budget that holds no token.

    Raises
    ------
    InputError
        So it is.
    """
    if budget is not None and budget < 1:
        raise InputError(f"token_budget: expected an integer >= 1, got {budget!r}")
