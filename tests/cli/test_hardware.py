"""llmsched hardware list, show and calibrate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmsched.cli import main
from llmsched.hardware import load_profile, shipped_profiles


def test_the_list_names_every_profile_with_its_status_in_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["hardware", "list"]) == 0
    out = capsys.readouterr().out
    for name in shipped_profiles():
        status = str(load_profile(name).provenance["status"])
        assert any(line.split()[:2] == [name, status] for line in out.splitlines())
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
