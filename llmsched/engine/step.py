"""What a batching rule asks the engine to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One proposal of a batching rule. The order says *who* is next, a step says *what* is next.

    Attributes
    ----------
    prefill : bool
        Compute prompt tokens: first of prompts already begun, then of waiting requests, taken in
        queue order while slots, token budget and KV blocks last.
    decode : bool
        Let every decoding sequence gain one token. With `prefill`, the step is mixed, and the
        decodes come first in the token budget.
    rounds : int or None
        For decode alone: ask the rule again after this many rounds at the latest. None: at the next
        event (a finish, an arrival while a slot is idle, KV blocks running out).
    split : bool
        Whether a prompt may be cut to fill the budget. If not, a prompt waits for a step that holds
        all of it; one longer than the whole budget is always cut.
    max_tokens : int or None
        A token budget tighter than the engine's.
    max_new_seqs : int or None
        Most waiting requests to admit in this step.
    """

    prefill: bool = False
    decode: bool = False
    rounds: int | None = None
    split: bool = False
    max_tokens: int | None = None
    max_new_seqs: int | None = None


PREFILL = Step(prefill=True)
DECODE = Step(decode=True)
MIXED = Step(prefill=True, decode=True, split=True)
