"""The load is what comes over what can be served, and says which figures answer the question."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.bounds import lower_bound
from llmsched.hardware import load_profile
from llmsched.policies import NAMED
from llmsched.regime import Load, capacity, describe, load_of, record_load, regime_of
from llmsched.replay import Case, replay, simulate
from llmsched.trace import Trace

A100 = load_profile("llama3-8b-a100")


def _trace(gap_s: float, n: int = 200) -> Trace:
    return Trace.from_columns(gap_s * np.arange(n), np.full(n, 500), np.full(n, 100), name="t")


def test_capacity_is_more_than_any_policy_serves_and_less_than_twice() -> None:
    served = capacity(_trace(0.0), A100, A100.engine)
    batch = _trace(0.0, 5000)
    best = len(batch) / simulate(batch, A100, NAMED["vllm"]).makespan
    assert best < served < 2 * best
    batch = _trace(0.0, 6000)  # enough as it is: over 20 requests a slot
    assert capacity(batch, A100, A100.engine) == len(batch) / lower_bound(batch, A100)
    assert capacity(batch, A100, A100.engine, 4) == pytest.approx(4 * served, rel=0.1)


def test_requests_that_come_at_once_or_when_others_leave_are_no_load() -> None:
    assert load_of(_trace(0.0), A100, A100.engine) is None
    assert load_of(_trace(0.1), A100, A100.engine, concurrency=4) is None
    assert load_of(_trace(0.1, 9), A100, A100.engine) is None
    assert record_load(None) == {}
    assert describe(None, []) == ""
    assert regime_of(None, []) == "batch"


def test_offered_is_what_comes_between_the_first_and_the_last_arrival() -> None:
    load = load_of(_trace(0.5, 11), A100, A100.engine)
    assert load is not None
    assert (load.offered, load.span_s) == (2.0, 5.0)
    assert load.ratio == 2.0 / load.most
    twice = load_of(_trace(0.5, 11), A100, A100.engine, total_speed=2)
    assert twice is not None
    assert twice.ratio == pytest.approx(load.ratio / 2)


def _row(makespan_s: float, queue_s: float, gap: float = 5.0) -> dict[str, float]:
    return {
        "makespan_s": makespan_s,
        "completed": 1000,
        "offered": 1000,
        "p99_queue_ms": 1e3 * queue_s,
        "gap_percent": gap,
    }


@pytest.mark.parametrize(
    ("load", "rows", "regime"),
    [
        (Load(10.0, 9.9, 100.0, 1000), [], "overload"),
        (Load(10.0, 9.9, 100.0, 1000), [_row(101.0, 0.1)], "arrivals"),  # many were turned away
        (Load(10.0, 20.0, 100.0, 1000), [], "arrivals"),
        # 1,000 requests in 110 s are 9.1 a second; the last 10 s are for those who wait.
        (Load(10.0, 20.0, 100.0, 1000), [_row(110.0, 8.0)], "overload"),
        (Load(10.0, 20.0, 100.0, 1000), [_row(110.0, 80.0)], "overload"),
        (Load(10.0, 20.0, 100.0, 1000), [_row(110.0, 8.0), _row(102.0, 0.1)], "arrivals"),
        (Load(10.0, 20.0, 100.0, 1000), [_row(110.0, 0.0)], "arrivals"),  # the last one is long
        (
            Load(10.0, 20.0, 100.0, 1000),
            [_row(101.0, 20.0)],
            "arrivals",
        ),  # a wave, served by the end
    ],
)
def test_an_engine_is_overloaded_if_its_best_policy_falls_behind(
    load: Load, rows: list[dict[str, float]], regime: str
) -> None:
    assert regime_of(load, rows) == regime


def test_the_load_is_told_in_a_line() -> None:
    load = Load(10.0, 20.0, 100.0, 1000)
    assert describe(load, []) == "load 0.50: 10 requests/s of at most 20"
    assert describe(load, [_row(102.0, 0.1)]) == "load 0.50: 10 requests/s of at most 20"
    assert describe(load, [_row(102.0, 0.1, gap=0.25)]) == (
        "load 0.50: 10 requests/s of at most 20; arrival-bound: no policy can end more than 0.25 % "
        "sooner than the best"
    )
    refusing = Load(10.0, 9.9, 100.0, 1000)
    row = _row(101.0, 0.1) | {"completed": 505}
    told = describe(refusing, [row])
    assert told.endswith("; overloaded: not all can be served, 10 offered, 5 served")
    assert describe(refusing, [row | {"offered": 600}]).endswith("be served, 10 offered")
    assert describe(load, [_row(110.0, 8.0)]) == (
        "load 0.50: 10 requests/s of at most 20; overloaded: the queue grows, 10 offered, 9.09 "
        "served"
    )


@pytest.mark.parametrize(
    ("share", "regime"), [(0.3, "arrivals"), (0.7, "arrivals"), (1.3, "overload")]
)
def test_replays_below_and_beyond_what_an_engine_holds_are_told_apart(
    share: float, regime: str
) -> None:
    rng = np.random.default_rng(3)
    n = 1500
    batch = Trace.from_columns(np.zeros(n), rng.integers(50, 900, n), rng.integers(1, 300, n))
    held = n / simulate(batch, A100, NAMED["vllm"]).makespan
    arrival = np.cumsum(rng.exponential(1 / (share * held), n))
    trace = Trace.from_columns(arrival, batch.input_tokens, batch.output_tokens)
    case = Case(trace, A100, A100.engine)
    _, row = replay(case, NAMED["vllm"])
    assert regime_of(case.load, [row]) == regime


def test_later_turns_of_sessions_come_when_earlier_ones_may_have_ended() -> None:
    """Ten sessions, a second apart; as if all turns came at once there would be more load."""
    first = np.repeat(np.arange(10.0), 2)
    times = np.where(np.arange(20) % 2, np.nan, first)
    session = np.repeat(np.arange(10), 2).astype(str)
    delay = np.where(np.arange(20) % 2, 5.0, 0.0)
    trace = Trace.from_columns(times, [500] * 20, [100] * 20, session=session, delay=delay)
    load = load_of(trace, A100, A100.engine)
    assert load is not None
    assert 14.0 < load.span_s < 20.0
    assert load.offered == 19 / load.span_s
    assert load_of(trace.retimed(offline=True), A100, A100.engine) is None
