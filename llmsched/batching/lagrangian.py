"""Insert a prefill now, or keep decoding: a comparison of what each costs, at the slots' prices.

Derivation. Let slot j have the capacity constraint "its requests' rounds, plus the rounds it waits
idle, fit into the horizon", with multiplier l_j >= 0. In the Lagrangian of the total time the
horizon has coefficient one, so the multipliers sum to one: they share out what a round of delay is
worth.

- A prefill stage costs everybody its set-up a, the part that does not depend on its tokens. (The
  tokens are owed whenever they are computed, so they cancel out of the comparison; comparing the
  whole stage waits far too long.)
- A round of waiting costs the sum of l_j over the idle slots that a waiting request could fill,
  times the round.

Under steadily growing waiting cost, set-up plus holding per cycle is least when the two are equal
(the economic lot size; in its discrete form part-period balancing, DeMatteis 1968): wait until the
holding cost since the last stage has reached the set-up.

The prices come from what is known of the slots. Without a plan all are alike, l_j = 1/J, and the
rule inserts once the idle slot-seconds reach J * a, times `multiplier`. Under a plan, complementary
slackness prices a slot with slack at zero, and one without at so much that it cannot wait: the rule
lets every idle slot wait until the first has spent its slack, then serves them all in one stage.
How far the horizon may move to make slack, `extra_rounds`, is the dual variable that is left; the
hybrid policy finds it by rehearsing the plan (`llmsched.rehearsal`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.batching.holding import Holding
from llmsched.contract import DECODE, MIXED, PREFILL, Decide, Step, View
from llmsched.errors import InputError


@dataclass(frozen=True)
class Lagrangian:
    """Wait while waiting is cheaper than a prefill stage (after the abstract of arXiv 2502.15763).

    Where the profile prices mixed steps, the same comparison decides how to insert: beside the
    decodes, or exclusively, whichever costs less.

    Attributes
    ----------
    multiplier : float
        Holding cost at which to insert, in set-ups, where slots are priced alike. 1 is the balance
        for steady traffic; a batch that runs out of work favours less.
    extra_rounds : int
        Decode rounds by which a plan's horizon may grow to let slots wait for each other.
    adapt : bool
        Follow the multiplier by subgradient steps: after each stage move it towards the value at
        which the holding cost actually paid equals the set-ups paid.
    """

    multiplier: float = 0.5
    extra_rounds: int = 0
    adapt: bool = False

    mixed: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.multiplier <= 1e6:
            raise InputError(f"multiplier: expected a number in 0..1e6, got {self.multiplier}")
        if self.extra_rounds < 0:
            raise InputError(f"extra_rounds: expected an integer >= 0, got {self.extra_rounds}")

    def start(self, view: View) -> Decide:
        return _Balance(self, view).decide


class _Balance:
    """The decision, from the holding cost since the last stage."""

    def __init__(self, rule: Lagrangian, view: View) -> None:
        self._view, self._rule = view, rule
        self._multiplier = rule.multiplier
        self._holding = Holding(view)

    def decide(self) -> Step:
        view = self._view
        self._holding.settle()
        if not view.can_prefill:
            return DECODE
        insert = self._cheapest()
        if not view.decoding or view.prefilling:
            return self._insert(insert, 0.0)
        rounds = view.patience(self._rule.extra_rounds)
        if rounds is None:
            setup = self._setup(insert) * view.decoding
            rounds = self._holding.rounds_to(self._multiplier * setup)
            if rounds == 0:
                return self._insert(insert, setup)
        elif rounds == 0:
            return self._insert(insert, 0.0)
        return self._holding.wait(rounds)

    def _insert(self, how: Step, setup: float) -> Step:
        held = self._holding.cost
        if self._rule.adapt and setup > 0 and held > 0:
            # d/dm of cost at m: zero where holding paid equals set-up paid; step of 1/8 in log m
            ratio = min(2.0, max(0.5, setup / held))
            self._multiplier = min(4.0, max(0.05, self._multiplier * ratio**0.125))
        return self._holding.insert(how)

    def _cheapest(self) -> Step:
        """Insert beside the decodes if that costs less than a stage of its own and a round."""
        view, price = self._view, self._view.step_time
        if not price.mixed or not view.decoding:
            return PREFILL
        tokens = self._tokens()
        apart = price.step(tokens, 0, 0, 0, 0) + price.rounds(view.decoding, view.kv_tokens, 1)
        beside = price.step(tokens, 0, 0, view.decoding, view.kv_tokens)
        return MIXED if beside <= apart else PREFILL

    def _setup(self, insert: Step) -> float:
        """Seconds that inserting now costs beyond the work on its tokens."""
        view, price = self._view, self._view.step_time
        if insert is PREFILL:
            return price.prefill_setup
        tokens = self._tokens()
        beside = price.step(tokens, 0, 0, view.decoding, view.kv_tokens)
        work = price.step(tokens, 0, 0, 0, 0) - price.prefill_setup
        return max(0.0, beside - work - price.rounds(view.decoding, view.kv_tokens, 1))

    def _tokens(self) -> int:
        """Prompt tokens that the next stage would roughly hold: those of the next request."""
        view = self._view
        budget = view.config.max_num_batched_tokens
        tokens = view.next_prefill_tokens
        return tokens if budget is None else max(1, min(tokens, budget - view.decoding))
