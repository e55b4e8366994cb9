"""llmsched hardware list, show and calibrate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from llmsched.cli import main
from llmsched.config import EngineConfig
from llmsched.hardware import HardwareProfile, load_profile, shipped_profiles
from llmsched.hardware.affine import Affine
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.trace import Trace


def test_the_list_names_every_profile_with_its_status_in_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["hardware", "list"]) == 0
    out = capsys.readouterr().out
    for name in shipped_profiles():
        status = str(load_profile(name).provenance["status"])
        assert any(line.split()[:2] == [name, status] for line in out.splitlines())
    _, _, exclusive = out.partition("\nwithout a price for mixed steps (prefill beside decodes): ")
    told = set(" ".join(exclusive.split()).split(", "))
    assert told == {name for name in shipped_profiles() if not load_profile(name).step_time.mixed}
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_page_shows_prices_provenance_and_step_times_in_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hardware", "show", name]) == 0
    out = capsys.readouterr().out
    for part in ("provenance", "missing:", "decode round, ms", "prefill step, ms", "max_num_seqs"):
        assert part in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_table_of_step_times_is_that_of_the_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "show", "llama65b-8gpu-paper"]) == 0
    out = capsys.readouterr().out
    # 1.73432 ms and 0.26302 ms a token
    assert "one prompt      18.6  35.4  69.1  136.4" in out


def test_a_page_shows_the_price_of_steps_with_a_prefill_where_they_have_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.yaml"
    prices = "step_time: {overhead: {per_step: 1, per_step_prefill: 4}}\n"
    mine.write_text(f"extends: llama3-8b-a100\nname: mine\n{prices}")
    assert main(["hardware", "show", str(mine)]) == 0
    assert re.search(r"per_step_prefill: +4\n", capsys.readouterr().out)
    assert main(["hardware", "show", "llama3-8b-a100"]) == 0
    assert "per_step_prefill" not in capsys.readouterr().out


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_a_shown_document_can_be_loaded_again(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    arguments = ["hardware", "show", "llama3-8b-a100", "--format", format, "--output", str(path)]
    assert main(arguments) == 0
    assert capsys.readouterr().out == ""
    assert load_profile(path).step_time == load_profile("llama3-8b-a100").step_time
    if format == "json":
        assert json.loads(path.read_text())["name"] == "llama3-8b-a100"


def test_an_unknown_name_is_one_line_with_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "show", "llama3-8b-a10"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "llama3-8b-a100" in captured.err
    assert captured.err.count("\n") == 1


def test_an_unknown_format_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "show", "llama3-8b-a100", "--format", "xml"]) == 2
    assert "expected one of table, yaml, json, got 'xml'" in capsys.readouterr().err


def _law(path: Path, rows: int = 60) -> Path:
    """Write steps of 10 ms, 0.1 ms a prefill token, 0.05 ms a sequence, 1e-5 ms a context token."""
    lines = ["num_prefill_tokens,num_decode_seqs,kv_tokens,step_ms"]
    for i in range(rows):
        prefill, decode = (0, 1 + i % 40) if i % 2 else (64 * (1 + i % 9), i % 7)
        kv = decode * (100 + 37 * i)
        lines.append(f"{prefill},{decode},{kv},{10 + 0.1 * prefill + 0.05 * decode + 1e-5 * kv}")
    path.write_text("\n".join(lines))
    return path


def test_steps_become_a_profile_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps, path = _law(tmp_path / "steps.csv"), tmp_path / "mine.yaml"
    knobs = ["--max-num-seqs", "64", "--kind", "affine", "--output", str(path)]
    assert main(["hardware", "calibrate", str(steps), *knobs]) == 0
    out = capsys.readouterr().out
    for part in ("held-out error, %", "decode ", "prefill ", "mixed ", "sum of k decode rounds"):
        assert part in out
    profile = load_profile(path)
    assert profile.name == "steps"
    assert profile.engine.max_num_seqs == 64
    assert profile.step_time.base(1000, 10) == pytest.approx(0.1105, rel=1e-4)
    assert profile.provenance["status"] == "calibrated"
    assert profile.provenance["holdout_mape_percent"] == pytest.approx(0.0, abs=1e-3)
    fitted = profile.provenance["fitted"]
    assert isinstance(fitted, dict)
    assert list(fitted) == ["tokens", "prefill_tokens", "sequences", "kv_tokens"]
    for key, label in (("tokens", "tokens of a step"), ("sequences", "decode sequences")):
        assert f"  {label}: {fitted[key][0]} to {fitted[key][1]}\n" in out


def test_the_default_fit_to_steps_is_a_table(tmp_path: Path) -> None:
    steps, path = _law(tmp_path / "steps.csv", 300), tmp_path / "mine.yaml"
    arguments = ["hardware", "calibrate", str(steps), "--name", "box", "--output", str(path)]
    assert main(arguments) == 0
    assert load_profile(path).step_time.kind == "piecewise"
    assert load_profile(path).name == "box"


def _run(path: Path) -> Path:
    """Write the times of 48 requests on an engine of known prices."""
    rng = np.random.default_rng(8)
    trace = Trace.from_columns(
        np.cumsum(rng.exponential(0.2, 48)), rng.integers(20, 900, 48), rng.integers(2, 90, 48)
    )
    prices = Affine(per_step=0.01, per_prefill_token=6e-5, per_decode_seq=6e-5)
    knobs = EngineConfig(max_num_seqs=8, max_num_batched_tokens=512)
    result = simulate(trace, HardwareProfile("truth", prices), NAMED["vllm"], knobs)
    names = ("timestamp", "input_length", "output_length", "first_token_s", "last_token_s")
    columns = (1e3 * trace.arrival, trace.input_tokens, trace.output_tokens)
    rows = np.column_stack([*columns, result.first_token, result.finish]).tolist()
    path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in rows))
    return path


def test_a_run_becomes_a_profile_with_a_judged_second_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, path = _run(tmp_path / "run.jsonl"), tmp_path / "mine.yaml"
    knobs = ["--max-num-seqs", "8", "--max-num-batched-tokens", "512", "--output", str(path)]
    assert main(["hardware", "calibrate", str(run), *knobs]) == 0
    out = capsys.readouterr().out
    assert "first 24 requests, fitted" in out
    assert "last 24 requests, not fitted" in out
    assert max(map(len, out.splitlines())) <= 80
    profile = load_profile(path)
    assert profile.step_time.kind == "affine"
    assert profile.step_time.base(0, 4) == pytest.approx(0.01024, rel=0.2)
    assert isinstance(profile.provenance["held_out_requests_error_percent"], dict)
    fitted = profile.provenance["fitted"]
    assert isinstance(fitted, dict)
    assert list(fitted) == ["tokens", "prefill_tokens", "sequences"]
    assert fitted["tokens"][1] <= 512
    assert fitted["sequences"] == [1, 8]


def test_a_fit_that_misses_its_own_requests_is_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, wrong = _run(tmp_path / "run.jsonl"), ("--max-num-seqs", "1")  # it ran with eight slots
    knobs = [*wrong, "--max-num-batched-tokens", "512", "--output", str(tmp_path / "mine.yaml")]
    assert main(["hardware", "calibrate", str(run), *knobs]) == 0
    assert "are --num-gpu-blocks and the other knobs those of the run?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "roofline"], "--kind: expected affine or piecewise, got 'roofline'"),
        (["--output", "/nowhere/mine.yaml"], "cannot write"),
    ],
)
def test_bad_usage_of_calibrate_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = _law(tmp_path / "steps.csv")
    assert main(["hardware", "calibrate", str(steps), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_a_run_needs_the_engines_knobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"timestamp": 0, "input_length": 9, "output_length": 9}
    record = json.dumps({**row, "first_token_s": 1, "last_token_s": 2})
    (tmp_path / "run.jsonl").write_text("\n".join([record] * 30))
    assert main(["hardware", "calibrate", str(tmp_path / "run.jsonl")]) == 2
    assert "a run needs the engine's knobs" in capsys.readouterr().err
    arguments = ["--kind", "piecewise", "--max-num-seqs", "8"]
    assert main(["hardware", "calibrate", str(tmp_path / "run.jsonl"), *arguments]) == 2
    assert "expected affine for a run" in capsys.readouterr().err
