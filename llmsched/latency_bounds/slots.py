"""What slots add: decodes that were begun must be ended before others can begin.

It holds for schedules that preempt at most so many times. A request that has its first token and
not its last one is in a slot, or lost it by one of those preemptions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.latency_bounds.queue import completions_on_credit
from llmsched.latency_bounds.shares import Shares
from llmsched.spared import Spared
from llmsched.trace import Trace

Floats = NDArray[np.float64]


def credit(
    trace: Trace, config: EngineConfig, spared: Spared, decode: Floats, preemptions: int
) -> float:
    """Return the most decode work that requests with a first token can owe, in seconds.

    Those in slots hold at least their prompts in the KV cache, but for what others share: of them
    the best fractional fill.
    """
    largest = np.sort(decode)[::-1]
    slots = config.max_num_seqs
    owed = float(largest[: slots + preemptions].sum())
    if config.kv_room is None:
        return owed
    held = trace.input_tokens - spared.common
    for_nothing = held <= 0
    fill = float(decode[for_nothing].sum())
    held, decode = held[~for_nothing], decode[~for_nothing]
    dense = np.argsort(-decode / held, kind="stable")
    filled = np.append(0.0, np.cumsum(held[dense]))
    worth = np.append(0.0, np.cumsum(decode[dense]))
    fill += float(np.interp(config.kv_room, filled, worth))
    return min(owed, fill + float(largest[:preemptions].sum()))


def first_tokens_in_slots(
    trace: Trace,
    config: EngineConfig,
    spared: Spared,
    shares: Sequence[Shares],
    preemptions: int,
    looks: int,
) -> Floats:
    """Return when 1, 2, … requests have their first token at the earliest, in order.

    Whoever has one by t has had all its work up to then, but for what is owed: the credit.
    """
    best = np.zeros(len(trace))
    for each in shares:
        owed = credit(trace, config, spared, each.decode, preemptions)
        found = completions_on_credit(trace.arrival, each.whole, owed, looks)
        np.maximum(best, found + each.step, out=best)
    return best
