"""What a server sets by default: slots and token budget by the memory of its GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from llmsched.errors import InputError

_GIB = 2**30
_LARGE = 70 * _GIB

PRESETS = ("vllm-0.33",)
"""Servers whose defaults are known: vLLM 0.33.0's `vllm serve`, by its `EngineArgs`."""


def preset(name: str | None, gpu: Mapping[str, object]) -> dict[str, int]:
    """Return the knobs that a server sets on a GPU where nobody says otherwise; none without one.

    vLLM serves 256 sequences with 2,048 tokens a step, on devices of 70 GiB and more other than
    A100 1,024 with 8,192.

    Raises
    ------
    InputError
        Nobody knows the server, or the profile does not say how much memory the GPU has.
    """
    if name is None:
        return {}
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise InputError(f"engine_like: expected one of {known}; got {name!r}")
    memory = gpu.get("total_memory_bytes")
    if memory is None and "memory_gib" in gpu:
        memory = cast(float, gpu["memory_gib"]) * _GIB
    if memory is None:
        what = "a profile that says gpu.memory_gib, which decides what vLLM sets"
        raise InputError(f"engine_like: expected {what}")
    large = cast(float, memory) >= _LARGE and "a100" not in str(gpu.get("name", "")).lower()
    slots, budget = (1024, 8192) if large else (256, 2048)
    return {"max_num_seqs": slots, "max_num_batched_tokens": budget}
