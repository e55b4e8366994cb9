"""Prompts that share a step's budget. A step takes 1 s, 1/4 s a prompt token, 1/8 s a decode."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llmsched.batching.chunked import Chunked
from llmsched.contract import Jobs, Policy, View, WaitingQueue
from llmsched.engine import SimulationResult
from tests.hand import MIXED, STAGES, Row, replay, steps


def shared(
    rows: list[Row],
    budget: int,
    *,
    prompts: int = 2,
    long: int = 1,
    threshold: int = 100,
    policy: Policy | str = "vllm",
    slots: int = 8,
    **knobs: Any,
) -> SimulationResult:
    return replay(
        policy,
        rows,
        slots,
        MIXED,
        max_num_batched_tokens=budget,
        max_num_partial_prefills=prompts,
        max_long_partial_prefills=long,
        long_prefill_token_threshold=threshold,
        **knobs,
    )


def prefills(result: SimulationResult) -> list[tuple[int, int]]:
    """Prompt tokens and prompts of each step that has some."""
    return [(row[2], row[3]) for row in steps(result) if row[2]]


def test_two_prompts_take_half_of_the_budget_each() -> None:
    result = shared([(0.0, 8, 1), (0.0, 8, 1)], 8)
    assert prefills(result) == [(8, 2), (8, 2)]
    assert result.first_token.tolist() == [6.0, 6.0]
    alone = shared([(0.0, 8, 1), (0.0, 8, 1)], 8, prompts=1)
    assert alone.first_token.tolist() == [3.0, 6.0]


def test_a_prompt_without_company_takes_the_whole_budget() -> None:
    assert prefills(shared([(0.0, 20, 1)], 8, prompts=4)) == [(8, 1), (8, 1), (4, 1)]


def test_a_share_is_of_the_whole_budget_and_decodes_come_out_of_the_last() -> None:
    result = shared([(0.0, 1, 9), (0.0, 20, 1), (0.0, 20, 1)], 8, prompts=2)
    # 1 and 4, then 3 of the third; from then on a decode, a share of 4, and what is left.
    assert prefills(result)[:3] == [(8, 3), (7, 2), (7, 2)]


def test_what_a_short_prompt_leaves_of_its_share_goes_to_the_next() -> None:
    result = shared([(0.0, 1, 1), (0.0, 9, 1), (0.0, 9, 1)], 8)
    assert prefills(result) == [(8, 3), (8, 2), (3, 2)]


def test_no_more_prompts_are_begun_than_may_be() -> None:
    # Shares of 3: the seventh token would begin a third prompt, or is a whole one.
    assert prefills(shared([(0.0, 9, 1)] * 3, 7, slots=3))[0] == (6, 2)
    assert prefills(shared([(0.0, 9, 1), (0.0, 9, 1), (0.0, 1, 1)], 7, slots=3))[0] == (7, 3)


def test_short_prompts_pass_a_long_one_that_is_one_too_many() -> None:
    rows = [(0.0, 12, 1), (0.0, 12, 1), (0.0, 2, 1)]
    result = shared(rows, 8, threshold=4)
    # 4 + 2; then the first alone, 8; the second begins when it is through.
    assert prefills(result) == [(6, 2), (8, 1), (8, 1), (4, 1)]
    assert result.first_token[2] == 2.5
    assert result.admitted.tolist() == [0.0, 5.5, 0.0]
    both = shared(rows, 8, threshold=4, long=2)
    assert both.admitted.tolist() == [0.0, 0.0, 9.0]


def test_a_long_prompt_begins_in_the_step_that_ends_the_one_before() -> None:
    result = shared([(0.0, 10, 1), (0.0, 10, 1)], 8, threshold=4)
    assert prefills(result) == [(8, 1), (8, 2), (4, 1)]


def test_a_threshold_says_who_is_long_and_limits_nobody() -> None:
    assert prefills(shared([(0.0, 10, 1)], 8, threshold=2)) == [(8, 1), (2, 1)]
    capped = shared([(0.0, 10, 1), (0.0, 2, 1)], 8, prompts=1, threshold=2)
    assert prefills(capped) == [(4, 2), (8, 1)]  # then it is alone, and none is there to wait


def test_the_order_decides_among_those_who_may_pass() -> None:
    rows = [(0.0, 12, 1), (0.0, 12, 1), (0.0, 2, 3), (0.0, 2, 2)]
    result = shared(rows, 4, threshold=4, policy="sjf+chunked", slots=4)
    # Of equals the first takes 2 of 4 tokens, the second is one too many; then the last.
    assert result.admitted[0] == result.admitted[3] == 0.0
    assert 0.0 < result.admitted[2] < result.admitted[1]


class _NextAlone:
    """Requests in the order of arrival, none of which is to be had by name."""

    release: Callable[[int], None] | None = None

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self.push, self.pop = self._waiting.append, self._waiting.popleft

    def __len__(self) -> int:
        return len(self._waiting)

    def peek(self) -> int:
        return self._waiting[0]


@dataclass(frozen=True)
class _Fifo:
    def queue(self, jobs: Jobs, view: View) -> WaitingQueue:
        return _NextAlone()


def test_a_queue_that_gives_out_the_next_alone_lets_nobody_pass() -> None:
    rows = [(0.0, 12, 9), (0.0, 12, 8), (0.0, 2, 1)]
    alone = shared(rows, 8, threshold=4, policy=Policy("fifo", _Fifo(), Chunked()))
    assert alone.admitted[2] >= alone.admitted[1] > 0.0
    by_name = shared(rows, 8, threshold=4, policy="plan+chunked")
    assert by_name.admitted[1] > by_name.admitted[2] == 0.0


def test_steps_of_whole_prompts_do_not_share() -> None:
    rows = [(0.0, 8, 1), (0.0, 8, 1)]
    knobs: dict[str, Any] = {"max_num_batched_tokens": 8, "long_prefill_token_threshold": 100}
    alone = replay("fcfs", rows, 2, STAGES, max_num_partial_prefills=2, **knobs)
    assert [row[2:4] for row in steps(alone)] == [(8, 1), (8, 1)]


def test_resumed_requests_count_by_what_they_compute_again() -> None:
    # Two sequences outgrow 12 blocks; the second, 3 + 4 tokens, comes back and is long by then.
    rows = [(0.0, 3, 9), (0.0, 3, 9)]
    result = shared(rows, 8, threshold=4, num_gpu_blocks=13, block_size=1)
    assert result.preemptions.tolist() == [0, 1]
    assert result.finish[1] > result.finish[0]
