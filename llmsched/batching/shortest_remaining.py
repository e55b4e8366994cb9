"""Prompts in the order of what is left of them: a new short one goes before a long one's rest."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.batching.chunked import check_budget
from llmsched.contract import DECODE, Decide, Step, View
from llmsched.kernel.rules import Rule


@dataclass(frozen=True)
class ShortestRemaining:
    """Prompts by the tokens left, begun or new, and no more of them in a step than pays.

    Shortest remaining processing time first (Schrage, 1968) for the mean time to the first token.
    What is begun keeps what it has, so that an interruption costs nothing but KV blocks that are
    held longer. A step computes one prompt after another only while the set-up that is spared the
    others outweighs the time that those in the step wait for their company.

    Attributes
    ----------
    token_budget : int or None
        Tokens of one step; None takes the engine's `max_num_batched_tokens`. Smaller ones let a
        short prompt in sooner, and pay where a long chunk is hardly cheaper than short ones.
    decode : bool
        Whether decodes go on beside prompts. Without them first tokens come sooner and all
        others later: while prompts wait, nobody decodes.
    """

    token_budget: int | None = None
    decode: bool = True

    def __post_init__(self) -> None:
        check_budget(self.token_budget)

    @property
    def mixed(self) -> bool:
        return self.decode

    def start(self, view: View) -> Decide:
        insert = Step(
            prefill=True,
            decode=self.decode,
            split=True,
            shortest_first=True,
            max_tokens=self.token_budget,
        )
        return Rule(view, insert, DECODE)
