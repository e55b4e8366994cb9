"""Which issue mends a public case that is still wrong; whoever mends it removes the mark."""

from __future__ import annotations

import pytest

ISSUES = {
    21: "latency, goodput and who is served",
    22: "any file that people really have",
    26: "the planner closes what others prove",
}


def mended_by(issue: int) -> pytest.MarkDecorator:
    """Mark a case that fails today; when it passes, the mark must go."""
    return pytest.mark.xfail(strict=True, reason=f"issue {issue}: {ISSUES[issue]}")
