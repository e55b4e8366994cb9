"""Whether extension modules lie beside the sources of this folder, made from them and undamaged.

`hatch_build.py` leaves a stamp beside what it compiled: size and checksum of each source and each
extension module. They, not times of files, say whether one has changed since: installing, copying
and checking out files changes their times and nothing else. Whoever strips or relinks extension
modules for a package of their own writes its stamp anew, with `checksums`.
"""

from __future__ import annotations

import zlib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

SUFFIX = EXTENSION_SUFFIXES[0]
"""Of the extension modules of this Python; those of another lie beside them undisturbed."""

STAMP = f"built{SUFFIX}.txt"

SHARED = "_shared"
"""The extension module of what Cython generates for all others."""


def modules(folder: Path) -> list[str]:
    """Return the names of the modules that are compiled: those with a ``.pxd``."""
    return sorted(path.stem for path in folder.glob("*.pxd") if path.with_suffix(".py").exists())


def checksums(folder: Path) -> str:
    """Return a line for each source of the compiled modules, and each extension module."""
    paths = sorted([*folder.glob("*.pxd"), *(folder / f"{name}.py" for name in modules(folder))])
    paths += (path for path in _extensions(folder) if path.exists())
    return "".join(f"{path.name} {_checksum(path)}\n" for path in paths)


def _extensions(folder: Path) -> list[Path]:
    return [folder / f"{name}{SUFFIX}" for name in (*modules(folder), SHARED)]


def _checksum(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        return "cannot be read"
    return f"{len(content)} {zlib.crc32(content):08x}"


def absent(folder: Path) -> str:
    """Return why nothing was compiled for this Python; empty if something was."""
    stamp = folder / STAMP
    if not stamp.exists():
        return "no extension for this Python"
    try:
        said = stamp.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return f"{STAMP} cannot be read"
    return "" if "\n" in said else said


def stale(folder: Path) -> str:
    """Return why the extension modules must not run, where there are any; empty if they may.

    A damaged one is not imported to find out: that may end the process.
    """
    then = (folder / STAMP).read_text(encoding="utf-8").splitlines()
    changed = {line.partition(" ")[0] for line in set(then) ^ set(checksums(folder).splitlines())}
    extensions = _extensions(folder)
    edited = sorted(changed - {path.name for path in extensions})
    if edited:
        return f"edited source beside a stale extension module: {', '.join(edited)}"
    for what, paths in (
        ("missing", [path for path in extensions if not path.exists()]),
        ("damaged", [path for path in extensions if path.name in changed]),
    ):
        if paths:
            names = (path.name.removesuffix(SUFFIX) for path in paths)
            return f"extension module {what}: {', '.join(names)}"
    return ""
