"""What cannot be simulated is refused before the first step; what only just can, is not."""

from __future__ import annotations

from typing import Any

import pytest

from llmsched.catalog import find
from llmsched.engine import EngineConfig
from llmsched.engine.limits import admissible_blocks, check_limits
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from tests.hand import MIXED, STAGES, Row, trace_of

ROWS: list[Row] = [(0.0, 1, 1), (0.0, 4, 3)]  # the second holds 4 + 3 - 1 = 6 tokens at its end
NEVER_FITS = (
    "hand: request '1' can never fit: 4 + 3 tokens need 3 KV blocks of 2, and 2 can be used"
)


def check(
    policy: str, hardware: HardwareProfile = MIXED, concurrency: int | None = None, **knobs: Any
) -> None:
    config = EngineConfig(**{"max_num_seqs": 2, **knobs})
    check_limits(trace_of(ROWS), hardware, find(policy), config, concurrency)


@pytest.mark.parametrize(
    ("num_gpu_blocks", "watermark", "blocks"),
    [(None, 0.5, None), (11, 0.0, 10), (11, 0.01, 10), (11, 0.1, 9), (11, 0.99, 1)],
)
def test_one_request_may_have_what_the_watermark_leaves(
    num_gpu_blocks: int | None, watermark: float, blocks: int | None
) -> None:
    config = EngineConfig(num_gpu_blocks=num_gpu_blocks, watermark=watermark)
    assert admissible_blocks(config) == blocks


def test_what_only_just_fits_is_accepted() -> None:
    check("vllm", max_num_batched_tokens=2, concurrency=1, block_size=2, num_gpu_blocks=4)
    check("fcfs", STAGES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"policy": "vllm", "hardware": STAGES},
            "policy vllm: needs mixed steps, which profile stages cannot price",
        ),
        (
            {"policy": "fcfs", "concurrency": 0},
            "concurrency: expected an integer >= 1, got 0",
        ),
        (
            {"policy": "fcfs", "max_num_batched_tokens": 1},
            "max_num_batched_tokens: expected at least max_num_seqs = 2, so that every running "
            "sequence can decode, got 1",
        ),
        (
            {"policy": "fcfs", "block_size": 2, "num_gpu_blocks": 3},
            NEVER_FITS,
        ),
        (
            {"policy": "fcfs", "block_size": 2, "num_gpu_blocks": 4, "watermark": 0.4},
            NEVER_FITS,
        ),
    ],
)
def test_a_replay_that_could_not_end_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        check(**arguments)
    assert str(error.value) == message
