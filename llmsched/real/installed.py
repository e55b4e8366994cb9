"""The installed vLLM, if there is one."""

from __future__ import annotations

import importlib
import importlib.util
import os
from importlib.metadata import version
from typing import Any

from llmsched.errors import InputError

CHECKED = ("0.33.0",)
"""Versions whose scheduler `make verify-vllm` has compared with this engine, newest first."""

NEEDS = f"needs vLLM: pip install vllm (checked with {', '.join(CHECKED)})"


def is_installed() -> bool:
    """Whether there is a vLLM; it is not imported."""
    return importlib.util.find_spec("vllm") is not None


def installed_version() -> str:
    """Return the version of the installed vLLM.

    Raises
    ------
    InputError
        There is none.
    """
    if not is_installed():
        raise InputError(f"the real scheduler {NEEDS}")
    return version("vllm")


def load(module: str) -> Any:
    """Import a module of vLLM, which is quiet and asks nobody on the network.

    Raises
    ------
    InputError
        It is not installed, or not whole.
    """
    found = installed_version()
    for name, value in (("VLLM_LOGGING_LEVEL", "ERROR"), ("VLLM_NO_USAGE_STATS", "1")):
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module(f"vllm.{module}")
    except ImportError as error:
        raise InputError(f"vLLM {found} cannot be imported: {error}") from error
