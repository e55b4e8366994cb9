"""Whether extension modules lie beside the sources of this folder, and were made from them.

`hatch_build.py` leaves a stamp beside what it compiled: the checksums of the sources. They, not
times of files, say whether a source was edited since: installing, copying and checking out files
changes their times and nothing else.
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
    """Return a line for each source of the compiled modules."""
    sources = sorted([*folder.glob("*.pxd"), *(folder / f"{name}.py" for name in modules(folder))])
    return "".join(f"{path.name} {zlib.crc32(path.read_bytes()):08x}\n" for path in sources)


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
    """Return why the extension modules must not run, where there are any; empty if they may."""
    then = (folder / STAMP).read_text(encoding="utf-8").splitlines()
    now = checksums(folder).splitlines()
    edited = sorted({line.split()[0] for line in set(then) ^ set(now)})
    if edited:
        return f"edited source beside a stale extension module: {', '.join(edited)}"
    names = (*modules(folder), SHARED)
    missing = [name for name in names if not (folder / f"{name}{SUFFIX}").exists()]
    return f"extension module missing: {', '.join(missing)}" if missing else ""
