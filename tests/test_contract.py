"""What the engine promises a rule, and asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from llmsched.catalog import parts
from llmsched.contract import DECODE, PREFILL, BatchingRule, Decide, Policy, Step, View
from llmsched.errors import PolicyError
from llmsched.orders.fcfs import Fcfs
from tests.hand import outputs, replay, steps


@dataclass(frozen=True)
class Says:
    """Proposes the same step for ever."""

    step: Step
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        return lambda: self.step


@pytest.mark.parametrize("step", [Step(), DECODE])
def test_a_rule_that_makes_no_progress_is_stopped(step: Step) -> None:
    with pytest.raises(PolicyError, match="which does nothing with 0 running and 1 waiting"):
        replay(Policy("idle", Fcfs(), Says(step)), outputs(2), 1)


def test_a_rule_that_prefills_for_ever_is_stopped() -> None:
    with pytest.raises(PolicyError, match="which does nothing with 1 running and 0 waiting"):
        replay(Policy("greedy", Fcfs(), Says(PREFILL)), outputs(2), 1)


@dataclass(frozen=True)
class Watches:
    """Prefill first, asked again after every round; notes what it sees."""

    seen: list[tuple[float, int, int, int, int, int]]
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            counts = (view.clock, view.running, view.decoding, view.waiting, view.idle_slots)
            self.seen.append((view.now, *counts))
            return PREFILL if view.can_prefill else Step(decode=True, rounds=1)

        return decide


def test_a_rule_sees_the_state_and_is_asked_when_it_wants() -> None:
    seen: list[tuple[float, int, int, int, int, int]] = []
    result = replay(Policy("watch", Fcfs(), Watches(seen)), outputs(3, 2, 2), 2)
    # time, clock, running, decoding, waiting, idle slots
    assert seen == [
        (0.0, 0, 0, 0, 3, 2),
        (1.0, 0, 2, 2, 1, 0),
        (2.0, 1, 1, 1, 1, 1),
        (2.75, 1, 2, 2, 0, 0),
    ]
    assert steps(result)[-1] == (2.75, 1, 0, 0, 2)


def test_every_rule_says_whether_it_needs_mixed_steps() -> None:
    rules: list[BatchingRule] = [part() for part in parts("batching").values()]
    assert {type(rule).__name__ for rule in rules if rule.mixed} == {"Chunked", "ShortestRemaining"}
