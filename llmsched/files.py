"""Files: the shipped inputs, wherever installed, and output that is written whole or not at all.

A run says first what it will write (`claim`); every reader goes through `input_path`, which refuses
an input that the run would overwrite. So an output of an input's name ends the run before its work,
whatever leads to the input: an option, a scenario, a profile that extends another.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from llmsched.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str, name: str = "") -> Path:
    """Return the path of a shipped file: `folder` is "traces" or "scenarios".

    A wheel carries both folders inside the package; a checkout has them beside it.
    """
    inside = _PACKAGE / folder
    return (inside if inside.is_dir() else _PACKAGE.parent / folder) / name


_Identity = tuple[int, int] | str
_claimed: dict[_Identity, str] = {}
"""The files that this run writes, each with what the command line calls it."""
_read: set[_Identity] = set()
"""The files that this run has read."""


def claim(outputs: Iterable[tuple[str, str | Path | None]], makes: Path | None = None) -> None:
    """Say which files this run writes; what an earlier run in this process claimed is let go.

    Parameters
    ----------
    outputs : iterable of (str, path)
        The option that names it, and the path; None is left out, and so is - (stdout) where an
        argument takes it. Devices and pipes may be read and written as often as one likes.
    makes : Path, optional
        A folder that the run makes itself.

    Raises
    ------
    InputError
        Two outputs are one file, or a folder is in the way or not there.
    """
    release()
    for option, path in outputs:
        if path is None:
            continue
        if str(path) == "-":
            if option.startswith("--"):  # what an option would write there is printed without it
                raise InputError(f"{option}: expected a file, got -, which is stdout without it")
            continue
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: cannot write: Is a directory")
        if not (parent := Path(path).parent).is_dir() and parent != makes:
            raise InputError(f"{path}: cannot write: No such file or directory")
        if mode and not stat.S_ISREG(mode):
            continue
        identity = _identity(path) or os.path.realpath(path)
        if identity in _claimed:
            what = f"another file than {_claimed[identity]}"
            raise InputError(f"{option}: expected {what}, got {path}")
        _claimed[identity] = f"{option} {path}"
    if (stdout := _identity(1)) is not None:
        if stdout in _claimed:
            raise InputError(f"{_claimed[stdout]}: expected another file than stdout")
        _claimed[stdout] = "stdout"


def _mode(path: str | Path) -> int:
    """Return what kind of file an output is already; 0 if there is none yet.

    Raises
    ------
    InputError
        There can be none of this name: it is too long, or holds what no name does.
    """
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except (OSError, ValueError) as error:
        problem = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot write: {problem}") from error


def release() -> None:
    """Let go of what `claim` claimed, and of what was read."""
    _claimed.clear()
    _read.clear()


def is_in_use(path: str | Path) -> bool:
    """Whether this run has read a file, or says that it writes it."""
    identity = _identity(path) or os.path.realpath(path)
    return identity in _read or identity in _claimed


def input_path(path: str | Path) -> Path:
    """Return the path of an input (- is stdin), for the one that opens it.

    Raises
    ------
    InputError
        This run writes that file: under this name, another spelling of it, or another link.
    """
    identity = _identity(0 if str(path) == "-" else path)
    if identity is not None and identity in _claimed:
        name = "<stdin>" if str(path) == "-" else path
        raise InputError(f"{_claimed[identity]}: expected a file that is no input, got {name}")
    if identity is not None:
        _read.add(identity)
    return Path(path)


def _identity(path: str | Path | int) -> _Identity | None:
    """Return what all names of a file share; None if it is no regular file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def plain(name: str) -> str:
    """Return a file's name as text that every result can hold.

    Bytes that a terminal of another encoding handed on are UTF-8 again (Python carries them as half
    surrogate pairs); what is none is spelled out.
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # halves that stand for no byte
        return encoded(name).decode()


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file whole or not at all; see `write_together`."""
    write_together({path: content})


def write_together(contents: Mapping[str | Path, str | bytes]) -> None:
    """Write several files, each whole, and none if one of them cannot be written.

    Every content first goes to a temporary file beside its target; then all are renamed. Text is
    UTF-8. A link stays one: what it leads to is written. A target that is a device or a pipe is
    written to directly, last.

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
            data = encoded(content) if isinstance(content, str) else content
            if target.exists() and not target.is_file():
                streams.append((target, data))
            else:
                final = Path(os.path.realpath(target))
                staged.append((_stage(final, data), final))
        for temporary, target in staged:
            temporary.replace(target)
        for target, data in streams:
            target.write_bytes(data)
    except OSError as error:
        raise InputError(f"{target}: cannot write: {error.strerror}") from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)


def encoded(text: str) -> bytes:
    """Return text as UTF-8, with what no UTF-8 holds (half surrogate pairs) spelled out."""
    return text.encode("utf-8", "backslashreplace")


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
