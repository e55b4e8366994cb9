"""How many KV-cache blocks fit beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast


def kv_cache_tokens(
    model: Mapping[str, object], gpu: Mapping[str, object], engine: Mapping[str, object]
) -> int | None:
    """Return the tokens that the KV cache of all ranks holds, or None where a fact is missing.

    The formula is vLLM's accounting: a share of each device's memory, less its part of the weights
    and an overhead (activations, CUDA graphs), divided by the bytes a token keeps on each rank.
    """
    total = gpu.get("total_memory_bytes", _times(gpu.get("memory_gib"), 2**30))
    facts = (
        total,
        engine.get("gpu_memory_utilization"),
        model.get("weight_bytes"),
        model.get("kv_bytes_per_token"),
    )
    if any(fact is None for fact in facts):
        return None
    memory, share, weights, per_token = (cast(float, fact) for fact in facts)
    ranks = cast(int, engine.get("tensor_parallel_size") or 1)
    overhead = cast(int, engine.get("memory_overhead_bytes") or 0)
    free = share * memory - weights / ranks - overhead
    return max(0, int(free * ranks // per_token))


def _times(value: object, factor: int) -> float | None:
    return None if value is None else cast(float, value) * factor
