"""What cannot be simulated is refused before the first step; what only just can, is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine.limits import (
    as_predicted,
    check_limits,
    describe_output_limits,
    output_limits,
    serve,
)
from llmsched.engine.refusal import Refusal
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import MAX_TOKENS, Trace
from tests.hand import MIXED, STAGES, Row, trace_of

ROWS: list[Row] = [(0.0, 1, 1), (0.0, 4, 3)]  # the second holds 4 + 3 - 1 = 6 tokens at its end
NEVER_FITS = (
    "hand: request '1' can never fit: 4 + 3 tokens need 3 KV blocks of 2, and 2 can be used; "
    "1 of 2 requests never fit: --on-error skip refuses them"
)


def check(
    policy: str, hardware: HardwareProfile = MIXED, concurrency: int | None = None, **knobs: Any
) -> None:
    config = EngineConfig(**{"max_num_seqs": 2, **knobs})
    check_limits(hardware, find(policy), config, concurrency)
    serve(trace_of(ROWS), config)


@pytest.mark.parametrize(
    ("num_gpu_blocks", "watermark", "blocks"),
    [(None, 0.5, 0), (11, 0.0, 0), (11, 0.01, 0), (11, 0.1, 1), (20, 0.1, 2), (11, 0.99, 10)],
)
def test_the_watermark_is_a_share_of_all_blocks(
    num_gpu_blocks: int | None, watermark: float, blocks: int
) -> None:
    config = EngineConfig(num_gpu_blocks=num_gpu_blocks, watermark=watermark)
    assert config.spare_blocks == blocks


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
        (LIMITS, {**RESERVE, "max_model_len": 34}, [24, 7, 4], "assumed: the trace's greatest, 7"),
        (NONE, {**RESERVE, "max_output_tokens": 9000}, [9000] * 3, "output limit 9,000"),
        (NONE, RESERVE, [7, 7, 7], "output limit assumed: the trace's greatest, 7"),
        (NONE, {}, [MAX_TOKENS] * 3, ""),
        (LIMITS.take([0]), RESERVE, [50], "output limits declared"),
        (LIMITS.take([1]), RESERVE, [7], "output limit assumed: the trace's greatest, 7"),
        # 32 tokens fit, and the last one is never computed: what nobody set is cut to that.
        (NONE, {**RESERVE, "num_gpu_blocks": 3}, [7, 7, 3], "the trace's greatest, 7"),
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
    assert bool(said) is (config.reserve != "none")


def test_a_limit_that_is_reserved_must_fit() -> None:
    config = EngineConfig(num_gpu_blocks=4, reserve="max_output")
    with pytest.raises(InputError) as error:
        serve(LIMITS, config, way_out="; see above")
    assert str(error.value) == (
        "trace: request '0' can never fit: 10 + 50, its output limit, tokens need 4 KV blocks of "
        "16, and 3 can be used; 1 of 3 requests never fit: --on-error skip refuses them; see above"
    )


MODEL = EngineConfig(max_model_len=30)


@pytest.mark.parametrize(
    ("row", "refusal", "output"),
    [
        ((29, 1, 0), Refusal.NONE, 1),  # one token short of the model's length: one to come
        ((30, 1, 0), Refusal.PROMPT_TOO_LONG, None),
        ((10, 20, 0), Refusal.NONE, 20),
        ((10, 21, 0), Refusal.NONE, 20),  # nothing declared: it ends at the model's length
        ((10, 5, 20), Refusal.NONE, 5),
        ((10, 5, 21), Refusal.LIMIT_TOO_LONG, None),  # whatever the answer would have come to
        ((10, 9, 8), Refusal.NONE, 8),
        ((30, 9, 8), Refusal.PROMPT_TOO_LONG, None),
    ],
)
def test_the_models_length_refuses_what_it_cannot_take_and_ends_what_it_can(
    row: tuple[int, int, int], refusal: Refusal, output: int | None
) -> None:
    prompt, length, limit = row
    columns = ([0, 0], [1, prompt], [2, length])
    trace = Trace.from_columns(*columns, max_output_tokens=[0, limit])
    served = serve(trace, MODEL)
    assert served.refusal.tolist() == [0, refusal]
    assert served.trace.output_tokens.tolist() == ([2] if output is None else [2, output])
    assert served.rows.tolist() == ([0] if output is None else [0, 1])


def test_what_is_served_as_it_is_is_the_same_trace() -> None:
    assert serve(LIMITS, EngineConfig()).trace is LIMITS
    assert serve(LIMITS, EngineConfig(num_gpu_blocks=9, max_output_tokens=7)).trace is LIMITS


def test_an_answer_ends_at_its_own_limit_or_at_the_knob_for_those_that_declare_none() -> None:
    trace = Trace.from_columns([0, 0, 0], [1, 1, 1], [9, 9, 9], max_output_tokens=[4, 0, 20])
    served = serve(trace, EngineConfig(max_output_tokens=6))
    assert served.trace.output_tokens.tolist() == [4, 6, 9]
    assert served.describe(EngineConfig()) == "2 answers cut at the limit"
    assert served.trace.longest_output == 9


def test_requests_that_never_fit_are_refused_where_that_is_asked_for() -> None:
    rows = [(0.0, 4, 1), (0.0, 5, 1), (0.0, 1, 5), (0.0, 9, 9), (0.0, 8, 1), (0.0, 1, 1)]
    config = EngineConfig(block_size=1, num_gpu_blocks=5)
    with pytest.raises(InputError, match=r"request '1' can never fit.* 4 of 6 requests never fit"):
        serve(trace_of(rows), config)
    served = serve(trace_of(rows), config, "skip")
    assert served.rows.tolist() == [0, 5]
    assert served.refusal.tolist() == [0, 3, 3, 3, 3, 0]
    said = "4 refused (can never fit into the KV cache: 1, 2, 3, ...)"
    assert served.describe(config) == said


def test_an_answer_that_is_cut_fits_where_the_whole_one_would_not() -> None:
    config = EngineConfig(block_size=1, num_gpu_blocks=11, max_model_len=11)
    assert serve(trace_of([(0.0, 5, 50)]), config).trace.output_tokens.tolist() == [6]


def test_every_reason_is_counted_and_named() -> None:
    columns = ([0, 0, 0, 0], [30, 10, 10, 10], [1, 1, 29, 2])
    trace = Trace.from_columns(*columns, max_output_tokens=[0, 30, 0, 0])
    config = EngineConfig(max_model_len=30, block_size=1, num_gpu_blocks=12)
    assert serve(trace, config, "skip").describe(config) == (
        "1 refused (prompt beyond max_model_len 30), "
        "1 refused (prompt and declared limit beyond max_model_len 30), "
        "1 refused (can never fit into the KV cache: 2)"
    )


def test_what_a_declared_limit_needs_does_not_matter_where_nothing_is_reserved() -> None:
    for reserve in ("none", "ratio:0.9"):
        config = EngineConfig(max_num_seqs=2, num_gpu_blocks=4, reserve=reserve)
        assert serve(LIMITS, config).trace is LIMITS


def test_predictions_come_true_only_up_to_the_limit() -> None:
    predicted = np.array([90, 90, 90])
    came = as_predicted(LIMITS, predicted, EngineConfig(num_gpu_blocks=8))
    assert came.output_tokens.tolist() == [50, 90, 83]
    reserved = as_predicted(LIMITS, predicted, EngineConfig(reserve="max_output"))
    assert reserved.output_tokens.tolist() == [50, 7, 7]
