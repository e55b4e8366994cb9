"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real traces and recorded schedules, which an outsider does not have."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the recorded data in {SHARED}, which is not there")
    return SHARED
