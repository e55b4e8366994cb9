"""What a batching rule is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from llmsched.engine.step import Step
from llmsched.engine.view import View

Decide: TypeAlias = Callable[[], Step]


class BatchingRule(Protocol):
    """Says what the engine does next; its dataclass fields are its parameters.

    A rule proposes and never touches time or state: `start` is given a read-only view for one
    replay and returns a function that the engine calls at every decision. Whatever the rule
    remembers between decisions lives in that function.
    """

    @property
    def mixed(self) -> bool:
        """Whether the rule needs a profile that prices steps of prefill and decode together."""

    def start(self, view: View) -> Decide:
        """Begin a replay."""
