"""Files: the shipped inputs, wherever installed, and output that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from llmsched.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str, name: str = "") -> Path:
    """Return the path of a shipped file: `folder` is "traces" or "scenarios".

    A wheel carries both folders inside the package; a checkout has them beside it.
    """
    inside = _PACKAGE / folder
    return (inside if inside.is_dir() else _PACKAGE.parent / folder) / name


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write `content` to `path` by way of a temporary file in the same folder, then rename it.

    Raises
    ------
    InputError
        The file cannot be written there.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a device or a pipe: /dev/null, /dev/stdout
            return
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot write: {error.strerror}") from error
