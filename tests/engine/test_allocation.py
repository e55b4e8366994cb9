"""KV blocks, worked out by hand: one token a block unless a test says otherwise.

A step takes 1 s + 0.25 s a prompt token + 0.125 s a decode; usable blocks are one less than given.
"""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.engine import SimulationResult
from llmsched.errors import InputError
from tests.hand import MIXED, STAGES, Row, replay, steps


def mixed(rows: list[Row], usable: int, slots: int = 4, **knobs: Any) -> SimulationResult:
    """Policy vllm on `usable` blocks."""
    knobs = {"block_size": 1, **knobs}
    policy = knobs.pop("policy", "vllm")
    return replay(policy, rows, slots, MIXED, num_gpu_blocks=usable + 1, **knobs)


def test_one_block_is_reserved_for_the_engine() -> None:
    assert mixed([(0.0, 4, 3)], 6).preemptions.sum() == 0
    with pytest.raises(InputError, match=r"request '0' can never fit: 4 \+ 3 tokens need 6 KV"):
        mixed([(0.0, 4, 3)], 5)


def test_the_last_of_the_running_gives_way_and_recomputes_prompt_and_output_together() -> None:
    result = mixed([(0.0, 2, 4), (0.0, 2, 4)], 6)
    assert steps(result) == [
        (0.0, 1, 4, 2, 0),  # both prompts: 4 blocks
        (2.0, 1, 0, 0, 2),  # 6 blocks, none is left
        (3.25, 1, 0, 0, 1),  # request 1 gives back 3
        (4.375, 1, 0, 0, 1),  # its 4 known tokens do not fit beside: 4 of 2
        (5.5, 1, 4, 1, 0),
        (7.5, 1, 0, 0, 1),
    ]
    assert result.preemptions.tolist() == [0, 1]
    assert result.recomputed_tokens.tolist() == [0, 3]
    assert result.first_token.tolist() == [2.0, 2.0]
    assert result.finish.tolist() == [5.5, 8.625]
    assert result.resume_gap.tolist() == [7.5 - 3.25]


def test_nobody_is_admitted_in_a_step_that_preempts() -> None:
    result = mixed([(0.0, 2, 4), (0.0, 2, 4), (2.5, 1, 1)], 6)
    assert steps(result)[2] == (3.25, 1, 0, 0, 1)  # 3 blocks are free, and yet
    assert result.admitted[2] > 3.25


def test_a_preempted_request_waits_at_the_front() -> None:
    result = mixed([(0.0, 2, 4), (0.0, 2, 4), (2.5, 1, 1)], 6)
    # Request 2 arrived before the preemption and would fit at 4.375 s; request 1 does not, and
    # goes first all the same.
    assert result.admitted[2] == 5.5
    assert steps(result)[4] == (5.5, 1, 5, 2, 0)


def test_a_leap_ends_where_the_blocks_do() -> None:
    result = mixed([(0.0, 4, 20), (0.0, 4, 20)], 8, block_size=4)
    # 2 blocks for the prompts; every 4 rounds take 2, so that 6 last for 12 rounds.
    assert steps(result)[1] == (3.0, 12, 0, 0, 2)
    assert result.preemptions.tolist() == [0, 1]


def test_admission_asks_for_the_whole_prompt_or_for_its_first_chunk() -> None:
    rows = [(0.0, 3, 3), (0.0, 6, 1)]
    whole = mixed(rows, 8, 2, admission="full_prompt", max_num_batched_tokens=4)
    chunk = mixed(rows, 8, 2, admission="first_chunk", max_num_batched_tokens=4)
    assert whole.admitted.tolist() == [0.0, whole.finish[0]]
    assert chunk.admitted.tolist() == [0.0, 0.0]


def test_reserving_the_maximum_admits_fewer_and_preempts_none() -> None:
    rows = [(0.0, 2, 4), (0.0, 2, 4)]
    greedy = mixed(rows, 6)
    careful = mixed(rows, 6, reserve="max_output")
    assert greedy.preemptions.sum() == 1
    assert careful.preemptions.sum() == 0
    assert careful.admitted.tolist() == [0.0, careful.finish[0]]
    assert careful.column("kv_blocks").tolist() == [5.0, 5.0, 5.0, 5.0]


