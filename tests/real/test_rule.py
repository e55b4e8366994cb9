"""Policy vllm-real: the installed scheduler decides, the engine carries it out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.vllm_workloads import drawn
from llmsched import catalog
from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.policies import ABSENT, NAMED
from llmsched.real import installed
from llmsched.real.rule import _knobs
from llmsched.replay import simulate
from llmsched.verify import golden
from tests.verify.plain_vllm import replayed

needs_vllm = pytest.mark.skipif(not installed.is_installed(), reason="vLLM is not installed")


def test_it_is_a_named_policy_where_vllm_is_and_only_there() -> None:
    assert ("vllm-real" in NAMED) == installed.is_installed()
    assert ("vllm-real" in ABSENT) != installed.is_installed()


def test_where_it_is_not_one_line_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "NAMED", {})
    monkeypatch.setattr(catalog, "ABSENT", {"vllm-real": installed.NEEDS})
    with pytest.raises(InputError, match=r"^policy 'vllm-real' needs vLLM: pip install vllm"):
        catalog.find("vllm-real")


def test_vllm_s_knobs_are_the_engine_s() -> None:
    config = EngineConfig(
        max_num_batched_tokens=64, num_gpu_blocks=9, watermark=0.2, admission="first_chunk"
    )
    knobs = _knobs(config)
    assert knobs["watermark"] == 0.2
    assert knobs["scheduler_reserve_full_isl"] is False


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (EngineConfig(num_gpu_blocks=9), "max_num_batched_tokens: vllm-real needs a number"),
        (EngineConfig(max_num_batched_tokens=64), "num_gpu_blocks: vllm-real needs a number"),
        (
            EngineConfig(max_num_batched_tokens=64, num_gpu_blocks=9, async_scheduling=True),
            "async_scheduling: vllm-real cannot have it",
        ),
        (
            EngineConfig(max_num_batched_tokens=64, num_gpu_blocks=9, reserve="max_output"),
            "reserve: vllm-real cannot have it",
        ),
    ],
)
def test_what_cannot_be_passed_on_is_refused(config: EngineConfig, says: str) -> None:
    with pytest.raises(InputError) as refused:
        _knobs(config)
    assert str(refused.value).startswith(says)


@needs_vllm
@pytest.mark.parametrize("seed", range(0, 16 * 60, 16))
def test_the_engine_carries_out_what_the_scheduler_decides(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(replayed(drawn(seed))))
    recording = golden.read(path)
    hardware = HardwareProfile("recorded", recording.step_time)
    result = simulate(recording.trace, hardware, catalog.find("vllm-real"), recording.config)
    assert golden.compare(recording, result) == ""
