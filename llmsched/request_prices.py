"""What tokens of one request cost at least, and what preemption undercuts.

A request that lost its slot gets a token from computing tokens again instead of from a decode. With
a prefix cache it finds its own full blocks, and computes no more than what is beyond them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.hardware.step_time import Minorant, StepTime

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_MOST_CONTEXT = 2**20
"""Tokens of a context up to which the price of each place in it is looked up."""


@dataclass(frozen=True)
class Price:
    """Seconds a request costs beyond the steps themselves; shape (n,) each."""

    prefill: Floats
    decode: Floats


def request_prices(
    prompt: Counts, rounds: Counts, step_time: StepTime, minorant: Minorant
) -> Price:
    """Price tokens and attention: the part of a request's cost that no batching can share."""
    p, r = prompt.astype(np.float64), rounds.astype(np.float64)
    read = r * p + r * (r - 1) / 2
    return Price(
        prefill=minorant.per_prefill_token * p + _attention(p, step_time),
        decode=minorant.per_decode_seq * r + _per_kv_token(step_time) * read,
    )


def computed(
    prompt: Counts, first: Counts, tokens: Counts, step_time: StepTime, minorant: Minorant
) -> Floats:
    """Price so many tokens of a prompt from `first` on, if others may be found; shape (n,).

    Where a table falls, each token may make a step shorter: then all may be computed.
    """
    last = (first + tokens).astype(np.float64)
    attention = _attention(last, step_time) - _attention(first.astype(np.float64), step_time)
    per_token = minorant.per_prefill_token
    counted = tokens if per_token >= 0 else prompt
    price: Floats = per_token * counted.astype(np.float64) + attention
    return price


def decodes_or_resumptions(
    prompt: Counts, rounds: Counts, step_time: StepTime, minorant: Minorant, block_size: int
) -> Floats:
    """Price tokens after the first where each may come of a resumption; shape (n,), seconds.

    That computes what is beyond the full blocks of its context, which grow with it: most of the
    places in a block are not near its start.
    """
    longest = int((prompt + rounds).max(initial=0))
    if longest > _MOST_CONTEXT:
        p, r = prompt.astype(np.float64), rounds.astype(np.float64)
        per_kv = _per_kv_token(step_time)
        dearest = minorant.per_decode_seq + per_kv * longest
        share = min(1.0, minorant.per_prefill_token / dearest) if dearest else 1.0
        priced: Floats = share * (minorant.per_decode_seq * r + per_kv * (r * p + r * (r - 1) / 2))
        return priced
    context = np.arange(longest, dtype=np.int64)
    beyond = context % block_size + 1
    again = computed(context + 1, context + 1 - beyond, beyond, step_time, minorant)
    token = minorant.per_decode_seq + _per_kv_token(step_time) * context.astype(np.float64)
    total = np.append(0.0, np.cumsum(np.minimum(token, again)))
    spent: Floats = total[prompt + rounds] - total[prompt]
    return spent


def _attention(tokens: Floats, step_time: StepTime) -> Floats:
    """Return the least seconds of attention within the first tokens of a prompt, shape (n,).

    Chunks c of p tokens satisfy sum(c^2) + 2 sum(c * context) = p^2, and p <= sum(c^2) <= p^2. The
    result is a sum of prices of single tokens by their places, whatever the chunk: so what those
    from some place on cost, others before them being found, is a difference of two.
    """
    square, cross = step_time.per_prefill_token_sq, step_time.per_prefill_token_x_context
    squares = tokens if square >= cross / 2 else tokens * tokens
    attention: Floats = cross / 2 * tokens * tokens + (square - cross / 2) * squares
    return attention


def _per_kv_token(step_time: StepTime) -> float:
    if not step_time.mixed:
        return step_time.per_kv_token_decode
    return min(step_time.per_kv_token_decode, step_time.per_kv_token_mixed)


def preempts(config: EngineConfig) -> bool:
    """Return whether requests may lose their slots for want of blocks."""
    return config.usable_blocks is not None and config.reserve != "max_output"


def not_undercut(
    prompt: Counts,
    step_time: StepTime,
    minorant: Minorant,
    config: EngineConfig,
    slots: int,
    longest: int = 0,
) -> float:
    """Return the share of the decodes' price that preemptions cannot save; 1 if there are none.

    A resumed request gets a token from recomputing its c >= prompt tokens instead of from a decode.
    That costs at least c tokens of prefill. It saves the price of one sequence, and where steps are
    exclusive its share of a round. The ratio grows with c, so the shortest prompt decides.

    Parameters
    ----------
    longest : int
        Where it finds its own blocks in a cache, the longest context of all: it may save the
        dearest decode for a single token. Prices of mixed steps account for that token by token
        (`decodes_or_resumptions`), and nothing more is undercut. 0: nothing is found.
    """
    if not preempts(config) or config.kv_room is None or (longest and step_time.mixed):
        return 1.0
    least, context = (1, longest) if longest else (int(prompt.min()), int(prompt.min()) + 1)
    saved = minorant.per_decode_seq + step_time.per_kv_token_decode * context
    if not step_time.mixed:
        budget = config.max_num_batched_tokens or slots
        room = context / config.kv_room
        saved += minorant.per_round * max(1 / slots, 1 / budget, room)
    return min(1.0, minorant.per_prefill_token * least / saved) if saved else 1.0


def own_rounds(
    prompt: Counts,
    rounds: Counts,
    step_time: StepTime,
    minorant: Minorant,
    config: EngineConfig,
    *,
    cached: bool = False,
) -> Floats:
    """Return the share of its own decode rounds that each request must wait for, shape (n,).

    Only where steps are exclusive can a preempted request exchange a round for a cheaper stage. The
    ratio of their prices is monotone in the context, so its ends decide. Where it finds its own
    blocks in a cache, such a stage may have a single token.
    """
    if step_time.mixed or not preempts(config):
        return np.broadcast_to(1.0, len(prompt))
    share = np.ones(len(prompt))
    for context in (prompt, prompt + np.maximum(rounds - 1, 0)):
        again = np.ones_like(context) if cached else context
        stage = minorant.per_step_prefill + minorant.per_prefill_token * again
        read = minorant.per_decode_seq + step_time.per_kv_token_decode * context
        round_ = minorant.per_round + read
        ratio = np.divide(stage, round_, out=np.ones_like(share), where=round_ > 0)
        share = np.minimum(share, ratio)
    return share
