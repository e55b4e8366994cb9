"""Inputs that cannot be simulated, found before the first step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.engine.config import EngineConfig
from llmsched.errors import InputError
from llmsched.trace import Trace, token_counts

if TYPE_CHECKING:
    from llmsched.hardware import HardwareProfile
    from llmsched.policies import Policy


def admissible_blocks(config: EngineConfig) -> int | None:
    """Return the KV blocks that one request may have to itself; None means no limit."""
    usable = config.usable_blocks
    return None if usable is None else usable - int(config.watermark * usable)


def that_fit(
    predicted: NDArray[np.int64], input_tokens: NDArray[np.int64], config: EngineConfig
) -> NDArray[np.int64]:
    """Return predicted output lengths of at most what fits into the KV cache beside the prompt.

    A prediction may exceed that, but no request does: it would not be admitted to a replay.
    """
    blocks = admissible_blocks(config)
    if blocks is None:
        return predicted
    return np.maximum(1, np.minimum(predicted, blocks * config.block_size + 1 - input_tokens))


def check_lengths(trace: Trace, predicted: ArrayLike) -> NDArray[np.int64]:
    """Return predicted output lengths as integers, one a request.

    Raises
    ------
    InputError
        Another number of them, or one that is not a whole number in 1..2**30.
    """
    lengths = token_counts("predicted", "output length", predicted)
    if lengths.shape != (len(trace),):
        expected = f"one for each of {len(trace)} requests"
        raise InputError(f"predicted: expected {expected}, got shape {lengths.shape}")
    return lengths


def check_limits(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    concurrency: int | None = None,
) -> None:
    """Refuse a replay that could not end, or whose steps have no price.

    Raises
    ------
    InputError
        The policy needs mixed steps and the profile cannot price them, a decode round of all slots
        would exceed the token budget, or a request never fits into the KV cache.
    """
    if policy.rule.mixed and not hardware.step_time.mixed:
        raise InputError(
            f"policy {policy.name}: needs mixed steps, which profile {hardware.name} cannot price"
            f"{hardware.way_out}"
        )
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise InputError(f"concurrency: expected an integer >= 1, got {concurrency!r}")
    budget = config.max_num_batched_tokens
    if budget is not None and budget < config.max_num_seqs:
        raise InputError(
            f"max_num_batched_tokens: expected at least max_num_seqs = {config.max_num_seqs}, so "
            f"that every running sequence can decode, got {budget}"
        )
    usable = admissible_blocks(config)
    if usable is None:
        return
    tokens = trace.input_tokens + trace.output_tokens - 1  # the last token is never computed
    if tokens.max() > usable * config.block_size:
        row = int((tokens > usable * config.block_size).argmax())
        blocks = -(-int(tokens[row]) // config.block_size)
        raise InputError(
            f"{trace.name}: request {trace.id[row]!r} can never fit: {trace.input_tokens[row]} + "
            f"{trace.output_tokens[row]} tokens need {blocks} KV blocks of {config.block_size}, "
            f"and {usable} can be used{hardware.way_out}"
        )
