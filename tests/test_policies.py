"""The named policies on one screen."""

from __future__ import annotations

import pytest

from llmsched.config import EngineConfig
from llmsched.policies import NAMED
from tests.hand import MIXED, outputs, replay, steps

REQUIRED = [
    *("fcfs", "static", "sjf", "ljf", "offline", "literal", "online", "hybrid", "vllm", "random"),
]


def test_the_required_names_are_there_under_their_own_names() -> None:
    assert set(REQUIRED) <= set(NAMED)
    assert all(name == policy.name for name, policy in NAMED.items())


@pytest.mark.parametrize("name", NAMED)
def test_each_has_one_line_that_fits_a_screen(name: str) -> None:
    summary = NAMED[name].summary
    assert 0 < len(summary) <= 80
    assert "\n" not in summary


@pytest.mark.parametrize("name", NAMED)
def test_each_serves_everybody(name: str) -> None:
    rows = [(0.0, 3, 4), (0.0, 1, 1), (0.0, 5, 2), (2.0, 2, 7), (30.0, 1, 3)]
    result = replay(name, rows, 2, MIXED, max_num_batched_tokens=8)
    assert result.policy == name
    assert (result.finish >= result.first_token).all()
    assert (result.first_token > result.arrival).all()


@pytest.mark.parametrize("same", [("fcfs", "fcfs+prefill_first"), ("vllm", "fcfs+chunked")])
def test_a_name_and_its_composition_do_the_same(same: tuple[str, str]) -> None:
    one, two = (replay(policy, outputs(4, 2, 3, 1, 5), 2, MIXED) for policy in same)
    assert steps(one) == steps(two)


def test_a_policys_own_knobs_replace_the_engines() -> None:
    rows = outputs(3, 3)
    assert replay("fcfs", rows, 2, MIXED).config == EngineConfig(max_num_seqs=2)
    assert replay("vllm-v0", rows, 2, MIXED).config.watermark == 0.01
    assert replay("orca", rows, 2, MIXED, num_gpu_blocks=9).config.reserve == "max_output"


def test_the_hybrid_is_no_worse_than_its_parts_on_a_known_batch() -> None:
    rows = outputs(9, 2, 7, 7, 3, 1, 5, 8, 2, 4, 6, 6, 3)
    parts = [replay(name, rows, 3).makespan for name in ("offline", "online", "ljf")]
    assert replay("hybrid", rows, 3).makespan <= min(parts) + 1e-9
