"""A policy that breaks its contract is told so in one line."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.batching.prefill_first import PrefillFirst
from llmsched.errors import PolicyError
from llmsched.orders.fcfs import Fcfs
from llmsched.policies import Policy
from tests.hand import replay


class Rule:
    """A rule whose `start` returns whatever it was made with."""

    mixed = False

    def __init__(self, started: Any) -> None:
        self.started = started

    def start(self, view: Any) -> Any:
        return self.started


class NoOrder:
    """An order whose queue is none."""

    def queue(self, jobs: Any, view: Any) -> Any:
        return [1, 2]


@pytest.mark.parametrize(
    ("started", "message"),
    [
        (None, "start: expected a function that returns a Step, got None"),
        (lambda: None, "expected a Step, got None"),
        (lambda: "decode", "expected a Step, got 'decode'"),
    ],
)
def test_a_rule_must_return_steps(started: Any, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        replay(Policy("odd", Fcfs(), Rule(started)), [(0.0, 1, 2)], 1)


def test_an_order_must_return_a_queue() -> None:
    with pytest.raises(PolicyError, match=r"expected a WaitingQueue, got \[1, 2\] without push"):
        replay(Policy("odd", NoOrder(), PrefillFirst()), [(0.0, 1, 2)], 1)
