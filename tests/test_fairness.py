"""What the classes get."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from llmsched.fairness import jain_index, service_rates, service_ratio
from llmsched.metrics import summarize
from llmsched.trace import Trace
from tests.hand import outputs, replay

HAND = replay("fcfs", outputs(4, 2, 3), 2)  # all arrive at 0 and end at 4.75, 2 and 4.75 s


def with_classes(*classes: str) -> Trace:
    trace = HAND.trace
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    return Trace.from_columns(*columns, job_class=classes)


def test_classes_whose_requests_are_treated_alike_are_served_alike_whatever_their_numbers() -> None:
    result = replace(HAND, trace=with_classes("a", "b", "a"))
    same = replace(
        result,
        finish=np.full(3, 4.75),
        emitted=np.full(3, 4),
        computed_input=np.ones(3, np.int64),
    )
    rates = service_rates(same)
    assert rates[0] == pytest.approx(rates[1])
    assert jain_index(rates) == pytest.approx(1.0)


def test_service_is_the_prompt_and_twice_the_output_per_second_in_the_system() -> None:
    result = replace(HAND, trace=with_classes("a", "b", "a"))
    rates = [(1 + 2 * 4 + 1 + 2 * 3) / (4.75 + 4.75), (1 + 2 * 2) / 2]
    assert service_rates(result).tolist() == rates
    row = summarize(result)
    assert row["service_ratio"] == rates[1] / rates[0]
    assert row["jain_index"] == pytest.approx(sum(rates) ** 2 / (2 * sum(r * r for r in rates)))


def test_a_class_that_asks_for_little_and_gets_it_at_once_is_not_underserved() -> None:
    busy = np.array([10.0, 10.0])
    assert jain_index(busy) == 1.0
    assert service_ratio(busy) == 1.0
    assert jain_index(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25


def test_one_class_alone_or_one_without_service_has_no_ratio() -> None:
    assert isnan(jain_index(np.array([3.0])))
    assert isnan(service_ratio(np.array([3.0])))
    assert isnan(service_ratio(np.array([3.0, 0.0])))
    assert isnan(jain_index(np.zeros(2)))
    one = summarize(replace(HAND, trace=with_classes("a", "a", "a")))
    assert isnan(one["jain_index"])


def test_a_request_that_never_left_is_no_service() -> None:
    finish = HAND.finish.copy()
    finish[1] = np.nan
    result = replace(HAND, trace=with_classes("a", "b", "a"), finish=finish)
    assert service_rates(result).tolist() == [16 / 9.5, 0.0]
