"""What the engine does next: proposals, and the rules that need to know but little of its state."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Protocol

from llmsched.kernel.blocks import UNBOUNDED


class Proposal:
    """A step as the engine takes it, once it has been checked.

    Attributes
    ----------
    step : object
        What it was read from, for messages.
    prefill, decode, split : bool
    heeds : bool
        Whether any arrival ends the rounds, not only one that finds a slot idle.
    shortest : bool
        Whether prompts are taken by the tokens that they have left, not begun ones first.
    rounds, budget, admissions : int
        Most decode rounds, tokens of the step, and waiting requests to admit.
    preempt : tuple of int
        Running requests to preempt first.
    skip : collection of int
        Waiting requests to pass over.
    lasting : bool
        Whether the same step will always amount to this: what it names cannot change.
    chunks : tuple of (int, int) or None
        Requests to compute and how many tokens of each, in place of the queue's order.
    """

    def __init__(self, step: object, prefill: bool, decode: bool, split: bool) -> None:
        self.step = step
        self.prefill = prefill
        self.decode = decode
        self.split = split
        self.heeds = self.shortest = False
        self.rounds = UNBOUNDED
        self.budget = UNBOUNDED
        self.admissions = UNBOUNDED
        self.preempt: tuple[int, ...] = ()
        self.skip: Collection[int] = ()
        self.chunks: tuple[tuple[int, int], ...] | None = None
        self.lasting = True


class Sight(Protocol):
    """What these rules look at."""

    @property
    def can_prefill(self) -> bool: ...
    @property
    def prefilling(self) -> int: ...
    @property
    def running(self) -> int: ...


class Rule:
    """Insert a prefill whenever one is possible.

    The engine asks `inserts`; calling the rule answers by the same with a step.

    Parameters
    ----------
    view : Sight
    insert, otherwise : Step
        What to propose.
    """

    def __init__(self, view: Sight, insert: Any, otherwise: Any) -> None:
        self.view = view
        self.insert, self.otherwise = insert, otherwise

    def __call__(self) -> Any:
        view = self.view
        possible = self.inserts(view.can_prefill, view.prefilling > 0, view.running == 0)
        return self.insert if possible else self.otherwise

    def inserts(self, possible: bool, begun: bool, empty: bool) -> bool:
        """Whether to insert: if a prefill is possible, a prompt begun, or no slot taken."""
        return possible


class Refill(Rule):
    """Fill the slots, decode until all of them are empty, fill them again."""

    def __init__(self, view: Sight, insert: Any, otherwise: Any) -> None:
        super().__init__(view, insert, otherwise)
        self.filling = True

    def inserts(self, possible: bool, begun: bool, empty: bool) -> bool:
        self.filling = self.filling or empty
        if begun or (self.filling and possible):
            return True
        self.filling = False
        return False
