"""What the public cases share: their folder, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import llmsched as llmsched


@pytest.fixture
def cases(recorded: Path) -> Path:
    """The folder of inputs rebuilt from public files and reports."""
    return recorded / "public-cases"
