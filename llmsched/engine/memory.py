"""Who gets KV blocks and who loses them: admission, growth, preemption by recompute.

The rules are those of vLLM's v1 scheduler unless a knob of :class:`EngineConfig` says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched.engine.kv import BlockPool
from llmsched.engine.result import STEP_COLUMNS
from llmsched.errors import LivelockError

if TYPE_CHECKING:
    from llmsched.engine.loop import Engine

_FIRST_TOKENS = STEP_COLUMNS.index("first_tokens")


def fits(engine: Engine, request: int) -> bool:
    """Whether a waiting request may be admitted with the blocks that are free now."""
    config, pool = engine.config, _pool(engine)
    if config.reserve == "max_output":
        tokens = engine.last[request]
    else:
        tokens = engine.target[request]
        if config.admission == "first_chunk":
            tokens = min(tokens, engine.threshold, engine.budget)
    spare = int(config.watermark * pool.usable)
    return pool.blocks(tokens) + spare <= _available(engine)


def allocate(engine: Engine, request: int, tokens: int) -> None:
    """Give an admitted request the blocks for its first chunk, or all that it will ever need."""
    pool = _pool(engine)
    reserve = engine.config.reserve == "max_output"
    pool.take(pool.blocks(engine.last[request] if reserve else tokens))
    engine.held[request] = tokens


def extend(engine: Engine, request: int, tokens: int) -> bool:
    """Give a begun prompt the blocks for `tokens` more tokens; preempt others for them.

    Returns False if the request had to be preempted itself.
    """
    if engine.config.reserve == "max_output":
        return True
    pool, held = _pool(engine), engine.held[request]
    need = pool.blocks(held + tokens) - pool.blocks(held)
    while _available(engine) < need:
        victim = _victim(engine)
        preempt(engine, victim)
        if victim == request:
            return False
    pool.take(need)
    engine.held[request] = held + tokens
    return True


def make_room(engine: Engine) -> bool:
    """Preempt until the free blocks suffice for the next decode round.

    Walks the running sequences in order, as the real engine does: the first ones take the free
    blocks, and where none is left a victim gives up its own.

    Returns whether anything was preempted.
    """
    pool = _pool(engine)
    if pool.demand(engine.clock) <= pool.free:
        return False
    takers: set[int] = set()
    for request in list(engine.running):
        if engine.until[request] < 0 or engine.decoded_tokens(request) % pool.block_size:
            continue
        takers.add(request)
        while request in takers and len(takers) > pool.free:
            victim = _victim(engine)
            takers.discard(victim)
            preempt(engine, victim)
    return True


def preempt(engine: Engine, request: int) -> None:
    """Take a running request's slot and blocks; it waits again and recomputes what it had.

    Raises
    ------
    LivelockError
        The same preemption comes back for ever; see `llmsched.engine.livelock`.
    """
    if engine.until[request] < 0:
        tokens, held = engine.computed[request], engine.held[request]
        del engine.partial[request]
        engine.prompt_tokens -= tokens
    else:
        tokens = held = engine.decoded_tokens(request)
        row = engine.ready_row[request]
        if engine.since[request] < engine.clock:
            engine.last_token[request] = engine.last_round_end
        else:  # it never decoded: its last token is the one its prefill emitted
            at = row * len(STEP_COLUMNS)
            engine.last_token[request] = engine.steps[at] + engine.steps[at + 1]
            engine.steps[at + _FIRST_TOKENS] -= 1
        engine.stop_decoding(request, tokens)
        engine.target[request] = tokens + 1  # its newest token has no KV yet
    engine.preemptions[request] += 1
    engine.recomputed[request] += tokens
    engine.leave(request, held)
    engine.enqueue(request)
    engine.preempted += 1
    held_by = tuple((r, engine.held[r]) for r in engine.partial)
    state = (request, tuple(engine.running), held_by, engine.waiting)
    if engine.livelock.sees((engine.clock, engine.prompts_done, engine.arrived), state):
        raise LivelockError(
            f"policy {engine.policy.name}: livelock at {engine.now:.6f} s: "
            f"{engine.trace.id[request]!r} is preempted over and over, and no request gets a token"
        )


def follow(engine: Engine, tokens: int) -> None:
    """Account for the growth of a sequence that begins to decode."""
    if engine.config.reserve == "none":
        _pool(engine).grow(tokens, engine.clock)


def unfollow(engine: Engine, tokens: int) -> None:
    """End the growth of a sequence that stops decoding with `tokens` computed tokens."""
    if engine.config.reserve == "none":
        _pool(engine).settle(tokens, engine.clock)


def release(engine: Engine, request: int, tokens: int) -> None:
    """Free the blocks of a sequence that leaves its slot."""
    pool = _pool(engine)
    reserve = engine.config.reserve == "max_output"
    pool.free += pool.blocks(engine.last[request] if reserve else tokens)


def _pool(engine: Engine) -> BlockPool:
    assert engine.pool is not None
    return engine.pool


def _available(engine: Engine) -> int:
    """Blocks that a prompt may take: what the next decode round leaves."""
    pool = _pool(engine)
    return pool.free - pool.demand(engine.clock)


def _victim(engine: Engine) -> int:
    if engine.config.victim == "last_arrived":
        return next(reversed(engine.running))

    def remaining(request: int) -> int:
        generated = engine.known_tokens(request) - engine.jobs.input_tokens[request]
        return int(engine.jobs.predicted_output_tokens[request] - generated)

    return max(reversed(engine.running), key=remaining)
