"""The installed vLLM's scheduler records what was recorded; without one, the tests say so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.vllm_workloads import drawn
from llmsched.errors import InputError
from llmsched.real import installed
from llmsched.real.recorder import record, rerecord
from tests.verify.plain_vllm import read, replayed

needs_vllm = pytest.mark.skipif(not installed.is_installed(), reason="vLLM is not installed")


def test_without_vllm_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "is_installed", lambda: False)
    config = {
        "max_num_seqs": 2,
        "max_num_batched_tokens": 8,
        "num_gpu_blocks": 9,
        "block_size": 4,
    }
    with pytest.raises(InputError, match=r"^the real scheduler needs vLLM: pip install vllm"):
        record(config, {}, [(0.0, 3, 2)])


def test_vllm_is_imported_only_when_it_is_asked(tmp_path: Path) -> None:
    (tmp_path / "vllm").mkdir()
    (tmp_path / "vllm" / "__init__.py").write_text("raise SystemExit('imported')")
    program = "import llmsched.api, llmsched.policies, llmsched.real.recorder"
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(tmp_path)})


@needs_vllm
@pytest.mark.parametrize("name", ["conv_kv_pressure", "sharegpt_kv_bound"])
def test_the_real_scheduler_does_again_what_it_was_recorded_to(recorded: Path, name: str) -> None:
    document = read(recorded / "vllm-golden" / f"{name}.json.gz")
    again = rerecord(document)
    assert again["steps"] == document["steps"]
    assert again["preemptions"] == document["preemptions"]
    assert again["finish_s"] == pytest.approx(document["finish_s"], rel=1e-12)


@needs_vllm
@pytest.mark.parametrize("seed", range(32))
def test_the_plain_rules_are_those_of_the_real_scheduler(seed: int) -> None:
    workload = drawn(seed)
    real, plain = rerecord(workload), replayed(workload)
    for name in plain.keys() - {"name", "config"}:
        assert plain[name] == real[name], name


@needs_vllm
def test_a_knob_that_this_vllm_does_not_have_is_named() -> None:
    workload = drawn(0)
    workload["config"]["patience"] = 3
    with pytest.raises(InputError, match=r"^config\.patience: vLLM [\d.]+ has no such knob$"):
        rerecord(workload)
