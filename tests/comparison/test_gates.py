"""Gates: their syntax, and both sides of every kind of limit."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins

from llmsched.comparison.gates import judge, judge_gone, parse_gate
from llmsched.documents.result import Verdict
from llmsched.errors import InputError
from llmsched.metric import HIGHER, METRICS, NEITHER
from tests.comparison.results import row

DIRECTED = [name for name, metric in METRICS.items() if metric.better != NEITHER]


@pytest.mark.parametrize(
    ("gate", "base", "passing", "failing"),
    [
        # unsigned percentage: the worsening allowed, whichever way is worse
        ("makespan_s:2%", 100.0, 102.0, 102.1),
        ("utilization:2%", 0.80, 0.784, 0.783),
        ("efficiency:2%", 0.80, 0.784, 0.783),
        # signed percentage: the change itself
        ("makespan_s:+2%", 100.0, 102.0, 102.1),
        ("makespan_s:-5%", 100.0, 95.0, 95.1),
        ("output_throughput:-10%", 1000.0, 900.0, 899.0),
        ("output_throughput:+10%", 1000.0, 1100.0, 1099.0),
        # signed number: the change in the metric's unit
        ("p99_ttft_ms:+50", 500.0, 550.0, 550.5),
        ("utilization:-0.05", 0.80, 0.75, 0.749),
        # plain number: a level, without a baseline
        ("slo_attainment:0.95", None, 0.95, 0.949),
        ("p99_ttft_ms:300", None, 300.0, 300.1),
        # a base of zero: any worsening is too much in percent
        ("preemptions:50%", 0.0, 0.0, 1.0),
        ("gap_percent:10%", 0.0, 0.0, 0.01),
        ("makespan_s:0%", 100.0, 100.0, 100.001),
        # the noise of floats around a limit of zero is none of these
        ("gap_percent:0", None, 2.2e-14, 0.001),
        ("gap_percent:5%", 0.0, 2.2e-14, 0.001),
        ("gap_percent:5%", -2.2e-14, 4.4e-14, 0.001),
        ("p99_queue_ms:+0", 0.0, 1e-8, 0.001),
    ],
)
def test_a_gate_passes_at_its_limit_and_fails_just_beyond(
    gate: str, base: float | None, passing: float, failing: float
) -> None:
    parsed = parse_gate(gate)
    before = None if base is None else row("fcfs", **{parsed.metric.name: base})
    assert judge(parsed, row("fcfs", **{parsed.metric.name: passing}), before).passed
    assert not judge(parsed, row("fcfs", **{parsed.metric.name: failing}), before).passed


@given(st.sampled_from(DIRECTED), st.floats(1e-3, 1e6), st.floats(0, 50))
def test_no_gate_on_worsening_fails_an_improvement(name: str, base: float, share: float) -> None:
    metric = METRICS[name]
    better = base * (1 + share / 100 if metric.better == HIGHER else 1 - share / 100)
    gate = parse_gate(f"{name}:{share:.6f}%")
    assert judge(gate, row("p", **{name: better}), row("p", **{name: base})).passed
    assert judge(gate, row("p", **{name: base}), row("p", **{name: base})).passed


@pytest.mark.parametrize("missing", [None, math.nan])
@pytest.mark.parametrize("gate", ["p99_tpot_ms:2%", "p99_tpot_ms:+1", "p99_tpot_ms:30"])
def test_a_missing_value_fails_loudly(gate: str, missing: float | None) -> None:
    there, gone = row("p", p99_tpot_ms=20.0), row("p", p99_tpot_ms=missing)
    verdict = judge(parse_gate(gate), gone, there)
    assert not verdict.passed
    assert verdict.value is None
    assert "no value in this run" in verdict.reason


@pytest.mark.parametrize("gate", ["p99_tpot_ms:2%", "p99_tpot_ms:+1"])
@pytest.mark.parametrize("before", [None, row("p"), row("p", p99_tpot_ms=math.nan)])
def test_a_missing_baseline_value_fails_loudly(gate: str, before: dict[str, object] | None) -> None:
    verdict = judge(parse_gate(gate), row("p", p99_tpot_ms=20.0), before)
    assert not verdict.passed
    assert "no value in the baseline" in verdict.reason


def test_a_percentage_of_zero_is_said_to_be_zero() -> None:
    verdict = judge(parse_gate("preemptions:50%"), row("p", preemptions=3), row("p", preemptions=0))
    assert verdict.reason == ("preemptions 3, limit at most 0: any percentage of a base of 0 is 0")
    fine = judge(parse_gate("preemptions:50%"), row("p", preemptions=3), row("p", preemptions=2))
    assert "base of 0" not in fine.reason


def test_a_limit_may_begin_with_its_decimal_point() -> None:
    assert parse_gate("slo_attainment:.95").limit == 0.95
    assert parse_gate("utilization:-.05").limit == -0.05


def test_a_gate_may_name_its_policy_even_one_with_colons() -> None:
    assert parse_gate("makespan_s:2%").whom is None
    assert parse_gate("hybrid:makespan_s:2%").whom == "hybrid"
    assert parse_gate("./mine.py:Rule:makespan_s:2%").whom == "./mine.py:Rule"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s:", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s:two", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s:nan", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s:1e9", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan_s:2 %", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        (":2%", "expected [POLICY:][GROUP:]METRIC:LIMIT"),
        ("makespan:2%", "did you mean makespan_s?"),
        ("steps:2%", "no better direction"),
        ("lower_bound_s:2%", "no better direction"),
    ],
)
def test_a_bad_gate_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_gate(text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_value_passes_at_its_limit_but_for_rounding_however_large_it_is() -> None:
    gate = parse_gate("makespan_s:1000000")
    just, over = 1e6 * (1 + 5e-10), 1e6 * (1 + 2e-9)
    assert judge(gate, row("fcfs", makespan_s=just), None).passed
    assert not judge(gate, row("fcfs", makespan_s=over), None).passed


def test_a_verdict_says_all_that_it_is_of() -> None:
    before, here = row("hybrid", makespan_s=100.0), row("hybrid", makespan_s=110.0)
    gate = parse_gate("makespan_s:2%")
    expected = {
        "gate": "makespan_s:2%",
        "cell": "oracle",
        "policy": "hybrid",
        "metric": "makespan_s",
        "value": 110.0,
        "base": 100.0,
        "threshold": 102.0,
        "passed": False,
        "reason": "makespan_s 110 s, limit at most 102 s",
    }
    assert to_builtins(judge(gate, here, before, "oracle")) == expected
    assert judge(gate, here, before) == Verdict(**{**expected, "cell": ""})  # type: ignore[arg-type]  # mixed values


def test_where_more_is_better_the_limit_is_what_a_value_must_have_at_least() -> None:
    verdict = judge(parse_gate("utilization:-0.05"), row("p", utilization=0.7), row("p"))
    assert verdict.reason == "utilization 0.7, limit at least 0.75"


def test_the_verdict_on_a_policy_that_is_gone_has_its_value_in_the_baseline() -> None:
    gate, before = parse_gate("ljf:makespan_s:2%"), row("ljf", makespan_s=90.0)
    expected = {
        "gate": "ljf:makespan_s:2%",
        "cell": "oracle",
        "policy": "ljf",
        "metric": "makespan_s",
        "value": None,
        "base": 90.0,
        "threshold": None,
        "passed": False,
        "reason": "ljf is in the baseline, but no longer in this run",
    }
    assert to_builtins(judge_gone(gate, before, "oracle")) == expected
    assert judge_gone(gate, before).cell == ""


def test_what_is_just_as_large_as_the_noise_is_noise() -> None:
    # A nanosecond, in ms: as a worsening it passes, as a base it is zero.
    gate = parse_gate("p99_ttft_ms:0")
    assert judge(gate, row("p", p99_ttft_ms=1e-6), None).passed
    assert not judge(gate, row("p", p99_ttft_ms=1.001e-6), None).passed
    percent = parse_gate("p99_ttft_ms:5%")
    zero, above = (row("p", p99_ttft_ms=base) for base in (1e-6, 1.001e-6))
    assert judge(percent, row("p"), zero).reason.endswith("any percentage of a base of 0 is 0")
    assert "base of 0" not in judge(percent, row("p"), above).reason


def test_the_slack_is_a_billionth_of_the_greater_of_value_and_limit() -> None:
    # As floats are, this value is above 43 by a hair more than 43e-9, and a hair less than 1e-9 of
    # itself.
    gate, value = parse_gate("makespan_s:43"), 43.000000043
    assert 43 * 1e-9 < value - 43 <= value * 1e-9
    assert judge(gate, row("fcfs", makespan_s=value), None).passed
