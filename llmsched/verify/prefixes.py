"""The law of the prefix cache: who finds how many tokens in it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched.verify.replay import Replay, counted, named, row_name, wrong
from llmsched.verify.tables import COMPLETED


def prefix_cache(replay: Replay) -> Iterator[str]:
    """Prompts find whole blocks that another request has, as they are admitted, and only those.

    After a preemption it may be others' blocks, or its own, in part of which it had computed.
    """
    s, r = replay.steps, replay.admitted
    if replay.reuse is None:
        yield from wrong(r.cached_tokens > 0, named(r), "found tokens, and nothing is cached")
        return
    size, once = replay.config.block_size, r.preemptions == 0
    most = replay.reuse.most[np.isfinite(replay.requests.admitted_s)]
    bad = once & ((r.cached_tokens > most) | (r.cached_tokens % size > 0))
    yield from wrong(
        bad,
        named(r),
        lambda i: f"found {r.cached_tokens[i]} tokens of at most {most[i]}, in blocks of {size}",
    )
    row = np.maximum(counted(s.start_s, r.admitted_s) - 1, 0)
    least = np.bincount(row[once], r.cached_tokens[once], len(s.start_s)).astype(np.int64)
    bad = (s.cached_tokens < least) | (s.cached_tokens % size > 0)
    if not replay.preempted:
        bad |= s.cached_tokens > least
    yield from wrong(
        bad, row_name, lambda i: f"{s.cached_tokens[i]} tokens found, its requests {least[i]}"
    )
    if (replay.requests.status == COMPLETED).all():
        needed = int((replay.trace.input_tokens - replay.reuse.later).sum())
        done = int(s.prefill_tokens.sum())
        done += int((s.decode_seqs * s.rounds).sum()) - int((r.emitted_tokens - 1).sum())
        if done < needed:
            yield f"{done} prompt tokens computed, {needed} are in nobody else's prompt before"
