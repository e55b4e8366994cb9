"""Remarks on stderr, which no result depends on."""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from typing import TextIO

_OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    r"\ufffe\uffff\ud800-\udfff]"
)


def say(text: str) -> None:
    """Print a line on stderr; where its reader has left, the work goes on and its exit code counts.

    An error here would end a run as a broken pipe of stdout does: with 0, before any gate.
    """
    _print(printable(text))


def warn(text: str) -> None:
    """Print a line on stderr after the word ``warning:``, which a terminal shows in colour."""
    word = "warning:"
    if shows_color(sys.stderr):
        from rich.style import Style

        word = Style(color="yellow").render(word)
    _print(f"{word} {printable(text)}")


def printable(text: str) -> str:
    """Return a text with codes for what a terminal would obey instead of showing it, or XML refuse.

    Control characters but tabs and line ends, separators of lines, marks that turn the direction of
    writing, and what is no character at all.
    """
    return _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def _print(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def is_terminal(stream: TextIO) -> bool:
    """Whether somebody watches a stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def shows_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal with colours; a pipe never is, whatever the environment."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def discard(stream: TextIO) -> None:
    """Send a stream nowhere: its reader has left, the exit code still counts.

    What is still buffered would fail once more at the program's end, and change its exit code.
    """
    with suppress(OSError, ValueError, AttributeError):  # it is none of the system's
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
