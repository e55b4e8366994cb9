"""Where text goes: stdout, or files that are written whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from llmsched.cli.streams import write_document
from llmsched.errors import InputError
from llmsched.notes import discard


def emit(text: str, output: Path | None = None, *, document: bool = False) -> None:
    """Print a result, or write it whole to `output`.

    A `document` is for a program: UTF-8 wherever it goes. Other text is for a reader, and shows
    what the terminal can show.

    Raises
    ------
    InputError
        The file or stdout cannot be written.
    """
    from llmsched.files import write_whole

    text = text if text.endswith("\n") else text + "\n"
    if output is not None:
        write_whole(output, text)
        return
    try:
        if document:
            write_document(text)
        else:
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError as error:  # a full disk behind a redirection
        discard(sys.stdout)
        raise InputError(f"stdout: cannot write: {error.strerror}") from error


def write_files(files: list[tuple[Path | None, Callable[[], str]]]) -> None:
    """Write the files that were asked for: all of them, or none if one cannot be written.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    from llmsched.files import write_together

    write_together({path: text() for path, text in files if path is not None})
