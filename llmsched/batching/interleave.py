"""Decode rounds between prefill chunks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from llmsched.contract import DECODE, Decide, Step, View
from llmsched.errors import InputError


@dataclass(frozen=True)
class Interleave:
    """After a prefill step, n decode rounds before the next one, as long as something decodes.

    A long prompt then holds the streams for one chunk at a time, and new requests wait for n rounds
    more a chunk. It is SGLang's ``--prefill-decode-interval n`` (PR 35017), and with `mixed` the
    cadence of vLLM's ``prefill_schedule_interval`` n + 1, without its exception for requests that
    found no room. (SGLang's ``--num-continuous-decode-steps`` only saves decisions.)

    Attributes
    ----------
    n : int
        Decode rounds between two prefill steps.
    token_budget : int or None
        Tokens of a prefill step; None takes the engine's `max_num_batched_tokens`.
    mixed : bool
        Whether chunks are computed beside a decode round, not in steps of their own.
    """

    n: int = 1
    token_budget: int | None = None
    mixed: bool = False

    def __post_init__(self) -> None:
        for name, value in (("n", self.n), ("token_budget", self.token_budget)):
            if value is not None and value < 1:
                raise InputError(f"{name}: expected an integer >= 1, got {value!r}")

    def start(self, view: View) -> Decide:
        insert = Step(prefill=True, decode=self.mixed, split=True, max_tokens=self.token_budget)
        wait = cache(lambda rounds: Step(decode=True, rounds=rounds))
        due = 0  # decode clock at which the next prefill may come

        def decide() -> Step:
            nonlocal due
            if not view.can_prefill:
                return DECODE
            left = due - view.clock
            if left > 0 and view.decoding:
                return wait(left)
            due = view.clock + self.n + (self.mixed and view.decoding > 0)
            return insert

        return decide
