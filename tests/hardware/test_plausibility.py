"""Unit mistakes are warned about; what is merely slow or fast is not."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from llmsched.documents.yaml import as_yaml
from llmsched.hardware import load_profile, parse_profile
from llmsched.hardware.plausibility import implausible

AFFINE = {
    "per_step": 8.0,
    "per_prefill_token": 0.08,
    "per_decode_seq": 0.05,
    "per_kv_token_decode": 3e-5,
    "per_kv_token_mixed": 3e-5,
}


def _findings(**changes: float) -> list[str]:
    step_time = {"kind": "affine", **AFFINE, **changes}
    document = {"schema_version": 1, "name": "mine", "step_time": step_time}
    return implausible(parse_profile(document, "mine.yaml"))


def test_a_plausible_profile_is_silent() -> None:
    assert _findings() == []


@pytest.mark.parametrize(
    ("factor", "message"), [(1e-3, "were they given in seconds"), (1e3, "given in microseconds")]
)
def test_prices_in_another_unit_are_noticed(factor: float, message: str) -> None:
    found = _findings(**{key: value * factor for key, value in AFFINE.items()})
    assert message in found[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_kv_token_decode": 3e-2}, "per_kv_token_decode: reading 1000 tokens of context"),
        ({"per_prefill_token": 80.0}, "a prefill of 2048 tokens takes 164"),
        ({"per_step": 0.9, "per_prefill_token": 0.0, "per_decode_seq": 2.0}, "less than half"),
        ({"per_prefill_token_sq": 0.01}, "per_prefill_token_sq: attention costs over ten times"),
    ],
)
def test_a_price_of_the_wrong_thing_is_noticed(change: dict[str, float], message: str) -> None:
    assert any(message in line for line in _findings(**change))


def _changed(section: str, key: str, value: object) -> list[str]:
    document: dict[str, Any] = copy.deepcopy(dict(load_profile("llama3-8b-a100").document))
    document[section][key] = value
    return implausible(parse_profile(document, "mine.yaml"))


def test_a_round_faster_than_its_memory_is_noticed() -> None:
    found = _changed("step_time", "token_table", {"tokens": [1, 2048], "ms": [2.0, 150.0]})
    assert "but reading the weights from memory alone takes 7.88 ms" in found[0]


def test_blocks_that_do_not_fit_the_memory_are_noticed() -> None:
    found = _changed("engine", "num_gpu_blocks", 436768)
    assert "num_gpu_blocks: 436768 blocks, but 27298 fit" in found[0]


def test_loading_a_file_warns_of_what_is_implausible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    step_time = {
        "kind": "stages",
        "decode_round": 0.0689,
        "prefill": {"per_stage": 0.0, "per_token": 0.3},
    }
    path.write_text(as_yaml({"schema_version": 1, "name": "mine", "step_time": step_time}))
    load_profile(path)
    said = capsys.readouterr().err
    assert said.startswith("warning: ")
    assert "were they given in seconds" in said
