"""Prefix caching and steps scheduled ahead: every policy keeps the laws, and both kernels agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from llmsched import replay as replays
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.errors import LivelockError
from llmsched.policies import NAMED
from llmsched.prefixes import reuse
from llmsched.trace import Trace
from tests import kernels
from tests.cases import Case, cases

MIXED = sorted(name for name, policy in NAMED.items() if policy.rule.mixed)


@st.composite
def featured(draw: st.DrawFn) -> Case:
    """A case whose prompts begin alike now and then, with knobs that the real engine has."""
    case = draw(cases(mixed=True, kv=True) | cases(mixed=True))
    trace, size = case.trace, draw(st.sampled_from([1, 2, 4]))
    paths = draw(st.lists(st.integers(0, 2), min_size=1, max_size=6))
    ids = []
    for row, tokens in enumerate(trace.input_tokens.tolist()):
        shared = paths[row % len(paths)] + 1
        blocks = -(-tokens // size)
        own = [1_000_000 * (row + 1) + place for place in range(blocks)]
        common = [1_000 * (paths[row % len(paths)] // 2) + place for place in range(4 * shared)]
        ids.append(tuple((common[:blocks] + own[len(common) :])[:blocks]))
    shared_trace = Trace.from_columns(
        np.where(trace.previous >= 0, np.nan, trace.arrival),
        trace.input_tokens,
        trace.output_tokens,
        max_output_tokens=trace.max_output_tokens,
        session=trace.session,
        delay=trace.delay,
        hash_ids=tuple(ids),
        hash_block_size=size,
    )
    assume(len(shared_trace) == len(trace))
    config = replace(
        case.config,
        enable_prefix_caching=draw(st.booleans()),
        async_scheduling=draw(st.booleans()),
        long_prefill_token_threshold_adaptive=draw(st.booleans()),
        prefill_schedule_interval=draw(st.sampled_from([1, 1, 2, 4])),
        max_num_active_seqs=draw(st.none() | st.integers(1, case.config.max_num_seqs)),
    )
    return replace(case, trace=shared_trace, config=config, predicted=shared_trace.output_tokens)


def outcome(case: Case, policy: Policy) -> tuple[bytes, ...]:
    """Every number of a replay."""
    result = case.replay(policy)
    assert result.streams is not None
    numbers = (
        *(result.arrival, result.admitted, result.first_token, result.finish),
        *(result.preemptions, result.recomputed_tokens, result.cached_tokens),
        *(result.step_rows, result.resume_gap, *vars(result.streams).values()),
    )
    return tuple(array.tobytes() for array in numbers)


def done(case: Case, policy: Policy) -> SimulationResult:
    try:
        return case.replay(policy)
    except LivelockError:
        assume(False)
        raise


@given(featured(), st.sampled_from(list(NAMED)))
def test_no_policy_beats_the_bound_or_breaks_a_law(case: Case, name: str) -> None:
    """Conservation, causality, slots, blocks and time are laws that a replay itself is held to."""
    result = done(case, NAMED[name])
    whole = replays.Case(case.trace, case.hardware, case.config, concurrency=case.concurrency)
    bound = whole.bounds_of(result).lower
    assert result.makespan >= bound * (1 - 1e-9) - 1e-9


@given(featured(), st.sampled_from(list(NAMED)))
def test_nobody_finds_more_than_others_have(case: Case, name: str) -> None:
    result = done(case, NAMED[name])
    found = reuse(case.trace, case.config.block_size)
    assert found is not None
    assert (result.cached_tokens % case.config.block_size == 0).all() or result.preemptions.any()
    if not result.preemptions.any():
        assert (result.cached_tokens <= found.most).all()
    if not case.config.enable_prefix_caching or name == "vllm-plain":
        assert not result.cached_tokens.any()


@given(featured(), st.sampled_from(list(NAMED)))
def test_both_kernels_give_the_same_bytes_with_features_on(case: Case, name: str) -> None:
    done(case, NAMED[name])
    policy = NAMED[name]
    assert kernels.in_the_other(outcome, case, policy) == outcome(case, policy)


@given(cases(mixed=True), st.sampled_from(MIXED))
def test_caching_changes_nothing_where_nobody_shares_anything(case: Case, name: str) -> None:
    assume(case.trace.session is None)
    done(case, NAMED[name])
    on = replace(case, config=replace(case.config, enable_prefix_caching=True))
    assert outcome(case, NAMED[name]) == outcome(on, NAMED[name])
