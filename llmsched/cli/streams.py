"""The standard streams, whatever they are: closed, or unable to show every character."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TypedDict

from llmsched.notes import shows_color

_MARKS = str.maketrans("✓✗Δ–—−…·×→█▁▂▃▄▅▆▇", "vxD---:.x>#.:-=+*%")
"""What stands for a mark on a terminal without it: one character for one, so columns hold."""

_LEAST_WIDTH = 40
_DEGRADE = "llmsched.degrade"


def prepare() -> None:
    """Open what is closed, and let no stream fail over a character that it cannot show."""
    _open_closed()
    codecs.register_error(_DEGRADE, _degraded)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_DEGRADE)


def _open_closed() -> None:
    """Open the null device in place of each closed stream.

    Otherwise the next file to be opened, a result perhaps, would get the number of a stream, and
    with it whatever a library or a worker process prints there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the least number that is free: this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 (open to the end)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class Terminal(TypedDict):
    """How a page is laid out: its width, and whether it has colours."""

    width: int
    color: bool


def terminal(output: Path | None = None) -> Terminal:
    """Return how a page is laid out for stdout, or for a file that it goes to instead.

    A pipe or a file has 80 columns, unless ``COLUMNS`` says otherwise, and no colours.
    """
    width = max(_LEAST_WIDTH, shutil.get_terminal_size((80, 24)).columns)
    if output is not None:
        return {"width": 80, "color": False}
    return {"width": width, "color": shows_color(sys.stdout)}


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """Return marks as ASCII and any other character as JSON would spell it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_MARKS)
    return json.dumps(text, ensure_ascii=True)[1:-1], error.end


def write_document(text: str) -> None:
    """Write a result that a program reads to stdout: in UTF-8, whatever a terminal would show."""
    from llmsched.files import encoded

    sys.stdout.flush()
    if (raw := getattr(sys.stdout, "buffer", None)) is None:
        sys.stdout.write(text)
    else:
        raw.write(encoded(text))
