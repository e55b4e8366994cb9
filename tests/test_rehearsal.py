"""The offline phase that picks an order and a rule by trying them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.batching.chunked import Chunked
from llmsched.batching.prefill_first import PrefillFirst
from llmsched.batching.static import Static
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Decide, Jobs, Policy, View
from llmsched.errors import PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.ljf import Ljf
from llmsched.orders.rank import RankQueue
from llmsched.rehearsal import Candidate, Rehearsal, _Trials
from llmsched.replay import simulate
from llmsched.trace import Trace
from tests.hand import MIXED, STAGES, replay, trace_of

STATIC: Candidate = (Fcfs(), Static())
LONGEST: Candidate = (Ljf(), PrefillFirst())
ARRIVAL: Candidate = (Fcfs(), PrefillFirst())
BESIDE: Candidate = (Fcfs(), Chunked())


def jobs(
    predicted: Sequence[int],
    slots: int,
    hardware: HardwareProfile = STAGES,
    arrival: float = 0.0,
    *,
    prompts: Sequence[int] | None = None,
    limits: Sequence[int] | None = None,
    **knobs: Any,
) -> Jobs:
    n = len(predicted)
    config = EngineConfig(max_num_seqs=slots, **knobs)
    ones = [1] * n if prompts is None else prompts
    return Jobs([arrival] * n, ones, predicted, config, hardware, limits)


def rehearsal(*candidates: Candidate) -> Rehearsal:
    """Each candidate on a ladder of its own: all are tried."""
    return Rehearsal([[candidate] for candidate in candidates])


def test_the_candidate_with_the_shortest_total_time_wins() -> None:
    # Rounds 1, 1, 4 on two slots: longest first takes 4, the others put the 4 on top.
    assert rehearsal(STATIC, ARRIVAL, LONGEST).choose(jobs([2, 2, 5], 2)) is LONGEST


def test_the_first_of_equals_wins() -> None:
    assert rehearsal(ARRIVAL, LONGEST).choose(jobs([2, 2, 2], 1)) is ARRIVAL
    assert rehearsal(LONGEST, ARRIVAL).choose(jobs([2, 2, 2], 1)) is LONGEST


def test_nothing_is_rehearsed_where_nothing_is_known_at_the_start() -> None:
    assert rehearsal(STATIC, LONGEST).choose(jobs([2, 2, 5], 2, arrival=1.0)) is STATIC


def test_a_batch_that_fits_the_slots_is_rehearsed_as_the_token_budget_may_bind() -> None:
    # One prompt a step: before any decode, or beside those of the longest, which went first.
    batch = jobs([2, 2, 2, 9], 9, MIXED, prompts=[9] * 4, max_num_batched_tokens=18)
    longest_beside: Candidate = (Ljf(), Chunked())
    assert rehearsal(ARRIVAL, longest_beside).choose(batch) is longest_beside


def test_mixed_steps_are_tried_only_where_they_have_a_price() -> None:
    chosen = rehearsal(STATIC, BESIDE)
    assert chosen.choose(jobs([3, 9, 2, 5], 2)) is STATIC
    assert chosen.choose(jobs([3, 9, 2, 5], 2, MIXED)) is BESIDE


def test_the_predictions_are_rehearsed_and_the_truth_is_replayed() -> None:
    policy = Policy("tries", *STATIC, offline=rehearsal(STATIC, ARRIVAL, LONGEST))
    rows = [(0.0, 1, 2), (0.0, 1, 2), (0.0, 1, 5)]
    told = replay(policy, rows, 2)
    assert told.detail == "Ljf() + PrefillFirst()"
    misled = replay(policy, rows, 2, predicted=[5, 2, 2])
    assert misled.detail == "Fcfs() + PrefillFirst()"
    assert (misled.trace.output_tokens == trace_of(rows).output_tokens).all()


def test_a_ladder_is_climbed_until_two_rungs_in_a_row_are_no_better() -> None:
    batch = jobs([2, 2, 5], 2)
    assert Rehearsal([[STATIC, STATIC, LONGEST]]).choose(batch) is LONGEST
    assert Rehearsal([[STATIC, STATIC, STATIC, LONGEST]]).choose(batch) is STATIC


def test_a_batch_whose_first_rungs_take_the_whole_budget_tries_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", 6)
    ladders = [[STATIC, LONGEST], [ARRIVAL, LONGEST]]
    assert Rehearsal(ladders).choose(jobs([2, 2, 5], 2)) is STATIC


@dataclass(frozen=True)
class _Spy:
    """Longest first, and a note of what each replay held."""

    seen: list[list[int]]

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        self.seen.append(jobs.predicted_output_tokens.tolist())
        return Ljf().queue(jobs, view)


def replayed(monkeypatch: pytest.MonkeyPatch, budget: int, batch: Jobs, rungs: int) -> list[Any]:
    """Return the lengths in each replay of two ladders with so many rungs each."""
    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", budget)
    monkeypatch.setattr("llmsched.rehearsal.DEPTH", 2)
    seen: list[list[int]] = []
    spy: Candidate = (_Spy(seen), PrefillFirst())
    Rehearsal([[spy] * rungs] * 2).choose(batch)
    return seen


def test_a_batch_that_its_first_rungs_can_replay_is_rehearsed_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert replayed(monkeypatch, 8, jobs([7, 8, 9, 6], 1), 1) == [[7, 8, 9, 6]] * 2


def test_of_a_larger_batch_an_even_share_of_lengths_is_rehearsed_in_the_order_of_the_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Two a slot of lengths 1 to 10: of each half the one in the middle.
    lengths = [9, 10, 8, 1, 2, 3, 4, 7, 6, 5]
    batch = jobs(lengths, 1, prompts=range(10, 0, -1))
    assert replayed(monkeypatch, 12, batch, 1) == [[8, 3]] * 2


def test_equal_lengths_are_sampled_evenly_by_their_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts: list[int] = []

    @dataclass(frozen=True)
    class Prompts:
        def queue(self, jobs: Jobs, view: View) -> RankQueue:
            prompts.extend(jobs.input_tokens.tolist())
            return Ljf().queue(jobs, view)

    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", 5)
    monkeypatch.setattr("llmsched.rehearsal.DEPTH", 1)
    batch = jobs([3] * 6, 2, prompts=[60, 10, 20, 50, 40, 30])
    rehearsal((Prompts(), PrefillFirst())).choose(batch)
    assert prompts[:2] == [20, 50]


def test_a_sample_leaves_room_for_further_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two requests a replay: of 12, the two first rungs take 4; each ladder has two more.
    assert len(replayed(monkeypatch, 12, jobs([3] * 10, 1), 9)) == 6


@given(
    budget=st.integers(2, 40), count=st.integers(1, 60), slots=st.integers(1, 9), rungs=st.just(3)
)
def test_a_rehearsal_never_replays_more_requests_than_it_may(
    budget: int, count: int, slots: int, rungs: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        seen = replayed(patch, budget, jobs([3] * count, slots), rungs)
    assert sum(map(len, seen)) <= budget


class _Broken:
    mixed = False

    def start(self, view: View) -> Decide:
        return 3  # type: ignore[return-value]  # that is the point


def test_a_candidate_that_breaks_the_contract_is_told_to_be_a_rehearsed_one() -> None:
    with pytest.raises(PolicyError, match=r"^policy rehearsal: start: expected a function"):
        rehearsal((Fcfs(), _Broken())).choose(jobs([2], 1))


def test_no_part_of_a_replay_is_left_over_for_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # 7 requests are two replays of 3: the first rung and the second.
    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", 7)
    assert Rehearsal([[STATIC, STATIC, LONGEST]]).choose(jobs([2, 2, 5], 2)) is STATIC
    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", 9)
    assert Rehearsal([[STATIC, STATIC, LONGEST]]).choose(jobs([2, 2, 5], 2)) is LONGEST


def test_what_stands_beside_the_best_of_the_first_ladder_is_tried_last() -> None:
    given: list[Candidate] = []

    def beside(best: Candidate) -> list[Candidate]:
        given.append(best)
        return [LONGEST]

    batch = jobs([2, 2, 5], 2)
    assert Rehearsal([[STATIC, ARRIVAL], [ARRIVAL]], beside).choose(batch) is LONGEST
    assert given == [STATIC]
    assert Rehearsal([[LONGEST]], lambda _: [LONGEST, STATIC]).choose(batch) is LONGEST


def test_nothing_beside_is_tried_once_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmsched.rehearsal.MOST_REPLAYED", 3)
    assert Rehearsal([[STATIC]], lambda _: [LONGEST]).choose(jobs([2, 2, 5], 2)) is STATIC


def test_predictions_are_rehearsed_up_to_the_limit() -> None:
    """By the predictions longest first would win; cut to the limits all are alike."""
    known = jobs([2, 2, 5], 2)
    assert rehearsal(ARRIVAL, LONGEST).choose(known) is LONGEST
    limited = jobs([2, 2, 5], 2, limits=[2, 2, 2])
    assert rehearsal(ARRIVAL, LONGEST).choose(limited) is ARRIVAL


@pytest.mark.parametrize(("limit", "wanted"), [(5, LONGEST), (9, ARRIVAL)])
def test_an_engine_that_reserves_is_rehearsed_with_the_declared_limits(
    limit: int, wanted: Candidate
) -> None:
    # Ten blocks of one token. A limit of 5 reserves 5 of them, so two requests run at once, and
    # longest first is shorter. One of 9 reserves 9: one after the other, and all orders are alike.
    knobs = {"block_size": 1, "num_gpu_blocks": 11, "reserve": "max_output"}
    batch = jobs([2, 2, 5], 2, limits=[limit] * 3, **knobs)
    assert rehearsal(ARRIVAL, LONGEST).choose(batch) is wanted


def test_predictions_beyond_what_fits_are_rehearsed_as_what_fits() -> None:
    trace = Trace.from_columns([0, 0], [2, 2], [3, 3], max_output_tokens=[9_999, 9_999])
    config = EngineConfig(2, block_size=1, num_gpu_blocks=11)
    result = simulate(trace, STAGES, find("hybrid"), config, predicted=np.array([5_000, 5_000]))
    assert result.finish.max() < 9


def test_no_more_candidates_are_tried_than_the_budget_allows() -> None:
    trials = _Trials(lambda candidate: 1.0, 2)
    candidate = (Fcfs(), PrefillFirst())
    assert len(list(trials.all([candidate] * 5))) == 2
    assert len(list(trials.all([candidate]))) == 0


def test_a_ladder_is_left_after_two_rungs_in_a_row_without_a_shorter_time() -> None:
    costs, tried = iter([11.0, 9.0, 10.0, 10.0, 8.0]), []

    def cost(candidate: Candidate) -> float:
        tried.append(candidate)
        return next(costs)

    rungs = [(Fcfs(), PrefillFirst())] * 6
    assert _Trials(cost, 99).climb(rungs, (10.0, rungs[0]))[0] == 9.0
    assert len(tried) == 4  # 11, then 9 starts the count anew, then 10 and 10
