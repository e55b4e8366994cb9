"""No replay is below a bound on latency, whatever its policy, prices and knobs."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from benchmarks.latency_bounds import check, violations
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.errors import PolicyError
from llmsched.latency_bounds import latency_bounds
from llmsched.latency_bounds.steps import Steps
from llmsched.orders.ljf import Ljf
from llmsched.policies import NAMED
from llmsched.spared import Spared, spared_of
from llmsched.trace import Trace
from tests.cases import AnyStep, Case, cases


@st.composite
def runs(draw: st.DrawFn) -> tuple[Case, Policy]:
    """A case with arrivals and a policy that can run it, named or of arbitrary steps."""
    case = draw(cases(sessions=False))
    assume(case.concurrency is None)
    mixed = case.hardware.step_time.mixed
    able = [policy for policy in NAMED.values() if mixed or not policy.rule.mixed]
    anything = Policy("any", Ljf(), AnyStep(draw(st.integers(0, 2**20)), mixed))
    return case, draw(st.sampled_from([*able, anything, anything]))


@given(runs())
def test_no_replay_is_below_a_bound(run: tuple[Case, Policy]) -> None:
    case, policy = run
    bounds = latency_bounds(case.trace, case.hardware, case.config)
    assert not bounds.reason
    try:
        result = case.replay(policy)
    except PolicyError:
        assume(False)
        raise
    assert not violations(result, bounds)


@settings(max_examples=25)
@given(runs())
def test_more_preemptions_prove_less(run: tuple[Case, Policy]) -> None:
    case, _ = run
    bounds = latency_bounds(case.trace, case.hardware, case.config, slo={"ttft_ms": 100.0})
    names = ("mean_ttft_ms", "mean_e2el_ms", "slo_attainment")
    for name in names:
        values = [bounds.at_most(few)[name].value for few in (0, 1, 5, 10**6)]
        values.append(bounds.every[name].value)
        change = np.diff(values)
        assert ((change >= 0) if name == "slo_attainment" else (change <= 1e-9)).all()


def test_random_rules_that_starve_trickle_and_preempt_are_not_below_a_bound() -> None:
    assert check(runs=200, seed=0)["runs"] == 200


def test_no_replay_with_a_prefix_cache_is_below_a_bound() -> None:
    counts = check(runs=300, seed=1, cached=True)
    assert counts["runs with tokens found"] > 50


def test_a_bound_that_grants_less_than_can_be_found_is_caught() -> None:
    def by_the_trace(trace: Trace, config: EngineConfig) -> Spared:
        found = spared_of(trace, config)  # as if nobody were ever found before it came
        return replace(found, most=np.minimum(found.most, found.first))

    where = "llmsched.latency_bounds.bound.spared_of"
    with patch(where, by_the_trace), pytest.raises(AssertionError, match="is below"):
        check(runs=20_000, seed=3, cached=True)


def test_a_bound_that_forgets_company_is_caught() -> None:
    def alone(steps: Steps) -> np.ndarray:
        return steps.prefill[: steps.chunk]

    with patch.object(Steps, "with_chunk", alone), pytest.raises(AssertionError, match="is below"):
        check(runs=20_000, seed=3)
