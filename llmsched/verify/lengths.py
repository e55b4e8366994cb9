"""Whom an engine never takes, and where answers end: worked out from the trace and the knobs.

It is said once more what `llmsched.engine.limits` says, by other means, so that a slip of either
is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.trace import Trace

TAKEN, TOO_LONG, NEVER_FITS = range(3)
WHY = ("", "its prompt and limit are beyond max_model_len", "it can never fit into the KV cache")


def answers(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the output tokens that each request gets if it is completed, shape (n,)."""
    most = _said(trace, config)
    ends = np.where(most > 0, np.minimum(trace.output_tokens, most), trace.output_tokens)
    if config.max_model_len is not None:
        ends = np.minimum(ends, config.max_model_len - trace.input_tokens)
    return np.maximum(ends, 1)


def never_taken(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return for each request `TAKEN`, or why no engine with these knobs takes it."""
    verdict = np.full(len(trace), TAKEN)
    verdict[_blocks(trace, _set_aside(trace, config), config) > _room(config)] = NEVER_FITS
    if config.max_model_len is not None:
        declared = _declared(trace)
        # a prompt leaves room for one token at least, a declared limit for all of its own
        verdict[trace.input_tokens + np.maximum(declared, 1) > config.max_model_len] = TOO_LONG
    return verdict


def reserved(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the blocks that ``reserve=max_output`` sets aside for each request, shape (n,).

    For who said nothing that is the greatest output of the trace, as far as it fits.
    """
    assumed = np.full(len(trace), trace.longest_output)
    if config.max_model_len is not None:
        assumed = np.minimum(assumed, config.max_model_len - trace.input_tokens)
    told = _set_aside(trace, config)
    own = _blocks(trace, told, config)
    silent = np.minimum(_blocks(trace, assumed, config), _room(config))
    return np.where(_said(trace, config) > 0, own, np.maximum(own, silent)).astype(np.int64)


def _declared(trace: Trace) -> NDArray[np.int64]:
    """The limits that clients declare; 0 where they do not."""
    return np.zeros(len(trace), int) if trace.max_output_tokens is None else trace.max_output_tokens


def _said(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """The output limits that a client or the operator set; 0 where nobody did."""
    declared = _declared(trace)
    return np.where(declared > 0, declared, config.max_output_tokens or 0)


def _set_aside(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """The output tokens that a request needs blocks for: its answer's, or its limit's."""
    need = answers(trace, config)
    if config.reserve != "max_output":
        return need
    limit = _said(trace, config)
    if config.max_model_len is not None:
        limit = np.minimum(limit, config.max_model_len - trace.input_tokens)
    return np.maximum(need, limit)


def _blocks(trace: Trace, output: NDArray[np.int64], config: EngineConfig) -> NDArray[np.int64]:
    """Blocks of prompt and output; the last token is never computed."""
    return np.ceil((trace.input_tokens + output - 1) / config.block_size).astype(np.int64)


def _room(config: EngineConfig) -> float:
    """Blocks that one request may have to itself."""
    return np.inf if config.usable_blocks is None else config.usable_blocks
