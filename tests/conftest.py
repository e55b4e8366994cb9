"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("LLMSCHED_HYPOTHESIS", "default"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what ends in "&"
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests interrupt themselves and others

RECORDED = Path(__file__).parent / "recorded"
"""What others measured, recorded or reported; its README says where each file comes from."""


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recordings, measured runs, step tables, format samples and public cases."""
    return RECORDED
