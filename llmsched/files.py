"""Files: the shipped inputs, wherever installed, and output that is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
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
    """Write a file whole or not at all; see `write_together`."""
    write_together({path: content})


def write_together(contents: Mapping[str | Path, str | bytes]) -> None:
    """Write several files, each whole, and none if one of them cannot be written.

    Every content first goes to a temporary file beside its target; then all are renamed. A target
    that is a device or a pipe is written to directly, last.

    Raises
    ------
    InputError
        A file cannot be written there; the message names it.
    """
    staged: list[tuple[Path, Path]] = []
    streams: list[tuple[Path, bytes]] = []
    target = Path()
    try:
        for path, content in contents.items():
            target = Path(path)
            data = content.encode() if isinstance(content, str) else content
            if target.exists() and not target.is_file():
                streams.append((target, data))
            else:
                staged.append((_stage(target, data), target))
        for temporary, target in staged:
            temporary.replace(target)
        for target, data in streams:
            target.write_bytes(data)
    except OSError as error:
        raise InputError(f"{target}: cannot write: {error.strerror}") from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def _stage(target: Path, data: bytes) -> Path:
    """Write `data` to a new temporary file in the target's folder, with the usual permissions."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
