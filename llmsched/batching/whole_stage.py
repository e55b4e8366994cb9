"""Insert a prefill once waiting has cost as much as the whole stage: a reading of an abstract.

The abstract of arXiv 2502.15763 says that inserting a prefill stage is weighed against a decode
stage, and one reader's notes say that it is a threshold, the prefill's cost against the decodes'
waiting. No formula was at hand, so this is a reading of those words and not the paper's algorithm.
It shows what our own rule (`llmsched.batching.lagrangian`) owes to weighing the set-up alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.batching.holding import Holding
from llmsched.contract import DECODE, PREFILL, Decide, Step, View
from llmsched.errors import InputError


@dataclass(frozen=True)
class WholeStage:
    """Wait while waiting is cheaper than the whole prefill stage, its tokens included.

    Inserts an exclusive stage once the slot-seconds that were idle since the last one, though a
    request waited, reach `m` * decoding sequences * seconds of the stage. The stage is priced for
    one prompt of mean length (over the requests that have arrived) in each slot that it would fill.

    Attributes
    ----------
    m : float
        Waiting at which to insert, in stages.
    """

    m: float = 1.0

    mixed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.m <= 1e6:
            raise InputError(f"m: expected a number in 0..1e6, got {self.m}")

    def start(self, view: View) -> Decide:
        holding, mean = Holding(view), _MeanPrompt(view)
        budget = view.config.max_num_batched_tokens

        def stage() -> float:
            tokens = int(holding.fillable * mean.tokens())
            tokens = tokens if budget is None else min(tokens, budget)
            return view.step_time.step(tokens, 0, 0, 0, 0)

        def decide() -> Step:
            holding.settle()
            if not view.can_prefill:
                return DECODE
            if not view.decoding or view.prefilling:
                return holding.insert(PREFILL)
            rounds = holding.rounds_to(self.m * view.decoding * stage())
            return holding.wait(rounds) if rounds else holding.insert(PREFILL)

        return decide


class _MeanPrompt:
    """Tokens of a mean prompt, of those that have arrived."""

    def __init__(self, view: View) -> None:
        self._jobs = view.jobs
        self._counted = self._sum = 0

    def tokens(self) -> float:
        known = len(self._jobs)
        if known > self._counted:
            self._sum += int(self._jobs.input_tokens[self._counted :].sum())
            self._counted = known
        return self._sum / known
