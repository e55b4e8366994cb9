"""The engine against the plain simulator: leaps change nothing but the time they take."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsched.batching.chunked import Chunked
from llmsched.batching.interleave import Interleave
from llmsched.batching.lagrangian import Lagrangian
from llmsched.batching.shortest_remaining import ShortestRemaining
from llmsched.batching.static import Static
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.errors import PolicyError
from llmsched.kernel.stalls import DECODE, PREEMPTION
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.ljf import Ljf
from llmsched.orders.lwf import Lwf
from llmsched.orders.plan import Plan
from llmsched.orders.random import Random
from llmsched.orders.sjf import Sjf
from llmsched.policies import NAMED
from llmsched.verify.golden import written_out
from tests.cases import AnyStep, Case, cases
from tests.hand import token_gaps
from tests.plain_engine import PlainEngine

COMPOSED = {
    "sjf+static": Policy("", Sjf(), Static()),
    "ljf+chunked": Policy("", Ljf(), Chunked()),
    "random+chunked": Policy("", Random(3), Chunked(token_budget=6)),
    "ljf+chunked, whole prompts": Policy("", Ljf(), Chunked(split=False)),
    "plan+lagrangian": Policy("", Plan(), Lagrangian(extra_rounds=4)),
    "plan+chunked": Policy("", Plan(), Chunked()),
    "fcfs+interleave": Policy("", Fcfs(), Interleave(2)),
    "sjf+interleave, mixed": Policy("", Sjf(), Interleave(3, token_budget=5, mixed=True)),
    "fcfs+lagrangian": Policy("", Fcfs(), Lagrangian(multiplier=1.0, adapt=True)),
    "lwf+shortest_remaining": Policy("", Lwf(0.5, ageing=9), ShortestRemaining(6, decode=False)),
}
POLICIES = {**NAMED, **COMPOSED}


def agree(case: Case, policy: Policy) -> None:
    """Replay `case` on both engines and compare everything that happened."""
    plain = PlainEngine(
        case.trace, case.hardware, policy, case.config, case.predicted, case.concurrency
    )
    try:
        plain.run()
    except PolicyError:
        with pytest.raises(PolicyError):
            case.replay(policy)
        return
    result = case.replay(policy)
    theirs = plain.requests
    for ours, name in (
        (result.arrival, "arrival"),
        (result.admitted, "admitted"),
        (result.first_token, "first_token"),
        (result.finish, "finish"),
        (result.preemptions, "preemptions"),
        (result.recomputed_tokens, "recomputed"),
    ):
        expected = [getattr(request, name) for request in theirs]
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12, err_msg=name)
    assert written_out(result)[:, :5].tolist() == plain.steps
    if result.peak_blocks is not None and not result.preemptions.any():
        # With preemptions the engine's peak may lie within the scheduling of a step.
        assert result.peak_blocks == plain.peak
    agree_on_streams(result, plain)
    gaps = Counter(
        round(gap, 7) for request in theirs for gap in np.diff(request.tokens_at).tolist()
    )
    seconds, counts = token_gaps(result)
    ours_gaps: Counter[float] = Counter()
    for gap, count in zip(seconds.tolist(), counts.tolist(), strict=True):
        ours_gaps[round(gap, 7)] += count
    assert ours_gaps.total() == gaps.total()
    np.testing.assert_allclose(
        sorted(ours_gaps.elements()), sorted(gaps.elements()), rtol=1e-9, atol=2e-7
    )


def agree_on_streams(result: SimulationResult, plain: PlainEngine) -> None:
    """Look at each gap of each request, and at every step in it."""
    streams = result.streams
    assert streams is not None
    for index, request in enumerate(plain.requests):
        worst, cause = float(streams.worst_gap[index]), int(streams.cause[index])
        if request.output == 1:
            assert np.isnan([worst, streams.stall[index]]).all()
            assert cause == DECODE
            continue
        stall, gaps = 0.0, np.diff(request.tokens_at)
        for token, gap in enumerate(gaps.tolist(), 1):
            within = plain.prompts[request.token_steps[token - 1] + 1 :]
            within = within[: request.token_steps[token] - request.token_steps[token - 1]]
            lost = token in request.resumed
            stall += gap if lost else sum(seconds for seconds, prompts in within if prompts)
            if gap >= gaps.max() - 1e-9:  # one of the worst
                most = sum((Counter(prompts) for _, prompts in within), Counter()).most_common()
                possible = {who for who, tokens in most if tokens == most[0][1]} or {DECODE}
                if cause in ({PREEMPTION} if lost else possible):
                    cause = index  # it is explained: nobody's own prompt is in its way
        assert cause == index
        assert worst == pytest.approx(gaps.max(), rel=1e-9, abs=1e-9)
        assert streams.stall[index] == pytest.approx(stall, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=max(10, settings().max_examples // 2))  # of each policy
@given(data=st.data())
def test_both_engines_agree_on_every_policy(name: str, data: st.DataObject) -> None:
    policy = POLICIES[name]
    case = data.draw(cases(mixed=True if policy.rule.mixed else None))
    agree(case, policy)


@given(cases(mixed=True), st.integers(0, 2**32), st.booleans())
def test_both_engines_agree_whatever_a_rule_asks_for(case: Case, seed: int, mixed: bool) -> None:
    agree(case, Policy("any", Fcfs(), AnyStep(seed, mixed)))


@given(cases(kv=True, mixed=True), st.integers(0, 2**32))
def test_both_engines_agree_when_blocks_run_out(case: Case, seed: int) -> None:
    agree(case, Policy("any", Sjf(), AnyStep(seed)))
