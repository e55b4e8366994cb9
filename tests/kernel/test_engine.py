"""How time moves. A decode round takes 1 s, a prefill stage 0.5 s + 0.25 s a token."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from llmsched.config import EngineConfig
from llmsched.engine import session
from llmsched.engine.replicas import Assignment
from llmsched.errors import InputError
from llmsched.policies import NAMED
from llmsched.replay import simulate
from tests.hand import MIXED, STAGES, outputs, replay, steps, trace_of


def test_a_single_output_token_comes_with_the_prefill() -> None:
    result = replay("fcfs", [(0.0, 2, 1)], 1)
    assert steps(result) == [(0.0, 1, 2, 1, 0)]
    assert result.first_token.tolist() == result.finish.tolist() == [1.0]


def test_rounds_without_an_event_are_one_row() -> None:
    assert steps(replay("fcfs", outputs(1001), 1)) == [(0.0, 1, 1, 1, 0), (0.75, 1000, 0, 0, 1)]


def test_an_idle_engine_jumps_to_the_next_arrival() -> None:
    result = replay("fcfs", [(2.0, 2, 1), (50.0, 2, 1)], 1)
    assert steps(result) == [(2.0, 1, 2, 1, 0), (50.0, 1, 2, 1, 0)]
    assert result.makespan == 49.0


def test_an_arrival_matters_at_the_start_of_the_next_step() -> None:
    result = replay("fcfs", [(0.0, 2, 4), (1.25, 2, 1)], 2)
    assert steps(result) == [
        (0.0, 1, 2, 1, 0),
        (1.0, 1, 0, 0, 1),
        (2.0, 1, 2, 1, 0),  # it came at 1.25 s, within a round
        (3.0, 2, 0, 0, 1),
    ]


def test_an_arrival_exactly_at_the_end_of_a_step_is_there_for_the_next() -> None:
    assert replay("fcfs", [(0.0, 2, 4), (2.0, 2, 1)], 2).admitted.tolist() == [0.0, 2.0]


def test_an_arrival_does_not_end_a_leap_while_every_slot_is_taken() -> None:
    result = replay("fcfs", [(0.0, 2, 9), (3.5, 2, 1)], 1)
    assert steps(result) == [(0.0, 1, 2, 1, 0), (1.0, 8, 0, 0, 1), (9.0, 1, 2, 1, 0)]


def test_sequences_that_end_together_leave_together() -> None:
    result = replay("fcfs", outputs(3, 5, 3), 3)
    assert steps(result) == [(0.0, 1, 3, 3, 0), (1.25, 2, 0, 0, 3), (3.25, 2, 0, 0, 1)]


def test_ties_keep_the_order_of_the_trace() -> None:
    assert replay("sjf", outputs(2, 2, 2, 2), 1).admitted.tolist() == [0.0, 1.75, 3.5, 5.25]


def test_the_context_that_decodes_read_grows_by_their_number_each_round() -> None:
    result = replay("vllm", [(0.0, 4, 6), (0.0, 2, 3)], 2, MIXED)
    assert result.column("rounds").tolist() == [1, 2, 3]
    assert result.column("kv_tokens").tolist() == [0, 6, 6]  # 4 + 2; after 2 rounds 6 + 4, less 4


def test_in_a_closed_loop_a_finish_brings_the_next_request() -> None:
    result = replay("fcfs", [(0.0, 1, 3), (7.0, 1, 2), (7.0, 1, 2), (99.0, 1, 1)], 4, concurrency=2)
    # 0 and 1 start together: a stage of 1 s; request 1 ends after one round, request 0 after two.
    assert result.arrival.tolist() == [0.0, 0.0, 2.0, 3.75]
    assert steps(result) == [
        (0.0, 1, 2, 2, 0),
        (1.0, 1, 0, 0, 2),
        (2.0, 1, 1, 1, 0),
        (2.75, 1, 0, 0, 2),
        (3.75, 1, 1, 1, 0),
    ]
    assert result.finish.tolist() == [3.75, 2.0, 3.75, 4.5]


def test_predictions_change_what_an_order_does_and_never_when_a_request_ends() -> None:
    told = replay("sjf", outputs(3, 2), 1, predicted=[1, 9])
    assert told.admitted.tolist() == [0.0, 2.75]
    assert told.finish.tolist() == [2.75, 4.5]


@pytest.mark.parametrize(
    ("policy", "config", "concurrency", "says"),
    [
        ("vllm", EngineConfig(1), None, "policy vllm: needs mixed steps, which profile"),
        ("fcfs", EngineConfig(4, 3), None, "max_num_batched_tokens: expected at least"),
        ("fcfs", EngineConfig(1), 0, "concurrency: expected an integer >= 1, got 0"),
        (
            "fcfs",
            EngineConfig(1, num_gpu_blocks=3, block_size=2),
            None,
            "hand: request '1' can never fit: 4 + 2 tokens need 3 KV blocks of 2, and 2 can be",
        ),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_the_first_step(
    policy: str, config: EngineConfig, concurrency: int | None, says: str
) -> None:
    trace = trace_of([(0.0, 1, 1), (0.0, 4, 2)])
    with pytest.raises(InputError) as refused:
        simulate(trace, STAGES, NAMED[policy], config, concurrency=concurrency)
    assert says in str(refused.value)


def test_the_knobs_of_a_policy_replace_the_engines() -> None:
    result = replay("orca", outputs(2), 1, MIXED, num_gpu_blocks=9, reserve="none")
    assert result.config.reserve == "max_output"


def test_the_profile_knows_the_engine_unless_told_otherwise() -> None:
    result = simulate(trace_of(outputs(2)), STAGES, NAMED["fcfs"])
    assert result.config == STAGES.engine
    assert np.isfinite(result.finish).all()


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_replay_tells_how_far_it_is_and_is_none_the_other(
    replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = trace_of([(0.0, 2, 3)] * 40)
    assignment = Assignment(np.arange(40, dtype=np.int32) % replicas, replicas)
    told: list[tuple[int, int]] = []
    slots = EngineConfig(max_num_seqs=2)
    silent = simulate(trace, STAGES, NAMED["fcfs"], slots, assignment=assignment)
    assert not told
    monkeypatch.setattr(session, "Session", partial(session.Session, block=2))  # rows: two requests
    heard = simulate(
        trace,
        STAGES,
        NAMED["fcfs"],
        slots,
        assignment=assignment,
        on_progress=lambda finished, total: told.append((finished, total)),
    )
    assert np.array_equal(heard.step_rows, silent.step_rows)
    counts = [finished for finished, _ in told]
    assert counts == sorted(counts)
    assert set(counts) == {2 * i for i in range(1, 21)}
    assert {total for _, total in told} == {40}
