"""What the classes get."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from llmsched.fairness import busy_seconds, jain_index, service_rates, service_ratio
from llmsched.metrics import summarize
from llmsched.trace import Trace
from tests.hand import outputs, replay

HAND = replay("fcfs", outputs(4, 2, 3), 2)  # all arrive at 0 and end at 4.75, 2 and 4.75 s


def with_classes(*classes: str) -> Trace:
    trace = HAND.trace
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    return Trace.from_columns(*columns, job_class=classes)


def test_a_class_has_work_while_one_of_its_requests_is_there() -> None:
    # Class 0: 0..2 and 5..7. Class 1: 1..9, which holds 3..4. Class 2: nothing.
    of = np.array([1, 0, 0, 1], np.int32)
    arrival, finish = np.array([1.0, 5.0, 0.0, 3.0]), np.array([9.0, 7.0, 2.0, 4.0])
    assert busy_seconds(of, arrival, finish, 3).tolist() == [4.0, 8.0, 0.0]


def test_service_is_the_prompt_and_twice_the_output_per_second_with_work() -> None:
    result = replace(HAND, trace=with_classes("a", "b", "a"))
    rates = [(1 + 2 * 4 + 1 + 2 * 3) / 4.75, (1 + 2 * 2) / 2]
    assert service_rates(result).tolist() == rates
    row = summarize(result)
    assert row["service_ratio"] == rates[0] / rates[1]
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
    assert service_rates(result).tolist() == [16 / 4.75, 0.0]
