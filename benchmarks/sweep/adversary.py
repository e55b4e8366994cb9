"""Orders and rules that keep to the contract and want no good: whatever they ask for must hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from llmsched.contract import DECODE, MIXED, PREFILL, Decide, Jobs, Step, View
from llmsched.orders.rank import RankQueue


@dataclass(frozen=True)
class Contrary:
    """A rule of moods: for some decisions it floods, drips, starves, leaps or asks for too much."""

    seed: int = 0
    mixed: bool = False

    def start(self, view: View) -> Decide:
        return _Moods(self, view).decide


class _Moods:
    def __init__(self, rule: Contrary, view: View) -> None:
        self._view, self._mixed = view, rule.mixed
        self._rng = random.Random(rule.seed)
        self._moods: tuple[Callable[[], Step], ...] = (
            lambda: PREFILL,  # flood
            lambda: Step(prefill=True, split=True, max_tokens=1, max_new_seqs=1),  # drip
            lambda: Step(prefill=True, max_new_seqs=1, rounds=7),
            lambda: DECODE,  # starve
            lambda: Step(decode=True, rounds=1),
            lambda: Step(decode=True, rounds=2**40),
            lambda: MIXED,
            lambda: Step(prefill=True, decode=True, split=True, max_tokens=1),
            lambda: Step(prefill=True, decode=True, split=False, max_tokens=5),
        )
        self._mood, self._left = self._moods[0], 0

    def decide(self) -> Step:
        if not self._left:
            moods = self._moods if self._mixed else self._moods[:6]
            self._mood, self._left = self._rng.choice(moods), self._rng.choice((1, 2, 9, 40))
        self._left -= 1
        step = self._mood()
        if step.decode and not self._view.decoding:  # would do nothing
            return PREFILL
        if step.prefill and not step.decode and not self._view.can_prefill:
            return DECODE
        return step


@dataclass(frozen=True)
class Lifo:
    """The last request first: the first one waits for all."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(lambda request: -request)


@dataclass(frozen=True)
class Reluctant:
    """Nobody may take a slot while another one has it, except for every third request."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return _ReluctantQueue(view)


class _ReluctantQueue(RankQueue):
    def __init__(self, view: View) -> None:
        super().__init__(lambda request: request)
        self._view = view

    def peek(self) -> int:
        request = super().peek()
        return -1 if self._view.running and request % 3 else request
