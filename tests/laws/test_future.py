"""Nothing of the future: what has not arrived changes nothing, and cannot be found anywhere."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from numbers import Number
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched import Trace
from llmsched.config import EngineConfig
from llmsched.contract import DECODE, PREFILL, Decide, Jobs, Policy, Step, View
from llmsched.engine import admit
from llmsched.engine.limits import Intake
from llmsched.engine.session import Session
from llmsched.errors import LivelockError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.stages import Stages
from llmsched.orders import Order, RankQueue
from llmsched.orders.rank import Queue
from llmsched.policies import NAMED
from llmsched.replay import simulate
from tests.cases import ROUND_S, configs, profiles
from tests.policies_at_hand import EVERY

Row = tuple[float, int, int, int, int, str]
"""Arrival, prompt, output, predicted output, output limit, class."""

HAND = HardwareProfile("hand", Stages(decode_round=1.0, per_stage=0.5, per_token=0.25))


def rows_from(start: float, gaps: st.SearchStrategy[float], least: int) -> st.SearchStrategy[Any]:
    """Requests after `start`, their predictions often wrong."""
    lengths = st.integers(1, 30)
    one = st.tuples(gaps, lengths, lengths, lengths, st.integers(0, 20), st.sampled_from("ab"))
    return st.lists(one, min_size=least, max_size=10).map(
        lambda drawn: [
            (start + at, prompt, output, predicted, output + spare, job_class)
            for at, (_, prompt, output, predicted, spare, job_class) in zip(
                accumulate(gap for gap, *_ in drawn), drawn, strict=True
            )
        ]
    )


@dataclass(frozen=True)
class Fork:
    """Two traces that are one up to a moment, and what they are replayed on."""

    past: list[Row]
    futures: tuple[list[Row], list[Row]]
    moment: float
    hardware: HardwareProfile
    config: EngineConfig


@st.composite
def forks(draw: st.DrawFn, mixed: bool | None) -> Fork:
    gaps = st.sampled_from([0.0, 0.0, ROUND_S, 0.0123, 5 * ROUND_S, 0.3])
    past = draw(rows_from(0.0, gaps, 1))
    moment = past[-1][0] + draw(st.sampled_from([0.0, 0.004, ROUND_S, 0.1, 1.0]))
    later = st.sampled_from([1e-6, ROUND_S, 0.1, 2.0])
    one, two = (draw(rows_from(moment + 1e-6, later, 0)) for _ in range(2))
    config = draw(configs(trace_of(past + one + two), draw(st.booleans())))
    if draw(st.booleans()):  # many at once, so that blocks do run out
        config = replace(config, max_num_seqs=40, max_num_batched_tokens=None, max_model_len=None)
    config = replace(config, max_output_tokens=None)
    return Fork(past, (one, two), moment, draw(profiles(mixed)), config)


def trace_of(rows: Sequence[Row]) -> Trace:
    arrival, prompt, output, predicted, limit, classes = zip(*rows, strict=True)
    return Trace.from_columns(
        *(arrival, prompt, output),
        predicted_output_tokens=predicted,
        max_output_tokens=limit,
        job_class=classes,
    )


def until(fork: Fork, future: Sequence[Row], policy: Policy) -> dict[str, NDArray[Any]]:
    """What is settled at the moment: rows, and times and preemptions of those that arrived."""
    trace = trace_of([*fork.past, *future])
    predicted = trace.predicted_output_tokens
    config = replace(fork.config, **dict(policy.knobs))
    intake = admit(trace, fork.hardware, policy, config, predicted=predicted)
    if policy.offline is not None:
        order, rule = policy.offline.choose(intake.known())
        policy = replace(policy, order=order, rule=rule)
    session = Session(policy, config, fork.hardware)
    session.submit(intake)
    session.advance(until=fork.moment)
    table, found = session._rows.written(), dict(session._engine.outcome())
    ended = table[0] + table[1] < fork.moment - 1e-9
    for name, column in found.items():
        column = column[: len(fork.past)]
        if column.dtype == float:
            column = np.where(column < fork.moment - 1e-9, column, np.nan)
        found[name] = column
    return {"rows": table[:, ended], **found}


def assert_past_alike(fork: Fork, policy: Policy) -> None:
    one, two = (until(fork, future, policy) for future in fork.futures)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=max(10, settings().max_examples // 8))  # of each policy
@given(st.data())
def test_what_arrives_later_changes_no_step_admission_or_preemption(
    name: str, data: st.DataObject
) -> None:
    policy = EVERY[name]
    fork = data.draw(forks(True if policy.rule.mixed else None))
    try:
        assert_past_alike(fork, policy)
    except LivelockError:
        assume(False)


@dataclass(frozen=True)
class Prophet:
    """Whether the number of requests that it finds is odd decides who is first."""

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        return RankQueue(jobs.input_tokens * (-1) ** len(jobs))


def all_at_once(intake: Intake) -> list[NDArray[Any]]:
    """A leak: what is known at the start is all of the trace."""
    nothing = np.zeros_like(intake.limit)
    return [intake.arrival, intake.trace.input_tokens, intake.predicted, intake.limit, nothing]


def test_the_law_notices_an_order_that_is_shown_the_future(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past = [(0.0, 1, 2, 2, 9, "a"), (0.0, 2, 3, 3, 9, "a")]
    futures = ([(90.0, 1, 1, 1, 9, "a")], [(91.0, 5, 1, 1, 9, "a"), (92.0, 1, 1, 1, 9, "a")])
    fork = Fork(past, futures, 80.0, HAND, EngineConfig(1))
    prophet = replace(NAMED["fcfs"], name="prophet", order=Prophet())
    assert_past_alike(fork, prophet)
    monkeypatch.setattr(Intake, "known_at_start", all_at_once)
    with pytest.raises(AssertionError):
        assert_past_alike(fork, prophet)


def reachable(*roots: Any) -> Iterator[Any]:
    """Every number and text that public names lead to: attributes, entries, bases, buffers."""
    stack, seen, kept = list(roots), set[int](), []
    while stack:
        one = stack.pop()
        if isinstance(one, str | bytes | Number):
            yield one
            continue
        if one is None or id(one) in seen or inspect.isclass(one) or inspect.ismodule(one):
            continue
        seen.add(id(one))
        kept.append(one)  # so that no other is given its id
        if isinstance(one, np.ndarray):
            stack += [*one.ravel().tolist(), one.base]
        elif isinstance(one, memoryview):
            stack += [*np.asarray(one).ravel().tolist(), one.obj]
        elif isinstance(one, Mapping):
            stack += [*one.keys(), *one.values()]
        elif isinstance(one, Sequence | set | frozenset):
            stack += [*one, *public(one)]
        elif not callable(one):
            stack += public(one)
        if isinstance(one, View):
            stack += [one.sequences(), one.queued()]
            stack += [(one.fits(i), one.prefill_tokens(i)) for i in range(-9, 99)]
            stack += [one.predicted_left(i) for i in range(-9, 99)]
        if isinstance(one, Jobs):
            part = one.part(0)  # whose parts in their turn have no end
            stack += [part.arrival, part.input_tokens, part.predicted_output_tokens]
            stack += [part.max_output_tokens, part.job_class]


def public(one: Any) -> list[Any]:
    return [getattr(one, name) for name in dir(one) if not name.startswith("_")]


FUTURE: list[Row] = [
    (7001.25 + i, 70_101 + i, 3, 70_201 + i, 70_301 + i, f"future {i}") for i in range(3)
]
"""Requests none of whose values occurs anywhere else."""


@dataclass
class Spy:
    """Looks everywhere, whenever it is asked anything, for what has not arrived."""

    found: list[Any] = field(default_factory=list)
    looks: int = 0
    arrived: int = 0

    def look(self, *roots: Any) -> None:
        self.looks += 1
        values = set(reachable(*roots))
        for i in range(max(0, self.arrived - 2), len(FUTURE)):
            self.found += [value for value in FUTURE[i] if value in values and value != 3]


@dataclass(frozen=True)
class Clairvoyant:
    """A rule, an order and an offline phase that would use whatever they found."""

    spy: Spy
    mixed: ClassVar[bool] = False

    def choose(self, jobs: Jobs) -> tuple[Order, Any]:
        self.spy.look(jobs)
        return self, self

    def start(self, view: View) -> Decide:
        self.spy.look(view)

        def decide() -> Step:
            self.spy.look(view)
            return PREFILL if view.can_prefill else DECODE

        return decide

    def queue(self, jobs: Jobs, view: View) -> SpyingQueue:
        self.spy.look(jobs, view)
        return SpyingQueue(self.spy, jobs, view)


class SpyingQueue:
    def __init__(self, spy: Spy, jobs: Jobs, view: View) -> None:
        self.spy, self.jobs, self.view, self.inner = spy, jobs, view, Queue()
        self.release: Callable[[int], None] | None = lambda request: spy.look(jobs, view)
        self.busy = False

    def push(self, request: int) -> None:
        self.spy.arrived = max(self.spy.arrived, request + 1)
        self.inner.push(request)
        self.spy.look(self.jobs, self.view, request)

    def peek(self) -> int:
        if not self.busy:  # the view asks in its turn
            self.busy = True
            self.spy.look(self.jobs, self.view)
            self.busy = False
        return self.inner.peek()

    def pop(self) -> int:
        return self.inner.pop()

    def waiting(self) -> list[int]:
        return self.inner.waiting()

    def remove(self, request: int) -> None:
        self.inner.remove(request)


def spied(concurrency: int | None) -> Spy:
    """Replay two requests known at 0 and three that come later under one who looks everywhere."""
    trace = trace_of([(0.0, 2, 3, 3, 8, "a"), (0.0, 1, 3, 4, 8, "a"), *FUTURE])
    spy = Spy()
    policy = Policy("clairvoyant", Clairvoyant(spy), Clairvoyant(spy), offline=Clairvoyant(spy))
    simulate(
        *(trace, HAND, policy, EngineConfig(2, num_gpu_blocks=20_000)),
        predicted=trace.predicted_output_tokens,
        concurrency=concurrency,
    )
    assert spy.looks > 20
    assert spy.arrived == len(trace)
    return spy


@pytest.mark.parametrize("concurrency", [None, 2])
def test_who_looks_everywhere_finds_nothing_of_what_has_not_arrived(
    concurrency: int | None,
) -> None:
    assert spied(concurrency).found == []


def test_who_looks_everywhere_finds_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intake, "known_at_start", all_at_once)
    found = spied(None).found
    for value in FUTURE[2][:2]:
        assert value in found
    assert "future 2" in found
