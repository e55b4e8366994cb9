"""The engine's knobs: what each accepts, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.config import MOST, MOST_IN_A_BLOCK, EngineConfig
from llmsched.errors import InputError


def test_one_block_of_the_device_is_the_engines_own() -> None:
    assert EngineConfig(num_gpu_blocks=2).usable_blocks == 1
    assert EngineConfig(num_gpu_blocks=4001).usable_blocks == 4000
    assert EngineConfig().usable_blocks is None


def test_the_largest_and_the_smallest_values_are_accepted() -> None:
    EngineConfig(max_num_seqs=1, max_num_batched_tokens=1, block_size=1, num_gpu_blocks=2)
    EngineConfig(
        MOST, MOST, MOST_IN_A_BLOCK, MOST, watermark=0.999, long_prefill_token_threshold=MOST
    )


@pytest.mark.parametrize(
    ("reserve", "share"),
    [("none", 0), ("max_output", 1), ("ratio:0", 0), ("ratio:1.0", 1), ("ratio:.35", 0.35)],
)
def test_a_reserve_is_a_share_of_what_the_limit_leaves(reserve: str, share: float) -> None:
    assert EngineConfig(reserve=reserve).reserved_share == share


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"block_size": 2**30}, "block_size: expected an integer in 1..65536, got 1073741824"),
        ({"max_num_seqs": 0}, "max_num_seqs: expected an integer >= 1, got 0"),
        ({"max_num_seqs": None}, "max_num_seqs: expected an integer >= 1, got None"),
        ({"max_num_seqs": True}, "max_num_seqs: expected an integer >= 1, got True"),
        ({"max_num_seqs": 2.0}, "max_num_seqs: expected an integer >= 1, got 2.0"),
        (
            {"max_num_seqs": 2**30 + 1},
            "max_num_seqs: expected an integer <= 1073741824, got 1073741825",
        ),
        ({"max_num_batched_tokens": 0}, "max_num_batched_tokens: expected an integer >= 1, got 0"),
        ({"block_size": "16"}, "block_size: expected an integer in 1..65536, got '16'"),
        ({"num_gpu_blocks": 1}, "num_gpu_blocks: expected an integer >= 2, got 1"),
        (
            {"long_prefill_token_threshold": -1},
            "long_prefill_token_threshold: expected an integer >= 0, got -1",
        ),
        (
            {"max_long_partial_prefills": 2},
            "max_long_partial_prefills: expected at most 1, max_num_partial_prefills; got 2",
        ),
        (
            {"max_num_partial_prefills": 2},
            "long_prefill_token_threshold: expected an integer >= 1 with "
            "max_num_partial_prefills 2, got 0",
        ),
        (
            {
                "max_num_partial_prefills": 2,
                "long_prefill_token_threshold": 9000,
                "max_model_len": 8192,
            },
            "long_prefill_token_threshold: expected at most 8192, max_model_len; got 9000",
        ),
        (
            {"max_num_partial_prefills": 0},
            "max_num_partial_prefills: expected an integer >= 1, got 0",
        ),
        ({"watermark": 1.0}, "watermark: expected a number in [0, 1), got 1.0"),
        ({"watermark": float("nan")}, "watermark: expected a finite number, got nan"),
        ({"admission": "all"}, "admission: expected one of first_chunk, full_prompt; got 'all'"),
        (
            {"reserve": "ratio:1.5"},
            "reserve: expected a text that matches "
            "none|max_output|ratio:(0|1|1[.]0|0?[.][0-9]+), got 'ratio:1.5'",
        ),
        ({"max_output_tokens": 0}, "max_output_tokens: expected an integer >= 1, got 0"),
        ({"max_model_len": 1}, "max_model_len: expected an integer >= 2, got 1"),
        (
            {"victim": "first"},
            "victim: expected one of last_arrived, least_urgent, longest_remaining; got 'first'",
        ),
    ],
)
def test_a_bad_knob_is_refused_by_name(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        EngineConfig(**knobs)
    assert str(error.value) == message
