"""What the engine spends its time in: one source a module, compiled where that is possible.

Each compiled module has a short ``.pxd`` with its C types beside it; `hatch_build.py` makes an
extension module of both when llmsched is installed, which Python then prefers to the ``.py``. The
sources run where there is none, where ``LLMSCHED_KERNEL=python`` asks for them, and where one was
edited, or an extension module damaged, since it was compiled. Results are the same bytes.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

from llmsched.kernel import built
from llmsched.notes import warn

SLOWER = "20x"
"""What replays lose without the extension modules; `make bench` measures it."""


def _choose() -> str:
    """Let this folder be imported from its sources if it must be, and return why."""
    folder = Path(__file__).parent
    asked = os.environ.get("LLMSCHED_KERNEL", "")
    if asked not in ("", "python", "compiled"):
        warn(f"LLMSCHED_KERNEL: expected python or compiled, got {asked!r}: as if not set")
    why = "LLMSCHED_KERNEL=python" if asked == "python" else built.absent(folder)
    if not why and (why := built.stale(folder)):
        warn(f"{folder}: {why}; the sources run, {SLOWER} slower: `make kernel` compiles them")
        os.environ["LLMSCHED_KERNEL"] = "python"  # worker processes: the same kernel, no warning
    if why:
        loaders = (SourceFileLoader, SOURCE_SUFFIXES)
        sys.path_importer_cache[str(folder)] = FileFinder(str(folder), loaders)
    return why


WHY_PYTHON = _choose()
"""Why the sources run; empty where the extension modules do."""


def which() -> str:
    """Say in one line which kernel runs."""
    return f"engine: Python, {SLOWER} slower: {WHY_PYTHON}" if WHY_PYTHON else "engine: compiled"
