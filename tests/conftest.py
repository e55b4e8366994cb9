"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import Phase, settings

settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=5_000)
settings.register_profile(  # a mutant is killed by any failure: none is made small, few are tried
    "mutants",
    deadline=None,
    derandomize=True,
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("LLMSCHED_HYPOTHESIS", "default"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what ends in "&"
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # tests interrupt themselves and others

# Processes that tests start share the bytecode of this package: without it each compiles all of it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

RECORDED = Path(__file__).parent / "recorded"
"""What others measured, recorded or reported; its README says where each file comes from."""


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recordings, measured runs, step tables, format samples and public cases."""
    return RECORDED