def test_a_watermark_leaves_blocks_free_at_admission_only() -> None:
    rows = [(0.0, 3, 4), (0.0, 4, 1)]
    assert mixed(rows, 8).admitted.tolist() == [0.0, 0.0]
    kept = mixed(rows, 8, watermark=0.25)  # 2 of 8
    assert kept.admitted.tolist() == [0.0, kept.finish[0]]
    assert kept.peak_blocks == 6


def test_the_victim_is_the_last_admitted_or_the_one_with_most_to_go() -> None:
    rows = [(0.0, 2, 6), (0.0, 2, 4)]
    last = mixed(rows, 7, victim="last_arrived")
    longest = mixed(rows, 7, victim="longest_remaining")
    assert last.preemptions.tolist() == [0, 1]
    assert longest.preemptions.tolist() == [1, 0]


def test_the_victim_with_most_to_go_is_chosen_by_predictions() -> None:
    rows = [(0.0, 2, 6), (0.0, 2, 4)]
    told = mixed(rows, 7, victim="longest_remaining", predicted=[4, 6])
    assert told.preemptions.tolist() == [0, 1]


def test_a_threshold_cuts_every_prompt_and_lets_several_go_side_by_side() -> None:
    result = replay("vllm", [(0.0, 5, 1), (0.0, 5, 1)], 2, MIXED, long_prefill_token_threshold=2)
    assert steps(result) == [(0.0, 1, 4, 2, 0), (2.0, 1, 4, 2, 0), (4.0, 1, 2, 2, 0)]


def test_a_threshold_cuts_prompts_of_exclusive_stages_too() -> None:
    result = replay("fcfs", [(0.0, 5, 1)] * 2, 2, STAGES, long_prefill_token_threshold=3)
    assert [row[2] for row in steps(result)] == [6, 4]


def test_a_threshold_does_not_cut_the_prompt_of_who_is_alone() -> None:
    """As in vLLM: nobody else runs or waits who would have to wait for it."""
    alone = replay("vllm", [(0.0, 5, 2)], 2, MIXED, long_prefill_token_threshold=3)
    assert [row[2] for row in steps(alone)] == [5, 0]


def test_orca_reserves_the_maximum_and_does_not_cut_prompts() -> None:
    result = mixed([(0.0, 3, 3), (0.0, 3, 2)], 10, policy="orca", max_num_batched_tokens=5)
    # 3 + 3 prompt tokens exceed 5: the second waits for the next step, with its 5 blocks.
    assert steps(result)[:2] == [(0.0, 1, 3, 1, 0), (1.75, 1, 3, 1, 1)]
    assert result.column("kv_blocks").tolist()[:2] == [5.0, 10.0]


def test_what_is_reserved_is_the_limit_and_not_the_output_that_nobody_knows() -> None:
    rows = [(0.0, 2, 1), (0.0, 2, 1)]
    assert mixed(rows, 4, reserve="max_output").admitted.tolist() == [0.0, 0.0]
    limited = mixed(rows, 7, reserve="max_output", max_output_tokens=3)  # 2 + 3 - 1 blocks each
    assert limited.admitted.tolist() == [0.0, limited.finish[0]]
    assert mixed(rows, 8, reserve="max_output", max_output_tokens=3).admitted.tolist() == [0.0, 0.0]


def test_prefill_first_runs_on_blocks_and_keeps_a_share_free() -> None:
    """vLLM v0: exclusive stages, and a watermark of 1 %."""
    rows = [(0.0, 50, 2), (0.0, 50, 2)]
    tight = replay("vllm-v0", rows, 2, STAGES, block_size=1, num_gpu_blocks=101)
    assert tight.admitted.tolist() == [0.0, tight.finish[0]]
    ample = replay("vllm-v0", rows, 2, STAGES, block_size=1, num_gpu_blocks=102)
    assert ample.admitted.tolist() == [0.0, 0.0]


def test_the_hybrid_runs_where_blocks_are_few_and_steps_may_be_mixed() -> None:
    rows = [(0.0, 2, 4 + i) for i in range(6)]
    result = mixed(rows, 12, slots=3, policy="hybrid")
    assert (result.finish > 0).all()
    assert result.peak_blocks is not None
    assert result.peak_blocks <= 12
