"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("LLMSCHED_HYPOTHESIS", "default"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real traces and recorded schedules, which an outsider does not have."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the recorded data in {SHARED}, which is not there")
    return SHARED
