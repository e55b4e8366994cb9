"""Code that is not ours, a policy's or an importer's: where it failed and why, in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from traceback import walk_tb
from types import FrameType

_OURS = {
    __name__.partition(".")[0],
    *("numpy", "scipy", "ortools", "highspy"),
    *sys.stdlib_module_names,
}
"""Modules in which an error begins that is not a policy's: this package, and what it calls."""


class _OnStderr(io.TextIOBase):
    """What stands for stdout: it prints on stderr, and closing it closes nothing."""

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        pass


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Run foreign code whose prints go to stderr: stdout is kept for the result.

    Raises
    ------
    RuntimeError
        It has closed the real one.
    """
    sound = not sys.stdout.closed
    with redirect_stdout(_OnStderr()):
        yield
    if sound and sys.stdout.closed:
        raise RuntimeError("stdout: it was closed")


def foreign_line(error: BaseException) -> str | None:
    """Return FILE:LINE of the foreign code in which an error was raised; None if none took part.

    The file is the first one, from the outermost call inwards, that is neither this package's nor a
    library's; the line is the innermost of that file.
    """
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = list(walk_tb(error.__traceback__))
    files = [frame.f_code.co_filename for frame, _ in frames if _root(frame) not in _OURS]
    files = [file for file in files if not file.startswith("<")]  # a dataclass's own __init__
    if not files:
        return None
    line = [line for frame, line in frames if frame.f_code.co_filename == files[0]][-1]
    return f"{Path(files[0]).name}:{line}"


def told(place: str, error: BaseException) -> str:
    """Return an error as one line: its place, the foreign line if one took part, the reason."""
    parts = (place, foreign_line(error), reason(error))
    return ": ".join(part for part in parts if part is not None)


def reason(error: BaseException) -> str:
    """Return an error's type and message as one line."""
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:  # its own words fail, in whatever way
        text = ""
    return " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
