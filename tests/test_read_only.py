"""Nothing that a policy is shown can be written, whatever public names lead to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from llmsched import Trace, load_profile, simulate
from llmsched.contract import DECODE, PREFILL, Decide, Jobs, Policy, Step, View
from llmsched.orders.rank import Queue
from llmsched.policies import NAMED

PLAIN = (str, bytes, int, float, complex, type(None), np.generic)
REFUSED = (AttributeError, TypeError)


def public(one: Any) -> list[str]:
    return [name for name in dir(one) if not name.startswith("_")]


def shown(*roots: Any) -> Iterator[Any]:
    """Yield every object that attributes, entries, bases and buffers lead to."""
    stack, seen, kept = list(roots), set[int](), []
    while stack:
        one = stack.pop()
        if isinstance(one, PLAIN) or id(one) in seen or callable(one):
            continue
        seen.add(id(one))
        kept.append(one)
        yield one
        if isinstance(one, np.ndarray):
            stack.append(one.base)
        elif isinstance(one, memoryview):
            stack.append(one.obj)
        elif isinstance(one, Mapping):
            stack += [*one.values()]
        elif isinstance(one, tuple):
            stack += [*one]
        else:
            stack += [getattr(one, name) for name in public(one)]


def tamper(one: Any) -> str:
    """Try to change an object in every way there is; return how that went through, or ""."""
    if isinstance(one, list | dict | set | bytearray):
        return "it can be changed"
    if isinstance(one, np.ndarray):
        return _tamper_array(one)
    if isinstance(one, memoryview):
        return "" if one.readonly else "its memory can be written"
    if isinstance(one, Mapping):
        try:
            one["planted"] = 1  # type: ignore[index]  # that is the point
        except REFUSED:
            return ""
        return "an entry was set"
    for name in (*public(one), "planted"):
        try:
            setattr(one, name, getattr(one, name, 1))
        except REFUSED:
            continue
        return f"{name} was set"
    return ""


def _tamper_array(one: np.ndarray[Any, Any]) -> str:
    try:
        one.setflags(write=True)
    except ValueError:
        pass
    else:
        return "it was made writable"
    if one.size:
        try:
            one.flat[0] = one.flat[0]
        except ValueError:
            return ""
    return "" if not one.flags.writeable else "it can be written"


@dataclass(frozen=True)
class Meddler:
    """An order and a rule that try to change whatever they are shown, and note what they could."""

    went_through: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    mixed: ClassVar[bool] = False

    def meddle(self, *roots: Any) -> None:
        for one in shown(*roots):
            self.kinds.add(type(one).__name__)
            if how := tamper(one):
                self.went_through.append(f"{type(one).__name__}: {how}")

    def queue(self, jobs: Jobs, view: View) -> Queue:
        self.meddle(jobs, view)
        return Queue()

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            self.meddle(view, view.jobs.part(0))
            view.queued().clear()
            view.sequences().clear()
            return PREFILL if view.can_prefill else DECODE

        return decide


@pytest.mark.parametrize(
    "name", ["llama3-8b-a100", "llama65b-8gpu-paper", "llama2-70b-h200x8-analytic"]
)
def test_nothing_that_is_shown_can_be_written(name: str) -> None:
    classes = ["a", "b", "a", "b", "c"]
    trace = Trace.from_columns([0, 0, 1, 2, 2], [9, 5, 7, 8, 9], [3, 9, 4, 2, 5], job_class=classes)
    profile, meddler = load_profile(name), Meddler()
    result = simulate(trace, profile, Policy("meddler", meddler, meddler))
    assert meddler.went_through == []
    assert {"View", "Jobs", "ndarray", "mappingproxy", "HardwareProfile"} <= meddler.kinds
    assert result.finish.tolist() == simulate(trace, profile, NAMED["fcfs"]).finish.tolist()
    assert profile.document == load_profile(name).document


@pytest.mark.parametrize(
    "leak",
    [[1], {1: 2}, np.zeros(3), np.zeros(3).data, type("Open", (), {})()],
    ids=lambda one: type(one).__name__,
)
def test_a_thing_that_can_be_written_is_noticed(leak: Any) -> None:
    assert [how for how in map(tamper, shown((leak,))) if how]


def test_the_base_of_a_column_is_not_handed_out() -> None:
    profile = load_profile("llama3-8b-a100")
    jobs = Jobs([0.0, 1.0], [1, 2], [3, 4], profile.engine, profile)
    for column in (jobs.arrival, jobs.input_tokens, jobs.job_class):
        for one in shown(column):
            assert not (isinstance(one, np.ndarray) and one.flags.writeable)
