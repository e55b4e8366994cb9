"""A livelock is a state that comes back while nobody gets a token, and nothing less."""

from __future__ import annotations

from itertools import cycle, islice

import pytest

from llmsched.engine.livelock import RETURNS, LivelockWatch
from llmsched.errors import LivelockError
from llmsched.hardware import load_profile
from tests.hand import replay


@pytest.mark.parametrize("period", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("before", [0, 1, 50])
def test_a_cycle_of_any_period_is_found_wherever_it_begins(period: int, before: int) -> None:
    watch = LivelockWatch()
    states: list[object] = [f"once {i}" for i in range(before)]
    states += islice(cycle(range(period)), 4 * (period + before) + 2 * period * RETURNS)
    assert any(watch.sees(0, state) for state in states)


def test_states_that_differ_are_no_livelock_however_many() -> None:
    watch = LivelockWatch()
    assert not any(watch.sees(0, state) for state in range(100_000))


def test_a_token_or_an_arrival_begins_the_search_anew() -> None:
    watch = LivelockWatch()
    assert not any(watch.sees(mark, "same") for mark in range(10) for _ in range(RETURNS))


def test_what_an_arrival_may_still_end_is_no_livelock_before_it() -> None:
    rows = [(0.0, 4, 9), (0.0, 12, 1), (600.0, 1, 1)]
    with pytest.raises(LivelockError) as error:
        replay(
            "prefill_first",
            rows,
            2,
            max_num_batched_tokens=4,
            block_size=1,
            num_gpu_blocks=13,
            admission="first_chunk",
        )
    moment = str(error.value).partition("livelock at ")[2].partition(" s")[0]
    assert float(moment) > 600.0


def test_a_livelock_long_before_the_next_arrival_ends_as_well() -> None:
    watch = LivelockWatch()
    seen = [watch.sees(0, "same", arrival_to_come=True) for _ in range(100_001)]
    assert seen.index(True) == 100_000


def test_many_preemptions_between_two_finishes_are_no_livelock_while_tokens_come() -> None:
    # The long request gets a token each round; prompts beside it are put back again and again.
    rows = [(0.0, 1, 4000)] + [(0.0, 3900, 1)] * 20
    result = replay(
        "vllm",
        rows,
        8,
        load_profile("llama3-8b-a100"),
        max_num_batched_tokens=800,
        block_size=1,
        num_gpu_blocks=4002,
        admission="first_chunk",
        long_prefill_token_threshold=100,
    )
    assert result.preemptions.sum() > 3_000


def test_a_livelock_is_found_after_few_preemptions_and_named() -> None:
    with pytest.raises(LivelockError) as error:
        replay(
            "prefill_first",
            [(0.0, 4, 9), (0.0, 12, 1)],
            2,
            max_num_batched_tokens=4,
            block_size=1,
            num_gpu_blocks=13,
            admission="first_chunk",
        )
    told = "'1' is preempted over and over, and no request gets a token"
    assert told in str(error.value)
