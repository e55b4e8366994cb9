"""Limits by name, and what a row says of them."""

from __future__ import annotations

import pytest

from llmsched.errors import InputError
from llmsched.objective import check_classes, check_limit, held, split


def test_the_last_colon_separates_the_class() -> None:
    assert split("ttft_ms") == ("", "ttft_ms")
    assert split("a:b=c:p99_ttft_ms") == ("a:b=c", "p99_ttft_ms")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "itl_ms",
            "slo: expected one of ttft_ms, tpot_ms, e2el_ms or a statistic like",
        ),
        ("chat:makespan_s", "got 'makespan_s'"),
        ("chat:p99_itl_ms", "slo: p99_itl_ms is known of the whole replay alone, not of 'chat'"),
    ],
)
def test_a_limit_on_what_is_not_measured_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_limit(name)


def test_limits_on_statistics_of_all_and_of_a_class_are_allowed() -> None:
    for name in ("p99_itl_ms", "chat:mean_itl_ms", "chat:p99_queue_ms", "chat:e2el_ms"):
        check_limit(name)


def test_an_unknown_class_is_refused_by_those_there_are() -> None:
    check_classes(["ttft_ms", "chat:ttft_ms"], ("batch", "chat"))
    with pytest.raises(InputError, match="slo: class: expected one of batch, chat; got 'code'"):
        check_classes(["code:ttft_ms"], ("batch", "chat"))
    with pytest.raises(InputError, match="expected none: the trace has no classes; got 'code'"):
        check_classes(["code:ttft_ms"], ())


def test_a_limit_on_a_statistic_is_met_or_missed_by_all_together_or_by_its_class() -> None:
    row = {
        "policy": "fcfs",
        "p99_ttft_ms": 100.0,
        "groups": [{"group": "chat", "p99_ttft_ms": 120.0}, {"group": "x", "p99_ttft_ms": None}],
    }
    slo = {"ttft_ms": 1.0, "p99_ttft_ms": 100.0, "chat:p99_ttft_ms": 100.0, "x:p99_ttft_ms": 1.0}
    assert held(slo, row) == [
        {"objective": "p99_ttft_ms", "limit": 100.0, "value": 100.0, "met": True},
        {"objective": "chat:p99_ttft_ms", "limit": 100.0, "value": 120.0, "met": False},
        {"objective": "x:p99_ttft_ms", "limit": 1.0, "value": None, "met": False},
    ]
