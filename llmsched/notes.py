"""Remarks on stderr, which no result depends on."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def say(text: str) -> None:
    """Print a line on stderr; where its reader has left, the work goes on and its exit code counts.

    An error here would end a run as a broken pipe of stdout does: with 0, before any gate. What is
    still buffered would fail once more at the program's end, and change its exit code.
    """
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
