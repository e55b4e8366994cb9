"""`llmsched verify` as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tests.verify.plain_vllm import PlainVllm

Run = Callable[..., Outcome]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.json"
    requests = [(0.001 * i, 5 + i % 3, 9) for i in range(12)]
    path.write_text(json.dumps(PlainVllm(requests, 8, 16, 12, 4).record()))
    return path


def test_golden_says_ok_and_counts(llmsched: Run, recording: Path) -> None:
    outcome = llmsched("verify", "golden", recording)
    assert outcome.code == 0
    _, row, *_, last = outcome.out.splitlines()
    assert row.startswith("✓  ")
    assert " 12 " in row
    assert "recorded.json" in outcome.out
    assert last == "1 of 1 replayed step by step as recorded"


def test_golden_without_files_checks_the_shipped_recordings(llmsched: Run) -> None:
    outcome = llmsched("verify", "golden")
    assert outcome.code == 0
    rows = [line.split()[:2] for line in outcome.out.splitlines()[1:-2]]
    assert rows == [
        ["✓", f"{name}.json.gz"]
        for name in (
            *("as_chat_kv_pressure", "as_code_burst", "knob_active", "knob_first_chunk"),
            *("knob_interval", "knob_prio", "knob_threshold", "knob_threshold_adaptive"),
            *("knob_watermark", "pc_eviction", "pc_mooncake", "pc_multi_turn", "pc_shared_system"),
            *("pr_many_levels", "pr_three_classes", "code_small_budget", "conv_kv_pressure"),
            *("conv_online", "gsm8k_offline", "mooncake_long", "sharegpt_kv_bound"),
        )
    ]


def test_golden_exits_1_and_shows_the_first_difference(
    llmsched: Run, recording: Path, tmp_path: Path
) -> None:
    document = json.loads(recording.read_text())
    document["steps"][3][0] += 1
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text(json.dumps(document))
    outcome = llmsched("verify", "golden", recording, spoiled)
    assert outcome.code == 1
    *_, differs, last = outcome.out.splitlines()
    assert differs.startswith(f"✗ {spoiled}: step 3: recorded prefill_tokens ")
    assert "; simulated prefill_tokens " in differs
    assert last == "1 of 2 replayed step by step as recorded"


def test_golden_refuses_a_file_that_is_no_recording(llmsched: Run, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text("{}")
    outcome = llmsched("verify", "golden", path)
    assert outcome.code == 2
    assert outcome.out == ""
    assert str(path) in outcome.err


@pytest.fixture
def replayed(llmsched: Run, tmp_path: Path) -> list[object]:
    """A replay's tables, and the options that check them."""
    trace = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": 40 * (i // 4), "input_length": 9 + i, "output_length": 3 + i % 5}
        for i in range(12)
    ]
    trace.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tables = ["--requests", tmp_path / "r.csv", "--steps", tmp_path / "s.csv"]
    knobs = ["--max-num-seqs", 4]
    assert llmsched("simulate", trace, "--policy", "fcfs", *knobs, *tables).code == 0
    return ["--trace", trace, *knobs, *tables]


def test_result_passes_what_simulate_wrote(llmsched: Run, replayed: list[object]) -> None:
    outcome = llmsched("verify", "result", *replayed, "--order", "fcfs")
    assert outcome.code == 0
    assert outcome.out.startswith("ok  12 requests, ")


def test_result_names_the_law_that_a_changed_table_breaks(
    llmsched: Run, replayed: list[object], tmp_path: Path
) -> None:
    steps = tmp_path / "s.csv"
    lines = steps.read_text().splitlines()
    cells = lines[1].split(",")
    cells[1] = str(float(cells[1]) * 0.99)
    steps.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n")
    outcome = llmsched("verify", "result", *replayed)
    assert outcome.code == 1
    assert "fault  prices: step row 1: takes " in outcome.out


def test_result_holds_the_knobs_it_is_given(llmsched: Run, replayed: list[object]) -> None:
    fewer = [3 if word == 4 else word for word in replayed]
    outcome = llmsched("verify", "result", *fewer)
    assert outcome.code == 1
    assert "fault  slots: step row " in outcome.out


def test_result_refuses_a_table_with_a_bad_cell(
    llmsched: Run, replayed: list[object], tmp_path: Path
) -> None:
    steps = tmp_path / "s.csv"
    steps.write_text(steps.read_text().replace("\n0.0,", "\nsoon,", 1))
    outcome = llmsched("verify", "result", *replayed)
    assert outcome.code == 2
    assert outcome.out == ""
    assert f"{steps}:2: start_s: expected a finite number, got 'soon'" in outcome.err
