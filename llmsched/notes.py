"""Remarks on stderr, which no result depends on."""

from __future__ import annotations

import sys
from contextlib import suppress


def say(text: str) -> None:
    """Print a line on stderr; where its reader has left, the work goes on and its exit code counts.

    An error here would end a run as a broken pipe of stdout does: with 0, before any gate.
    """
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)
