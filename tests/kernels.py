"""Both kernels in one process: the sources of ``llmsched/kernel``, and what was compiled of them.

A test that is parametrized by ``mode`` over `MODES` runs both: ``module("engine", mode).run(...)``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

import pytest

import llmsched
from llmsched import kernel

Mode = Literal["python", "compiled"]
MODES: tuple[Mode, ...] = get_args(Mode)
ROOMS = ("kernel", "engine")
"""What is loaded once for each kernel; all other rooms are shared, so that inputs can be."""

FOLDER = Path(kernel.__file__).parent

THIS: Mode = "python" if kernel.WHY_PYTHON else "compiled"
"""What `import` gives in this process."""


def module(name: str, mode: Mode) -> ModuleType:
    """Return a module of `ROOMS`, such as ``kernel.blocks``, that is or calls this kernel.

    The test is skipped where nothing was compiled.
    """
    full = f"llmsched.{name}"
    if mode == THIS:
        return import_module(full)
    modules = _other()
    if mode == "compiled" and (why := modules["llmsched.kernel"].WHY_PYTHON):
        pytest.skip(f"nothing compiled: {why}")
    return modules[full]


@cache
def _other() -> Mapping[str, ModuleType]:
    """Import the rooms a second time, for the kernel that `import` does not give."""
    root = Path(llmsched.__file__).parent
    names = [
        _dotted(path.relative_to(root)) for room in ROOMS for path in root.glob(f"{room}/*.py")
    ]
    own = {name: import_module(name) for name in names}
    with pytest.MonkeyPatch.context() as patch:
        for name in own:
            patch.delitem(sys.modules, name)
        for room in ROOMS:
            patch.delattr(llmsched, room)
        patch.delitem(sys.path_importer_cache, str(FOLDER))
        patch.setenv("LLMSCHED_KERNEL", "python" if THIS == "compiled" else "")
        return {name: import_module(name) for name in own}


def _dotted(path: Path) -> str:
    return ".".join(("llmsched", *path.with_suffix("").parts)).removesuffix(".__init__")
