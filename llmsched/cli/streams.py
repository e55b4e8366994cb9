"""The standard streams, whatever they are: closed, or unable to show every character."""

from __future__ import annotations

import codecs
import json
import os
import sys

_MARKS = str.maketrans("✓✗Δ–—−…·×→█▁▂▃▄▅▆▇", "vxD---:.x>#.:-=+*%")
"""What stands for a mark on a terminal without it: one character for one, so columns hold."""

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
