"""Laws of the KV cache: who holds a slot fits into its blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from llmsched.verify.lengths import reserved
from llmsched.verify.replay import Replay, counted, named, row_name, slack, summed, wrong


def kv_capacity(replay: Replay) -> Iterator[str]:
    """Sequences that were never preempted alone fit into the blocks; without limit none was."""
    s, r, blocks = replay.steps, replay.requests, replay.config.usable_blocks
    if blocks is None:
        bad = r.preemptions > 0
        yield from wrong(bad, named(r), "preempted, but KV is not limited")
        return
    size = replay.config.block_size
    tokens = s.kv_tokens + s.decode_seqs * s.rounds + s.prefill_tokens
    room = blocks * size
    crowded = (tokens > room) & (replay.reuse is None)  # else sequences share blocks
    yield from wrong(crowded, row_name, lambda i: f"{tokens[i]} tokens held in {room}")
    held = _blocks_held(replay, size)
    yield from wrong(held > blocks, row_name, lambda i: f"{held[i]} blocks held of {blocks}")


def reserved_blocks(replay: Replay) -> Iterator[str]:
    """Where admission sets aside the whole output, all who hold a slot fit with their limits."""
    s, r, blocks = replay.steps, replay.admitted, replay.config.usable_blocks
    if blocks is None or replay.config.reserve != "max_output":
        return
    yield from wrong(r.preemptions > 0, named(r), "preempted, but its blocks are reserved")
    every = np.maximum(0, reserved(replay.trace, replay.config) - replay.shared_blocks)
    each = every[np.isfinite(replay.requests.admitted_s)]
    held = summed(r.admitted_s, each, s.start_s) - summed(r.finish_s, each, s.start_s)
    yield from wrong(held > blocks, row_name, lambda i: f"{held[i]} blocks reserved of {blocks}")


def _blocks_held(replay: Replay, size: int) -> NDArray[np.int64]:
    """Blocks at each row's end of the sequences with a first token that were never preempted.

    What others may share is left out.
    """
    s, r = replay.steps, replay.begun
    ours = np.flatnonzero(r.preemptions == 0)
    ours = ours[np.argsort(r.first_token_s[ours], kind="stable")]
    begun = counted(r.first_token_s[ours], s.end_s)
    base = r.input_tokens - replay.rounds_first
    gone = r.finish_s + slack(r.finish_s)
    shared = replay.shared_blocks[np.isfinite(replay.requests.first_token_s)]
    held = np.zeros(len(s.end_s), dtype=np.int64)
    active, taken = np.empty(0, dtype=np.int64), 0
    for row, (end, until) in enumerate(zip(s.end_s.tolist(), begun.tolist(), strict=True)):
        active = active[gone[active] >= end]
        if until > taken:
            active, taken = np.concatenate((active, ours[taken:until])), until
        each = -(-(base[active] + replay.rounds_before[row + 1]) // size) - shared[active]
        held[row] = np.maximum(0, each).sum()
    return held
