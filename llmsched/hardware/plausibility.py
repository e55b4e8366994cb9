"""Unit mistakes: a profile that loads, but that no machine could have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from llmsched.hardware.capacity import kv_cache_tokens
from llmsched.hardware.profile import HardwareProfile
from llmsched.hardware.step_time import StepTime

_FASTEST, _SLOWEST = 0.5e-3, 1.0
"""Seconds of a decode round of one sequence, from a small model to a large one on few devices."""

_CONTEXT = 1000
_PROMPT = 2048


def implausible(profile: HardwareProfile) -> list[str]:
    """Return one line for each number that looks like a mistake of units; none is an error."""
    return [f"{profile.name}: {line}" for line in _findings(profile)]


def _findings(profile: HardwareProfile) -> Iterator[str]:
    yield from _by_magnitude(profile.step_time)
    yield from _by_datasheet(profile)
    yield from _by_memory(profile)


def _by_magnitude(step_time: StepTime) -> Iterator[str]:
    one = step_time.step(0, 0, 0, 1, 1)
    shown = f"a decode round of one sequence takes {1e3 * one:.3g} ms"
    if one < _FASTEST:
        yield f"{shown}; prices are in ms: were they given in seconds?"
    elif one > _SLOWEST:
        yield f"{shown}; prices are in ms: were they given in microseconds?"
    if _CONTEXT * step_time.per_kv_token_decode > one:
        yield (
            f"per_kv_token_decode: reading {_CONTEXT} tokens of context costs more than a whole "
            "round; is it the price of a sequence, or of 1,000 tokens?"
        )
    prompt = step_time.base(_PROMPT, 0)
    setup = step_time.base(1, 0)
    if prompt - setup > 20 * _SLOWEST:
        yield f"a prefill of {_PROMPT} tokens takes {prompt:.3g} s; is a price that of 1,000?"
    if prompt < step_time.base(0, 1) / 2:
        yield f"a prefill of {_PROMPT} tokens costs less than half a decode round of one sequence"
    squared = step_time.per_prefill_token_sq * _PROMPT**2
    if squared > 10 * prompt:
        yield (
            "per_prefill_token_sq: attention costs over ten times the rest of a prefill of "
            f"{_PROMPT} tokens; is it the price of a token instead of a token squared?"
        )


def _by_datasheet(profile: HardwareProfile) -> Iterator[str]:
    weights = cast("int | None", profile.model.get("weight_bytes"))
    bandwidth = cast("float | None", profile.gpu.get("hbm_bandwidth"))
    ranks = cast(int, profile.gpu.get("count", 1))
    if weights is None or bandwidth is None:
        return
    one = profile.step_time.base(0, 1)
    read = weights / ranks / bandwidth
    if one < 0.7 * read:
        yield (
            f"a decode round takes {1e3 * one:.3g} ms, but reading the weights from memory alone "
            f"takes {1e3 * read:.3g} ms"
        )
    elif one > 50 * read:
        yield (
            f"a decode round takes {1e3 * one:.3g} ms, over fifty times what reading the weights "
            f"takes ({1e3 * read:.3g} ms)"
        )


def _by_memory(profile: HardwareProfile) -> Iterator[str]:
    engine = profile.document.get("engine")
    blocks = profile.engine.num_gpu_blocks
    if blocks is None or not isinstance(engine, dict):
        return
    tokens = kv_cache_tokens(profile.model, profile.gpu, engine)
    if tokens is not None and abs(blocks * profile.engine.block_size - tokens) > 0.02 * tokens:
        yield (
            f"num_gpu_blocks: {blocks} blocks, but {tokens // profile.engine.block_size} fit by "
            "the sizes of weights, KV cache and memory (auto computes them)"
        )
