"""What a request takes at least, whoever helps it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.latency_bounds.partition import least_partition
from llmsched.latency_bounds.steps import Steps
from llmsched.trace import Trace

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


def isolated(trace: Trace, steps: Steps, longest: int) -> Isolated:
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
    np.minimum(token[:-1], prefill[1:], out=token[:-1])
    return Isolated(prefill[trace.input_tokens], over_decodes(trace, token))


def prompt_cost(steps: Steps, chunk: Floats, longest: int) -> Floats:
    """Return the least cost of prompts of 0, 1, … tokens, by that of their chunks, and attention.

    The squares of a prompt's chunks and twice each chunk times what is before it are its square.
    """
    tokens = np.arange(1.0, len(chunk) + 1)
    own = chunk + (steps.square - steps.cross / 2) * tokens**2
    return least_partition(own, longest) + steps.cross / 2 * np.arange(longest + 1.0) ** 2


def over_decodes(trace: Trace, token: Floats) -> Floats:
    """Return each request's sum over its decodes of what one costs at its context, shape (n,)."""
    total = np.append(0.0, np.cumsum(token))
    prompt = trace.input_tokens
    spent: Floats = total[prompt + trace.output_tokens - 1] - total[prompt]
    return np.maximum(spent, 0.0)
