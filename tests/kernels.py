"""Both kernels in one test run: this process has one, a child process the other."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

from llmsched import kernel

Mode = Literal["python", "compiled"]

FOLDER = Path(kernel.__file__).parent

THIS: Mode = "python" if kernel.WHY_PYTHON else "compiled"
"""What `import` gives in this process."""


def in_the_other(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function of a module comes to where the other kernel is imported.

    The test is skipped where nothing was compiled.
    """
    pool = _other()
    why = pool.submit(_why_python).result()
    if THIS == "python" and why:
        pytest.skip(f"nothing compiled: {why}")
    return pool.submit(function, *arguments).result()


@cache
def _other() -> ProcessPoolExecutor:
    """Start a process that imports the other kernel, once."""
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LLMSCHED_KERNEL", "python" if THIS == "compiled" else "")
        pool.submit(_why_python).result()  # it starts with this environment
    return pool


def _why_python() -> str:
    return kernel.WHY_PYTHON
