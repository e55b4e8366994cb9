"""Worst gaps, their causes and stalls by hand; `tests/engine/test_plain.py` has more."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine import Session, SimulationResult, admit
from llmsched.engine.replicas import Assignment
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.kernel.stalls import DECODE, PREEMPTION
from llmsched.replay import simulate
from tests.hand import MIXED, Row, outputs, replay, trace_of

ATTACK = HardwareProfile("attack", Affine(per_step=0.01, per_prefill_token=1e-4))


def told(result: SimulationResult) -> list[tuple[float, int, float]]:
    """The worst gap of each request, its cause and its stall."""
    assert result.streams is not None
    columns = (np.round(column, 9).tolist() for column in vars(result.streams).values())
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize(
    ("policy", "gap", "stall"),
    # Ten chunks of 4,096 tokens and one round; or eleven chunks of 4,095 beside rounds, one each.
    [("fcfs", 4.206, 4.196), ("vllm", 0.4195, 4.206)],
)
def test_a_long_prompt_freezes_a_stream_or_slows_it(policy: str, gap: float, stall: float) -> None:
    rows: list[Row] = [(0.0, 10, 1000), (0.1, 40_960, 1)]
    result = replay(policy, rows, 64, ATTACK, max_num_batched_tokens=4096)
    victim, attacker = told(result)
    assert victim == (gap, 1, stall)
    assert attacker[1] == DECODE
    assert np.isnan([attacker[0], attacker[2]]).all()


def test_the_cause_is_who_computed_most_in_the_very_gap() -> None:
    """Three prompts one after the other: 1 s + 0.25 s a token; then a round of 1 s."""
    rows: list[Row] = [(0.0, 1, 3), (1.5, 4, 2), (2.9, 8, 1), (3.0, 6, 2)]
    result = replay("fcfs", rows, 4, MIXED, max_num_batched_tokens=8)
    # The first one's tokens come at 1.25 and, after a round that nobody disturbs, at 2.375. Then
    # prompts take 2, 3 and 2.5 s, and a round of three 1.375 s.
    gaps = told(result)
    assert gaps[0] == (2 + 3 + 2.5 + 1.375, 2, 7.5)
    assert gaps[1] == (3 + 2.5 + 1.375, 2, 5.5)
    assert gaps[3] == (1.375, DECODE, 0.0)


def test_a_preemption_is_a_gap_and_a_stall_from_token_to_token() -> None:
    """Two prompts of one token and six outputs each, where seven blocks hold twelve tokens not."""
    result = replay("vllm", outputs(6, 6), 2, MIXED, block_size=1, num_gpu_blocks=9)
    (_, lost) = told(result)
    assert result.preemptions.tolist() == [0, 1]
    (gap,) = result.resume_gap.tolist()
    assert lost == (gap, PREEMPTION, gap)


def test_many_requests_are_submitted_one_by_one() -> None:
    policy, config = find("fcfs"), EngineConfig(max_num_seqs=2)
    session = Session(policy, config, MIXED)
    for at in range(100):
        one = trace_of([(float(10 * at), 1, 2)])
        session.advance(until=float(10 * at))
        session.submit(admit(one, MIXED, policy, config))
    session.advance()
    assert told(session.result()) == [(1.125, DECODE, 0.0)] * 100


def test_replicas_name_causes_by_the_rows_of_the_whole_trace() -> None:
    rows: list[Row] = [(0.0, 1, 3), (0.0, 1, 3), (1.3, 1, 1), (1.3, 9, 1)]
    result = simulate(
        trace_of(rows),
        MIXED,
        find("fcfs"),
        assignment=Assignment(np.array([0, 1, 0, 1], np.int32), 2),
    )
    assert [cause for _, cause, _ in told(result)[:2]] == [2, 3]
