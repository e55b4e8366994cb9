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
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "recorded.json"
    requests = [(0.001 * i, 5 + i % 3, 9) for i in range(12)]
    path.write_text(json.dumps(PlainVllm(requests, 8, 16, 12, 4).record()))
    return path


def test_golden_says_ok_and_counts(llmsched: Run, recorded: Path) -> None:
    outcome = llmsched("verify", "golden", recorded)
    assert outcome.code == 0
    assert outcome.out.startswith(f"ok       {recorded}: 12 requests, ")


def test_golden_exits_1_and_shows_the_first_difference(
    llmsched: Run, recorded: Path, tmp_path: Path
) -> None:
    document = json.loads(recorded.read_text())
    document["steps"][3][0] += 1
    spoiled = tmp_path / "spoiled.json"
    spoiled.write_text(json.dumps(document))
    outcome = llmsched("verify", "golden", recorded, spoiled)
    assert outcome.code == 1
    ok, differs = outcome.out.splitlines()
    assert ok.startswith("ok")
    assert differs.startswith(f"differs  {spoiled}: step 3: recorded prefill_tokens ")
    assert "; simulated prefill_tokens " in differs


def test_golden_refuses_a_file_that_is_no_recording(llmsched: Run, tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text("{}")
    outcome = llmsched("verify", "golden", path)
    assert outcome.code == 2
    assert outcome.out == ""
    assert str(path) in outcome.err
