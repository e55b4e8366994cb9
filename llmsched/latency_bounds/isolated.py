"""What a request takes at least, whoever helps it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.latency_bounds.partition import least_partition
from llmsched.latency_bounds.steps import Steps
from llmsched.spared import Spared
from llmsched.trace import Trace

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Isolated:
    """Seconds at least from arrival to the first token, and from there to the last; shape (n,)."""

    first: Floats
    further: Floats

    @property
    def whole(self) -> Floats:
        """From arrival to the last token."""
        return self.first + self.further


def isolated(trace: Trace, steps: Steps, longest: int, spared: Spared) -> Isolated:
    """Return the least latencies of each request, with or without company.

    A step that holds a chunk, or a decode, lasts at least as long as the shortest step that does.
    Preemption may replace a decode by computing its context again, which yields a token too.
    """
    prefill = prompt_cost(steps, steps.with_chunk(), longest)
    context = np.arange(longest + 1)
    token = np.minimum(
        steps.rounds.min() + steps.kv_decode * context,
        steps.beside_decode() + steps.kv_mixed * context if steps.mixed else np.inf,
    )
    np.minimum(token[:-1], resumption(steps, prefill, spared.block_size), out=token[:-1])
    first = after(steps, prefill, spared.most, trace.input_tokens - spared.most)
    return Isolated(first, over_decodes(trace, token))


def prompt_cost(steps: Steps, chunk: Floats, longest: int) -> Floats:
    """Return the least cost of prompts of 0, 1, … tokens, by that of their chunks, and attention.

    The squares of a prompt's chunks and twice each chunk times what is before it are its square.
    """
    tokens = np.arange(1.0, len(chunk) + 1)
    own = chunk + (steps.square - steps.cross / 2) * tokens**2
    return least_partition(own, longest) + steps.cross / 2 * np.arange(longest + 1.0) ** 2


def after(steps: Steps, cost: Floats, found: Counts, tokens: Counts) -> Floats:
    """Return the cost of computing so many tokens after others that are found, of each request."""
    return cost[tokens] + steps.cross * found * tokens


def resumption(steps: Steps, cost: Floats, block_size: int) -> Floats:
    """Return the cost of computing a context of 1, 2, … tokens again.

    Where blocks are cached, all full ones before the last token are found.
    """
    if not block_size:
        return cost[1:]
    before = np.arange(len(cost) - 1)
    beyond = before % block_size + 1
    return after(steps, cost, before + 1 - beyond, beyond)


def over_decodes(trace: Trace, token: Floats) -> Floats:
    """Return each request's sum over its decodes of what one costs at its context, shape (n,)."""
    total = np.append(0.0, np.cumsum(token))
    prompt = trace.input_tokens
    spent: Floats = total[prompt + trace.output_tokens - 1] - total[prompt]
    return np.maximum(spent, 0.0)
