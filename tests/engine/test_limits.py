"""What cannot be simulated is refused before the first step; what only just can, is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine.limits import (
    admissible_blocks,
    as_predicted,
    check_limits,
    describe_output_limits,
    output_limits,
)
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import MAX_TOKENS, Trace
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


LIMITS = Trace.from_columns([0, 0, 0], [10, 20, 30], [5, 6, 7], max_output_tokens=[50, 0, 0])
NONE = Trace.from_columns([0, 0, 0], [10, 20, 30], [5, 6, 7])
RESERVE = {"reserve": "max_output"}


@pytest.mark.parametrize(
    ("trace", "knobs", "limits", "words"),
    [
        (LIMITS, RESERVE, [50, 7, 7], "declared by 1 of 3 requests, else assumed: "),
        (LIMITS, {**RESERVE, "max_output_tokens": 9}, [50, 9, 9], "1 of 3 requests, else 9"),
        (LIMITS, {**RESERVE, "max_model_len": 40}, [30, 20, 10], "what max_model_len 40 leaves"),
        (NONE, {**RESERVE, "max_output_tokens": 9000}, [9000] * 3, "output limit 9,000"),
        (NONE, RESERVE, [7, 7, 7], "output limit assumed: the trace's greatest, 7"),
        (NONE, {}, [MAX_TOKENS] * 3, ""),
        (LIMITS.take([0]), RESERVE, [50], "output limits declared"),
        (LIMITS.take([1]), RESERVE, [7], "output limit assumed: the trace's greatest, 7"),
        # 32 tokens fit, and the last one is never computed: what nobody set is cut to that.
        (NONE, {**RESERVE, "num_gpu_blocks": 3}, [7, 7, 3], "the trace's greatest, 7"),
        (NONE, {**RESERVE, "num_gpu_blocks": 3, "max_model_len": 90}, [23, 13, 3], "90 leaves"),
        (NONE, {**RESERVE, "num_gpu_blocks": 3, "max_output_tokens": 9}, [9, 9, 9], "limit 9"),
    ],
)
def test_a_limit_is_declared_or_set_or_left_by_the_model_or_assumed(
    trace: Trace, knobs: dict[str, Any], limits: list[int], words: str
) -> None:
    config = EngineConfig(**knobs)
    assert output_limits(trace, config).tolist() == limits
    said = describe_output_limits(trace, config)
    assert words in said
    assert bool(said) is (config.reserve == "max_output")


@pytest.mark.parametrize(
    ("trace", "knobs", "message"),
    [
        (
            NONE,
            {"max_model_len": 25},
            "trace: request '1': expected at most max_model_len = 25 tokens, got 20 + 6",
        ),
        (
            NONE,
            {"max_output_tokens": 5},
            "trace: request '1': expected at most max_output_tokens = 5 of output, got 6",
        ),
        (
            LIMITS,
            {"num_gpu_blocks": 4, "reserve": "max_output"},
            "trace: request '0' can never fit: 10 + 50, its output limit, tokens need 4 KV blocks "
            "of 16, and 3 can be used",
        ),
    ],
)
def test_a_request_beyond_the_engines_limits_is_refused(
    trace: Trace, knobs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as error:
        check_limits(trace, MIXED, find("vllm"), EngineConfig(**{"max_num_seqs": 2, **knobs}))
    assert str(error.value) == message


def test_what_a_declared_limit_needs_does_not_matter_where_nothing_is_reserved() -> None:
    config = EngineConfig(max_num_seqs=2, num_gpu_blocks=4)
    check_limits(LIMITS, MIXED, find("vllm"), config)


def test_predictions_come_true_only_up_to_the_limit() -> None:
    predicted = np.array([90, 90, 90])
    came = as_predicted(LIMITS, predicted, EngineConfig(num_gpu_blocks=8))
    assert came.output_tokens.tolist() == [50, 90, 83]
    reserved = as_predicted(LIMITS, predicted, EngineConfig(reserve="max_output"))
    assert reserved.output_tokens.tolist() == [50, 7, 7]
