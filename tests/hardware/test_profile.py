"""Shipped profiles, files, and everything that is wrong with a file."""

from __future__ import annotations

import json

import pytest

from llmsched.errors import InputError
from llmsched.hardware import load_profile, shipped_profiles


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_loads_under_its_own_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.provenance["method"]
    assert json.loads(json.dumps(profile.document)) == profile.document


def test_the_paper_profile_is_the_calibrated_one() -> None:
    profile = load_profile("llama65b-8gpu-paper")
    assert profile.engine.max_num_seqs == 200
    assert profile.engine.max_num_batched_tokens is None
    assert profile.engine.num_gpu_blocks is None
    assert profile.step_time.base(0, 200) == 0.068892343
    assert profile.step_time.prefill_setup == pytest.approx(0.00173432, rel=1e-15)
    assert not profile.step_time.mixed


def test_an_unknown_name_lists_the_closest() -> None:
    with pytest.raises(InputError, match="closest are llama65b-8gpu-paper"):
        load_profile("llama65b-paper")
