"""Arrivals in another unit are noticed, and nothing that anybody means is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmsched.cli import main
from llmsched.cli.doubts import warn_of_study
from llmsched.comparison.study import prepare
from llmsched.files import shipped
from llmsched.hardware import load_profile
from llmsched.plausibility import doubtful_arrivals, doubts
from llmsched.scenario import load_scenario
from llmsched.trace import Trace

A100 = load_profile("llama3-8b-a100")


def _trace(gap_s: float, n: int = 200) -> Trace:
    return Trace.from_columns(gap_s * np.arange(n), np.full(n, 500), np.full(n, 100), name="t")


@pytest.mark.parametrize(
    ("gap_s", "message"),
    [
        (0.2, None),
        (20.0, None),
        (0.01, None),
        (
            0.2e-3,
            "arrivals imply 5,000 requests/s, 226 times what this engine can serve: are the time "
            "stamps in s read as ms? see --time-unit",
        ),
        (
            200.0,
            "arrivals imply 0.005 requests/s, 1/4,433 of what this engine can serve: are the time "
            "stamps in ms read as s? see --time-unit",
        ),
        (0.0, None),
    ],
)
def test_rates_that_no_engine_sees_are_named(gap_s: float, message: str | None) -> None:
    assert doubtful_arrivals(_trace(gap_s), A100, A100.engine) == message


def test_nine_requests_may_come_as_they_like() -> None:
    assert doubtful_arrivals(_trace(1e-6, 9), A100, A100.engine) is None
    assert doubtful_arrivals(_trace(1e-6, 10), A100, A100.engine) is not None
    assert doubtful_arrivals(_trace(9.0, 1), A100, A100.engine) is None


def test_speed_on_purpose_is_no_doubt() -> None:
    fast = _trace(0.2e-3)
    assert doubtful_arrivals(fast, A100, A100.engine, speed=1000) is None
    assert doubtful_arrivals(fast, A100, A100.engine, speed=2) is not None
    assert doubtful_arrivals(_trace(0.2), A100, A100.engine, speed=0.001) is None


def test_a_closed_loop_has_no_arrivals_to_doubt() -> None:
    wide = replace(A100.engine, max_num_batched_tokens=8192)
    assert len(doubts(_trace(0.2e-3), A100, wide)) == 2
    assert len(doubts(_trace(0.2e-3), A100, wide, concurrency=8)) == 1


@pytest.mark.parametrize("path", sorted(shipped("scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_arrivals_of_no_shipped_scenario_are_doubted(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = prepare(load_scenario(path))
    capsys.readouterr()
    warn_of_study(study)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "arrivals" not in captured.err


def _written(path: Path, gap: float) -> str:
    row = {"input_length": 500, "output_length": 10}
    rows = (json.dumps({"timestamp": gap * i, **row}) for i in range(30))
    path.write_text("\n".join(rows))
    return str(path)


@pytest.mark.parametrize(
    ("command", "options"),
    [("simulate", ["--policy", "fcfs"]), ("compare", ["--policies", "fcfs"])],
)
def test_the_command_line_warns_once_on_stderr_and_never_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, options: list[str]
) -> None:
    trace = _written(tmp_path / "t.jsonl", 0.2)
    machine = ["--hardware", "llama3-8b-a100"]
    run = [command, trace, *options, *machine, "--format", "json"]
    assert main(run) == 0
    plain = capsys.readouterr()
    assert plain.err.startswith("warning: t.jsonl: arrivals imply 5,000 requests/s, ")
    assert plain.err.count("\n") == 1
    assert "warning" not in plain.out
    assert main([*run, "--time-unit", "s", "--max-num-batched-tokens", "16384"]) == 0
    assert capsys.readouterr().err == (
        "warning: max_num_batched_tokens 16384: llama3-8b-a100 was fitted on steps of 1 to 4,096 "
        "tokens; times beyond are extrapolated\n"
    )
    assert main([*run, "--offline"]) == 0
    assert capsys.readouterr().err == ""


def test_a_matrix_warns_for_each_of_its_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _written(tmp_path / "t.jsonl", 0.2)
    (tmp_path / "s.yaml").write_text(
        "schema_version: 1\nname: s\ntrace: t.jsonl\nhardware: llama3-8b-a100\npolicies: [fcfs]\n"
        "engine: {max_num_seqs: [16, 32]}\n"
    )
    assert main(["compare", str(tmp_path / "s.yaml"), "--format", "csv"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" t.jsonl:")[0] for line in lines] == ["warning: 16:", "warning: 32:"]


def test_a_plan_warns_of_knobs_beyond_the_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = _written(tmp_path / "t.jsonl", 0.2)
    knobs = ["--hardware", "llama3-8b-a100", "--max-num-batched-tokens", "9000"]
    knobs += ["--lengths", "mean"]
    assert main(["plan", trace, *knobs]) == 0
    assert capsys.readouterr().err == (
        "warning: max_num_batched_tokens 9000: llama3-8b-a100 was fitted on steps of 1 to 4,096 "
        "tokens; times beyond are extrapolated\n"
    )
