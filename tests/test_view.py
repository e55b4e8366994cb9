"""A rule may look and not touch."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import pytest

from llmsched.contract import DECODE, PREFILL, Decide, Policy, Step, View
from llmsched.orders.fcfs import Fcfs
from tests.hand import replay

SEEN = [name for name, _ in inspect.getmembers(View, inspect.isdatadescriptor) if name[0] != "_"]


@dataclass(frozen=True)
class Meddler:
    """Tries to write everything it is shown, then goes on as prefill first would."""

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            for name in SEEN:
                with pytest.raises(AttributeError):
                    setattr(view, name, 0)
            with pytest.raises(AttributeError):
                view.anything = 0  # type: ignore[attr-defined]  # that is the point
            with pytest.raises(AttributeError):
                view.jobs.arrival = view.jobs.arrival  # type: ignore[misc]  # that is the point
            with pytest.raises(FrozenInstanceError):
                view.config.max_num_seqs = 9  # type: ignore[misc]  # that is the point
            jobs = view.jobs
            columns = (jobs.arrival, jobs.input_tokens, jobs.predicted_output_tokens)
            for column in (*columns, jobs.max_output_tokens):
                with pytest.raises(ValueError, match="read-only"):
                    column[0] = 7
            view.queued().clear()
            view.sequences().clear()
            return PREFILL if view.can_prefill else DECODE

        return decide


def test_nothing_that_a_rule_is_shown_can_be_written() -> None:
    assert "now" in SEEN
    assert "can_prefill" in SEEN
    rows = [(0.0, 1, 3), (0.0, 2, 2), (1.0, 1, 4)]
    meddled = replay(Policy("meddler", Fcfs(), Meddler()), rows, 2)
    assert meddled.finish.tolist() == replay("fcfs", rows, 2).finish.tolist()


def test_a_view_shows_the_state_at_each_decision() -> None:
    seen: list[tuple[float, int, int, int, int, int, int]] = []

    @dataclass(frozen=True)
    class Watcher:
        mixed: ClassVar[bool] = False

        def start(self, view: View) -> Decide:
            def decide() -> Step:
                state = (view.now, view.clock, view.running, view.decoding, view.waiting)
                seen.append((*state, view.idle_slots, view.kv_tokens))
                return PREFILL if view.can_prefill else DECODE

            return decide

    # A stage takes 0.5 s + 0.25 s a token, a round 1 s.
    replay(Policy("watcher", Fcfs(), Watcher()), [(0.0, 2, 3), (0.0, 4, 2), (2.5, 2, 1)], 2)
    assert seen == [
        (0.0, 0, 0, 0, 2, 2, 0),
        (2.0, 0, 2, 2, 0, 0, 6),
        (3.0, 1, 1, 1, 1, 1, 3),
        (4.0, 1, 1, 1, 0, 1, 3),
    ]


def test_the_next_prefill_is_a_prompt_begun_or_else_a_waiting_one_and_never_one_to_come() -> None:
    seen: list[tuple[float, int]] = []

    @dataclass(frozen=True)
    class Watcher:
        mixed: ClassVar[bool] = False

        def start(self, view: View) -> Decide:
            def decide() -> Step:
                seen.append((view.now, view.next_prefill_tokens))
                return PREFILL if view.can_prefill else DECODE

            return decide

    # Four tokens a step: 5 tokens in stages of 1.5 and 0.75 s, then 3 in 1.25 s, then rounds.
    rows = [(0.0, 5, 2), (0.0, 3, 3), (99.0, 7, 1)]
    replay(Policy("watcher", Fcfs(), Watcher()), rows, 2, max_num_batched_tokens=4)
    assert seen[:4] == [(0.0, 5), (1.5, 1), (3.0, 0), (4.0, 0)]
