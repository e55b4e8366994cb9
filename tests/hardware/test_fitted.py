"""Which knobs lead beyond the steps that a profile was fitted to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmsched.comparison.axes import load_hardware
from llmsched.hardware import load_profile, shipped_profiles
from llmsched.hardware.fitted import beyond_fit
from llmsched.hardware.piecewise import Piecewise
from llmsched.scenario import HardwareSource

A100 = load_profile("llama3-8b-a100")
END = "times beyond are extrapolated"


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_states_the_range_of_its_table_and_keeps_to_it(name: str) -> None:
    profile = load_profile(name)
    stated = profile.provenance.get("fitted")
    table = profile.step_time.tokens if isinstance(profile.step_time, Piecewise) else None
    assert stated == (None if table is None else {"tokens": [table[0], table[-1]]})
    assert beyond_fit(profile, profile.engine) == []


@pytest.mark.parametrize(
    ("knobs", "lines"),
    [
        ({"max_num_batched_tokens": 4096}, []),
        (
            {"max_num_batched_tokens": 4097},
            [
                "max_num_batched_tokens 4097: llama3-8b-a100 was fitted on steps of 1 to 4,096 "
                "tokens"
            ],
        ),
        (
            {"max_num_batched_tokens": None},
            [
                "max_num_batched_tokens without a limit: llama3-8b-a100 was fitted on steps of 1 "
                "to 4,096 tokens"
            ],
        ),
        (
            {"max_num_seqs": 5000, "max_num_batched_tokens": 8192},
            [
                f"{knob}: llama3-8b-a100 was fitted on steps of 1 to 4,096 tokens"
                for knob in ("max_num_batched_tokens 8192", "max_num_seqs 5000")
            ],
        ),
    ],
)
def test_knobs_beyond_the_range_are_named(knobs: dict[str, Any], lines: list[str]) -> None:
    found = beyond_fit(A100, replace(A100.engine, **knobs))
    assert found == [f"{line}; {END}" for line in lines]


def test_slots_that_no_request_can_fill_are_not_named() -> None:
    fitted = {"tokens": [1, 4096], "sequences": [1, 64]}
    profile = replace(A100, provenance={"fitted": fitted})
    assert beyond_fit(profile, A100.engine, sequences=64) == []
    assert beyond_fit(profile, A100.engine, sequences=65) == [
        f"max_num_seqs 256: llama3-8b-a100 was fitted on steps of 1 to 64 sequences; {END}"
    ]


@pytest.mark.parametrize(
    ("override", "kept"),
    [
        ({"engine": {"max_num_seqs": 8}}, True),
        ({"step_time": {"overhead": {"per_step": 1.0}}}, True),
        ({"step_time": {"per_kv_token_decode": 1e-4}}, False),
    ],
)
def test_a_scenario_keeps_the_range_of_prices_that_it_keeps(
    override: dict[str, Any], kept: bool
) -> None:
    profile = load_hardware(HardwareSource("llama3-8b-a100", override))
    assert profile.provenance.get("fitted") == ({"tokens": [1, 4096]} if kept else None)
