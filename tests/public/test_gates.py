"""Faults of gates seen elsewhere: each script exits 0 when the program gets its case right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECORDED

SCRIPTS = sorted((RECORDED / "public-cases" / "gates").glob("*/run.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_a_gate_does_not_pass_in_silence(script: Path, tmp_path: Path) -> None:
    program = tmp_path / "llmsched"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m llmsched "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "LLMSCHED": str(program), "PYTHON": sys.executable}
    environment.pop("GITHUB_STEP_SUMMARY", None)
    done = subprocess.run(["bash", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_eight_are_there() -> None:
    assert len(SCRIPTS) == 8
