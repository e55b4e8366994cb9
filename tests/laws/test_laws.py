"""What holds for every policy, trace, profile and knob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmsched import kernel
from llmsched.batching.chunked import Chunked
from llmsched.batching.interleave import Interleave
from llmsched.batching.prefill_first import PrefillFirst
from llmsched.bounds import lower_bound
from llmsched.config import EngineConfig
from llmsched.contract import PREFILL, Decide, Jobs, Policy, Step, View
from llmsched.engine import limits
from llmsched.errors import LivelockError, PolicyError
from llmsched.metrics import summarize, utilization
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.rank import RankQueue
from llmsched.orders.sjf import Sjf
from llmsched.policies import NAMED
from llmsched.trace import Trace
from tests.cases import AnyStep, Case, cases, configs, finished
from tests.hand import MIXED, STAGES, token_gaps, trace_of
from tests.hand import replay as replay_rows


@st.composite
def runs(draw: st.DrawFn, kv: bool | None = None) -> tuple[Case, Policy]:
    """A policy, named or made of arbitrary steps, and a case that it can run."""
    arbitrary = Policy("any", Fcfs(), AnyStep(draw(st.integers(0, 2**20))))
    by_turns = Policy("by turns", Fcfs(), Interleave(2, mixed=draw(st.booleans())))
    policy = draw(st.sampled_from([*NAMED.values(), by_turns, arbitrary, arbitrary]))
    return draw(cases(True if policy.rule.mixed else None, kv)), policy


@given(runs())
def test_every_token_is_computed_once_and_again_for_what_a_preemption_lost(
    run: tuple[Case, Policy],
) -> None:
    result, trace = finished(*run), run[0].trace
    decoded = (result.column("decode_seqs") * result.column("rounds")).sum()
    owed = (trace.input_tokens + trace.output_tokens - 1).sum()
    assert result.column("prefill_tokens").sum() + decoded == owed + result.recomputed_tokens.sum()


@given(runs())
def test_a_request_arrives_is_admitted_gets_its_first_token_and_its_last(
    run: tuple[Case, Policy],
) -> None:
    result, single = finished(*run), run[0].trace.output_tokens == 1
    assert (result.admitted >= result.arrival).all()
    assert (result.first_token >= result.admitted).all()
    assert (result.finish[~single] > result.first_token[~single]).all()
    assert (result.finish[single] == result.first_token[single]).all()


@given(runs(), st.data())
def test_what_happened_before_a_request_arrived_does_not_depend_on_it(
    run: tuple[Case, Policy], data: st.DataObject
) -> None:
    case, policy = run
    case = replace(case, concurrency=None)
    later = np.flatnonzero(case.trace.arrival > 0)
    assume(len(later))
    kept = int(data.draw(st.sampled_from(later.tolist())))
    assume(case.trace.arrival[kept - 1] < case.trace.arrival[kept])
    for one in (case, truncated(case, kept)):
        finished(one, policy)
    assert_past_unchanged(case, policy, kept)


def truncated(case: Case, kept: int) -> Case:
    """The case as it was before request `kept` arrived."""
    trace = case.trace.take(np.arange(kept))
    return replace(case, trace=trace, predicted=case.predicted[:kept])


def assert_past_unchanged(case: Case, policy: Policy, kept: int) -> None:
    moment = case.trace.arrival[kept]
    whole, part = case.replay(policy), truncated(case, kept).replay(policy)
    for name in ("admitted", "first_token", "finish"):
        ours, theirs = getattr(whole, name)[:kept], getattr(part, name)
        happened = ours < moment - 1e-6
        np.testing.assert_allclose(theirs[happened], ours[happened], rtol=1e-9, atol=1e-12)
        assert (theirs[~happened] >= moment - 2e-6).all()


@given(runs())
def test_slots_budget_and_blocks_are_never_exceeded(run: tuple[Case, Policy]) -> None:
    result = finished(*run)
    config, running = result.config, result.column("running")
    prefill, decode = result.column("prefill_tokens"), result.column("decode_seqs")
    assert (running <= config.max_num_seqs).all()
    assert (result.column("prefill_seqs") + decode <= running).all()
    if config.max_num_batched_tokens is not None:
        assert (prefill + decode <= config.max_num_batched_tokens).all()
    if config.usable_blocks is not None:
        assert result.peak_blocks is not None
        assert (result.column("kv_blocks") >= 0).all()
        assert (result.column("kv_blocks") <= result.column("kv_blocks_end")).all()
        assert (result.column("kv_blocks_end") <= result.peak_blocks).all()
        assert result.peak_blocks <= config.usable_blocks
        held = result.column("kv_tokens") + decode * result.column("rounds") + prefill
        assert (held <= config.usable_blocks * config.block_size).all()
    if config.usable_blocks is None or config.reserve == "max_output":
        assert not result.preemptions.any()


@dataclass(frozen=True)
class Noting(Chunked):
    """Notes the lengths of the prompts that are begun at each decision."""

    begun: list[list[int]] = field(default_factory=list)

    def start(self, view: View) -> Decide:
        decide = super().start(view)

        def noting() -> Step:
            prompts = [one for one in view.sequences() if not one.decoding]
            self.begun.append([one.computed_tokens + one.prefill_left for one in prompts])
            return decide()

        return noting


@given(cases(mixed=True), st.sampled_from([Fcfs(), Sjf()]))
def test_no_more_prompts_are_begun_than_share_the_budget_and_fewer_long_ones(
    case: Case, order: Fcfs | Sjf
) -> None:
    config, rule = case.config, Noting()
    assume(config.max_num_partial_prefills > 1)
    finished(case, Policy("noting", order, rule))
    for prompts in rule.begun:
        long = sum(tokens > config.long_prefill_token_threshold for tokens in prompts)
        assert len(prompts) <= config.max_num_partial_prefills
        assert long <= config.max_long_partial_prefills


@given(runs())
def test_the_same_inputs_give_the_same_bytes(run: tuple[Case, Policy]) -> None:
    one, two = finished(*run), finished(*run)
    assert one.step_rows.tobytes() == two.step_rows.tobytes()
    assert one.finish.tobytes() == two.finish.tobytes()
    assert summarize(one).keys() == summarize(two).keys()


@given(runs())
def test_nothing_beats_the_lower_bound(run: tuple[Case, Policy]) -> None:
    case, policy = run
    result = finished(case, policy)
    bound = case.bound()
    assert result.makespan >= bound * (1 - 1e-9)


@given(runs())
def test_gaps_between_tokens_add_up_to_the_time_from_first_to_last(
    run: tuple[Case, Policy],
) -> None:
    result = finished(*run)
    gaps, counts = token_gaps(result)
    assert counts.sum() == (run[0].trace.output_tokens - 1).sum()
    assert (gaps >= 0).all()
    total = (result.finish - result.first_token).sum()
    assert (gaps * counts).sum() == pytest.approx(total, rel=1e-9, abs=1e-9)


@given(runs())
def test_streams_are_what_requests_and_steps_say(run: tuple[Case, Policy]) -> None:
    """Of who was never preempted: the steps between its first and last token say it all."""
    result = finished(*run)
    streams = result.streams
    assert streams is not None
    names = ("start_s", "duration_s", "rounds", "decode_seqs", "prefill_tokens")
    start, seconds, rounds, decodes, prompts = (result.column(name) for name in names)
    growth = result.hardware.step_time.per_kv_token_decode * decodes * (rounds - 1) / 2
    ends, first_end = start + seconds, start + seconds / rounds - growth
    last = seconds / rounds + growth
    for request in np.flatnonzero(result.preemptions == 0).tolist():
        if result.trace.output_tokens[request] == 1:
            assert np.isnan(streams.stall[request])
            continue
        began = result.first_token[request]
        within = (start >= began) & (ends <= result.finish[request])
        stall = seconds[within & (prompts > 0)].sum()
        assert streams.stall[request] == pytest.approx(stall, rel=1e-9, abs=1e-9)
        own = within & (decodes > 0)
        before = np.concatenate(([began], ends[own][:-1]))
        gaps = np.concatenate((first_end[own] - before, last[own & (rounds > 1)]))
        assert streams.worst_gap[request] == pytest.approx(gaps.max(), rel=1e-9, abs=1e-9)
    if (result.trace.output_tokens > 1).any():
        longest = summarize(result)["max_itl_ms"]
        assert np.nanmax(streams.worst_gap) * 1e3 == pytest.approx(longest, rel=1e-12)


@given(runs())
def test_utilization_is_a_share(run: tuple[Case, Policy]) -> None:
    result = finished(*run)
    assume(result.column("duration_s").any())  # a profile may charge nothing for a prefill
    assert 0 < utilization(result) <= 1 + 1e-12


@given(runs())
def test_steps_follow_each_other_and_nothing_rests_with_work_to_do(
    run: tuple[Case, Policy],
) -> None:
    result = finished(*run)
    start = result.column("start_s")
    end = start + result.column("duration_s")
    assert (start[1:] >= end[:-1]).all()
    for rest in np.flatnonzero(start[1:] > end[:-1] + 2e-9):
        there = (result.arrival <= end[rest]) & (result.finish > end[rest])
        assert not there.any()


@given(cases(sessions=False))
def test_the_hybrid_is_no_worse_than_its_parts_on_a_known_batch(case: Case) -> None:
    batch = replace(case.trace, arrival=np.zeros(len(case.trace)))
    case = replace(case, trace=batch, predicted=batch.output_tokens, concurrency=None)
    hybrid = finished(case, NAMED["hybrid"])
    for part in ("online", "offline"):
        try:
            assert hybrid.makespan <= case.replay(NAMED[part]).makespan
        except LivelockError:  # a livelock is worse than anything
            continue


@given(runs(kv=True))
def test_a_lone_sequence_is_never_preempted(run: tuple[Case, Policy]) -> None:
    case, policy = run
    alone = replace(case, config=replace(case.config, max_num_seqs=1))
    assert not finished(alone, policy).preemptions.any()


def test_the_lower_bound_is_reached_where_work_packs_perfectly() -> None:
    """Four equal requests in two slots."""
    result = replay_rows("static", [(0.0, 1, 3)] * 4, 2)
    assert lower_bound(result.trace, result.hardware, EngineConfig(2)) == result.makespan


@dataclass(frozen=True)
class Prophet:
    """Whether the number of requests is odd decides who is first: as shown, or of all to come."""

    peeks: bool

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        known = view._state.submitted if self.peeks else len(jobs)
        return RankQueue(lambda request: int(jobs.input_tokens[request]) * (-1.0) ** known)


def test_an_order_that_looks_for_the_future_finds_nothing_where_it_is_shown_jobs() -> None:
    trace = trace_of([(0.0, 1, 2), (0.0, 2, 3), (0.0, 3, 9), (90.0, 1, 1)])
    case = Case(trace, STAGES, EngineConfig(1), trace.output_tokens, None)
    assert_past_unchanged(case, NAMED["sjf"], 3)
    assert_past_unchanged(case, Policy("prophet", Prophet(False), PrefillFirst()), 3)
    # A control: one that reaches behind what it is shown, which it can in the Python kernel alone.
    caught = AssertionError if kernel.WHY_PYTHON else PolicyError
    with pytest.raises(caught):
        assert_past_unchanged(case, Policy("thief", Prophet(True), PrefillFirst()), 3)


@dataclass(frozen=True)
class Clairvoyant:
    """Notes all that it can read of requests at each decision: prefill first."""

    read: list[tuple[float, int, float]]
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            jobs = view.jobs
            columns = (
                *(jobs.arrival, jobs.input_tokens),
                *(jobs.predicted_output_tokens, jobs.max_output_tokens),
            )
            known = {len(column) for column in columns}
            for column in columns:  # nor is there more in the memory behind an array
                shown = column
                while isinstance(shown.base, np.ndarray):
                    shown = shown.base
                    assert not shown[len(jobs) :].any()
            assert known == {len(jobs)}
            self.read.append((view.now, len(jobs), float(jobs.arrival.max(initial=0.0))))
            return PREFILL if view.can_prefill else Step(decode=True, rounds=1)

        return decide


@given(cases())
def test_a_clairvoyant_rule_finds_nothing_to_read(case: Case) -> None:
    rule = Clairvoyant([])
    result = finished(case, Policy("clairvoyant", Fcfs(), rule))
    # In a closed loop somebody comes at the very instant at which a free step has ended.
    assume(result.column("duration_s").all())
    there = np.sort(result.arrival)
    for now, known, latest in rule.read:
        assert latest <= now + 1e-9
        assert known == np.searchsorted(there, now + 1e-9, side="right")


@given(runs(), st.data())
def test_true_lengths_change_no_admission_before_the_first_finish(
    run: tuple[Case, Policy], data: st.DataObject
) -> None:
    case, policy = with_limits(*run, data)
    order = data.draw(st.permutations(range(len(case.trace))))
    assert_truth_unseen(case, policy, order)


def with_limits(case: Case, policy: Policy, data: st.DataObject) -> tuple[Case, Policy]:
    """The case with declared limits that hold whichever request gets which output."""
    trace, longest = case.trace, int(case.trace.output_tokens.max())
    n = len(trace)
    limits = data.draw(st.lists(st.integers(longest, longest + 20), min_size=n, max_size=n))
    columns = (trace.arrival, trace.input_tokens, trace.output_tokens)
    declared = Trace.from_columns(*columns, max_output_tokens=limits)
    config = replace(data.draw(configs(declared)), max_model_len=None)
    return replace(case, trace=declared, config=config), policy


def assert_truth_unseen(case: Case, policy: Policy, order: Sequence[int]) -> None:
    permuted = replace(case.trace, output_tokens=case.trace.output_tokens[list(order)])
    one, two = finished(case, policy), finished(replace(case, trace=permuted), policy)
    moment = min(one.finish.min(), two.finish.min()) - 1e-6
    for ours, theirs in ((one.admitted, two.admitted), (two.admitted, one.admitted)):
        early = ours < moment
        np.testing.assert_allclose(theirs[early], ours[early], rtol=1e-9, atol=1e-12)


def test_an_engine_that_reserves_the_true_output_breaks_that_law(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trace = Trace.from_columns([0, 0, 0], [1, 1, 1], [2, 9, 3], max_output_tokens=[9, 9, 9])
    config = EngineConfig(3, block_size=1, num_gpu_blocks=12)
    case = Case(trace, MIXED, config, trace.output_tokens, None)
    assert_truth_unseen(case, NAMED["orca"], (1, 2, 0))
    monkeypatch.setattr(limits, "output_limits", lambda trace, config: trace.output_tokens)
    with pytest.raises(AssertionError):
        assert_truth_unseen(case, NAMED["orca"], (1, 2, 0))
