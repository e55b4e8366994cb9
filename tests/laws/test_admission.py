"""Who is refused and who is cut changes nothing for the others; shares end at none and all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine import SimulationResult
from llmsched.engine.limits import serve
from llmsched.engine.refusal import Refusal
from llmsched.engine.replicas import Assignment
from llmsched.engine.result import COMPLETED, PER_REQUEST, REFUSED
from llmsched.errors import InputError, LivelockError
from llmsched.replay import Case, replay, simulate
from llmsched.trace import Trace
from tests.cases import Case as Drawn
from tests.cases import cases
from tests.hand import MIXED, trace_of

POLICIES = ["vllm", "sjf+chunked", "ljf+chunked", "orca", "hybrid"]


@st.composite
def trying(draw: st.DrawFn) -> Drawn:
    """A case some of whose requests are too long for the model, their own limit, or the cache."""
    case = draw(cases(mixed=True, kv=True))
    trace, n = case.trace, len(case.trace)
    longest = int((trace.input_tokens + trace.output_tokens).max())
    limits = draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    config = replace(
        case.config,
        num_gpu_blocks=draw(st.integers(2, case.config.num_gpu_blocks or 2)),
        max_model_len=draw(st.none() | st.integers(2, longest + 1)),
        max_output_tokens=draw(st.none() | st.integers(1, 20)),
        max_num_partial_prefills=1,  # a threshold beyond the model's length contradicts more
        max_long_partial_prefills=1,
    )
    trace = Trace.from_columns(*columns, max_output_tokens=limits)
    return replace(case, trace=trace, config=config, predicted=trace.output_tokens)


def replayed(case: Drawn, policy: str, **how: Any) -> SimulationResult | None:
    """The replay; None where it cannot end, or nobody is served."""
    how = {"concurrency": case.concurrency, "on_error": "skip", **how}
    try:
        return simulate(case.trace, case.hardware, find(policy), case.config, **how)
    except LivelockError:
        return None
    except InputError as error:
        if "no request is served" not in str(error):
            raise
        return None


@given(trying(), st.sampled_from(POLICIES))
def test_the_rest_is_replayed_as_if_the_refused_had_never_been(case: Drawn, policy: str) -> None:
    result = replayed(case, policy)
    if result is None:
        return
    served = serve(case.trace, result.config, "skip")
    only = replayed(replace(case, trace=served.trace), policy)
    assert only is not None
    for name in PER_REQUEST:
        ours = getattr(result, name)[served.rows]
        np.testing.assert_array_equal(ours, getattr(only, name), err_msg=name)
    assert result.step_rows.tobytes() == only.step_rows.tobytes()
    assert result.trace is case.trace


@given(trying(), st.sampled_from(POLICIES))
def test_every_request_is_completed_up_to_its_limit_or_refused_for_a_reason(
    case: Drawn, policy: str
) -> None:
    result = replayed(case, policy)
    if result is None:
        return
    refused = result.status == REFUSED
    assert ((result.refusal > Refusal.NONE) == refused).all()
    assert (result.status[~refused] == COMPLETED).all()
    for name in ("admitted", "first_token", "finish"):
        assert (np.isnan(getattr(result, name)) == refused).all()
    assert (result.emitted <= result.trace.output_tokens).all()
    assert (result.emitted[refused] == 0).all()
    assert (result.emitted[~refused] > 0).all()
    if (longest := result.config.max_model_len) is not None:
        assert (result.trace.input_tokens + result.emitted)[~refused].max() <= longest
    assert np.isfinite(result.arrival).all()


@given(trying(), st.sampled_from(POLICIES))
def test_offered_is_completed_and_refused_and_no_bound_counts_the_refused(
    case: Drawn, policy: str
) -> None:
    how = {"concurrency": case.concurrency, "on_error": "skip"}
    asked = Case(case.trace, case.hardware, case.config, **how)  # type: ignore[arg-type]
    try:
        result, row = replay(asked, find(policy))  # a total below its bound is a defect
    except (InputError, LivelockError):
        return
    assert row["offered"] == len(case.trace) == row["completed"] + row["refused"]
    assert row["total_output_tokens"] == result.emitted.sum()


@given(trying(), st.data())
def test_replicas_refuse_what_one_engine_does(case: Drawn, data: st.DataObject) -> None:
    n = len(case.trace)
    split = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    whole = replayed(replace(case, concurrency=None), "vllm")
    parts = replayed(
        replace(case, concurrency=None),
        "vllm",
        assignment=Assignment(np.array(split, np.int32), 3),
    )
    if whole is not None and parts is not None:
        assert whole.refusal.tolist() == parts.refusal.tolist()
        assert whole.emitted.tolist() == parts.emitted.tolist()


@given(cases(mixed=True, kv=True), st.sampled_from(["vllm", "sarathi", "sjf+chunked"]))
def test_the_share_none_is_no_reserve_and_the_share_all_is_the_whole_output(
    case: Drawn, policy: str
) -> None:
    def under(reserve: str) -> SimulationResult | None:
        config = replace(case.config, reserve=reserve)
        return replayed(replace(case, config=config), policy, predicted=case.predicted)

    for share, same in (("ratio:0", "none"), ("ratio:1", "max_output")):
        one, other = under(share), under(same)
        assert (one is None) == (other is None)
        if one is None or other is None:
            continue
        for name in ("admitted", "first_token", "finish", "preemptions"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), (same, name)


@given(cases(mixed=True, kv=True), st.integers(0, 100), st.sampled_from(["vllm", "sarathi"]))
def test_whatever_the_share_a_replay_ends_or_is_stopped(
    case: Drawn, percent: int, policy: str
) -> None:
    config = replace(case.config, reserve=f"ratio:{percent / 100}")
    result = replayed(replace(case, config=config), policy, predicted=case.predicted)
    assert result is None or np.isfinite(result.finish).all()


def test_a_user_who_is_refused_sends_the_next_request_at_once() -> None:
    """One user, and 2 s, 1.25 s a step: the refused come when the one before them has finished."""
    rows = [(0.0, 9, 1), (0.0, 4, 1), (0.0, 9, 1), (0.0, 1, 1), (0.0, 9, 1)]
    config = EngineConfig(max_model_len=9)
    result = simulate(trace_of(rows), MIXED, find("vllm"), config, concurrency=1)
    assert result.arrival.tolist() == [0.0, 0.0, 2.0, 2.0, 3.25]
    assert result.status.tolist() == [1, 0, 1, 0, 1]


def test_nobody_served_is_an_error_and_no_table_of_nothing() -> None:
    config = EngineConfig(max_model_len=9)
    with pytest.raises(InputError, match=r"hand: no request is served: 2 refused \(prompt beyond"):
        simulate(trace_of([(0.0, 9, 1), (0.0, 10, 1)]), MIXED, find("vllm"), config)
