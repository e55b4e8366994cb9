"""What cannot be simulated, found before the first step: inputs, and policies that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched.engine.config import EngineConfig
from llmsched.errors import InputError, PolicyError
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.hardware import HardwareProfile
    from llmsched.policies import Policy


def admissible_blocks(config: EngineConfig) -> int | None:
    """Return the KV blocks that one request may have to itself; None means no limit."""
    usable = config.usable_blocks
    return None if usable is None else usable - int(config.watermark * usable)


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
        )
    if concurrency is not None and concurrency < 1:
        raise InputError(f"concurrency: expected an integer >= 1, got {concurrency}")
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
            f"and {usable} can be used"
        )


def check_queue(policy: Policy, queue: object) -> None:
    """Refuse what an order returned instead of a `WaitingQueue`.

    Raises
    ------
    PolicyError
        It lacks a member of one.
    """
    members = ("__len__", "push", "peek", "pop", "release")
    lacking = [name for name in members if not hasattr(queue, name)]
    if lacking:
        raise PolicyError(
            f"policy {policy.name}: queue: expected a WaitingQueue, got {queue!r} "
            f"without {', '.join(lacking)}"
        )


def check_decide(policy: Policy, decide: object) -> None:
    """Refuse what a rule's `start` returned instead of a function.

    Raises
    ------
    PolicyError
        It cannot be called.
    """
    if not callable(decide):
        raise PolicyError(
            f"policy {policy.name}: start: expected a function that returns a Step, got {decide!r}"
        )
