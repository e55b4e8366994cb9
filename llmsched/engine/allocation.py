"""Who gets KV blocks and who loses them: admission, growth, preemption by recompute.

The rules are those of vLLM's v1 scheduler unless a knob of :class:`EngineConfig` says otherwise.
"""

from __future__ import annotations

from llmsched.engine.result import STEP_COLUMNS
from llmsched.engine.state import State
from llmsched.errors import LivelockError
from llmsched.kernel.blocks import BlockPool

_FIRST_TOKENS = STEP_COLUMNS.index("first_tokens")


def fits(state: State, request: int) -> bool:
    """Whether a waiting request may be admitted with the blocks that are free now."""
    config, pool = state.config, _pool(state)
    if state.reserves:
        tokens = state.reserved[request]
    else:
        tokens = state.target[request]
        if config.admission == "first_chunk":
            tokens = min(tokens, state.threshold, state.budget)
    spare = int(config.watermark * pool.usable)
    return pool.blocks(tokens) + spare <= _available(state)


def allocate(state: State, request: int, tokens: int) -> None:
    """Give an admitted request the blocks for its first chunk, or all that it may ever need."""
    pool = _pool(state)
    pool.take(pool.blocks(state.reserved[request] if state.reserves else tokens))
    state.held[request] = tokens


def extend(state: State, request: int, tokens: int) -> bool:
    """Give a begun prompt the blocks for `tokens` more tokens; preempt others for them.

    Returns False if the request had to be preempted itself.
    """
    if state.reserves:
        return True
    pool, held = _pool(state), state.held[request]
    need = pool.blocks(held + tokens) - pool.blocks(held)
    while _available(state) < need:
        victim = _victim(state)
        preempt(state, victim)
        if victim == request:
            return False
    pool.take(need)
    state.held[request] = held + tokens
    return True


def make_room(state: State) -> bool:
    """Preempt until the free blocks suffice for the next decode round.

    Walks the running sequences in order, as the real engine does: the first ones take the free
    blocks, and where none is left a victim gives up its own.

    Returns whether anything was preempted.
    """
    pool = _pool(state)
    if pool.demand(state.clock) <= pool.free:
        return False
    takers: set[int] = set()
    for request in list(state.running):
        if state.until[request] < 0 or state.decoded_tokens(request) % pool.block_size:
            continue
        takers.add(request)
        while request in takers and len(takers) > pool.free:
            victim = _victim(state)
            takers.discard(victim)
            preempt(state, victim)
    return True


def preempt(state: State, request: int) -> None:
    """Take a running request's slot and blocks; it waits again and recomputes what it had.

    Raises
    ------
    LivelockError
        The same preemption comes back for ever; see `llmsched.engine.livelock`.
    """
    if state.until[request] < 0:
        tokens, held = state.computed[request], state.held[request]
        del state.partial[request]
        state.prompt_tokens -= tokens
    else:
        tokens = held = state.decoded_tokens(request)
        row = state.ready_row[request]
        if state.since[request] < state.clock:
            state.last_token[request] = state.last_round_end
        else:  # it never decoded: its last token is the one its prefill emitted
            at = row * len(STEP_COLUMNS)
            state.last_token[request] = state.steps[at] + state.steps[at + 1]
            state.steps[at + _FIRST_TOKENS] -= 1
        state.stop_decoding(request, tokens)
        state.target[request] = tokens + 1  # its newest token has no KV yet
    state.preemptions[request] += 1
    state.recomputed[request] += tokens
    state.leave(request, held)
    state.enqueue(request)
    state.preempted += 1
    begun = tuple((partial, state.held[partial]) for partial in state.partial)
    if state.livelock.sees(
        mark=(state.clock, state.prompts_done, state.arrived),
        situation=(tuple(state.running), begun, state.waiting),
        arrival_to_come=state.next_arrival() < float("inf"),
    ):
        raise LivelockError(
            f"policy {state.policy.name}: livelock at {state.now:.6f} s: "
            f"{state.trace.id[request]!r} is preempted over and over, and no request gets a token"
        )


def _pool(state: State) -> BlockPool:
    assert state.pool is not None
    return state.pool


def _available(state: State) -> int:
    """Blocks that a prompt may take: what the next decode round leaves."""
    pool = _pool(state)
    return pool.free - pool.demand(state.clock)


def _victim(state: State) -> int:
    if state.config.victim == "last_arrived":
        return next(reversed(state.running))

    def remaining(request: int) -> int:
        generated = state.known_tokens(request) - state.jobs.input_tokens[request]
        return int(state.jobs.predicted_output_tokens[request] - generated)

    return max(reversed(state.running), key=remaining)
