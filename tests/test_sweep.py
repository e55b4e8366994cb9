"""A slice of the sweep: a fixed number of its cases with a fixed seed. `make sweep` runs more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.sweep import __main__ as command_line
from benchmarks.sweep import run
from benchmarks.sweep.checks import Failure, Report, check
from benchmarks.sweep.draw import draw
from llmsched import bounds, metrics
from llmsched.engine import limits
from llmsched.engine.work import Gaps
from llmsched.orders.plan import PlanQueue

SLICE, PARTS = 400, 8


@pytest.mark.parametrize("part", range(PARTS))
def test_no_case_of_the_slice_breaks_a_law(part: int) -> None:
    broken = [
        f"python -m benchmarks.sweep --case 0:{index}: {failure.kind}: {failure.message}"
        for index in range(part, SLICE, PARTS)
        for failure in check(draw(0, index)).failures
    ]
    assert not broken, "\n".join(broken)


def test_a_case_is_drawn_from_its_two_numbers_alone() -> None:
    for index in range(20):
        one, two = draw(3, index), draw(3, index)
        assert one.trace.sha256 == two.trace.sha256
        assert (one.policy, one.config, one.hardware) == (two.policy, two.config, two.hardware)


Function = Callable[..., Any]


def _longer_gaps(once: Function) -> Function:
    return lambda gaps, seconds, counts: once(gaps, seconds * 1.001, counts)


PLANTED: dict[str, tuple[Any, str, Callable[[Function], Function], str]] = {
    "a gap too long": (Gaps, "_once", _longer_gaps, "latencies"),
    "a bound too high": (bounds, "lower_bound", lambda f: lambda *a, **k: 2 * f(*a, **k), "bound"),
    "more work than was done": (
        bounds,
        "least_work",
        lambda f: lambda *a, **k: 2 * f(*a, **k),
        "efficiency",
    ),
    "a share that is higher for the slower": (
        metrics,
        "efficiency",
        lambda f: lambda *a, **k: 1 - f(*a, **k),
        "efficiency",
    ),
    "an answer beyond its limit": (
        limits,
        "_ends_at",
        lambda f: lambda *a: f(*a) + 1,
        "who is served",
    ),
    "somebody too many is refused": (
        limits,
        "_never_fit",
        lambda f: lambda trace, output, config: f(trace, output + 99, config),
        "who is served",
    ),
    "more than all slots": (metrics, "utilization", lambda f: lambda r: 9 * f(r), "summary"),
    "patience below none": (
        PlanQueue,
        "patience",
        lambda f: lambda queue, extra: -3,
        "policy error",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, attribute, plant, kind = PLANTED[name]
    monkeypatch.setattr(where, attribute, plant(getattr(where, attribute)))
    found = (failure.kind for index in range(100) for failure in check(draw(0, index)).failures)
    assert kind in found


def test_a_failure_is_one_line_with_the_commands_that_replay_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "check", lambda case: Report([Failure("clock", "it ran backwards")]))
    expressible = next(i for i in range(99) if draw(0, i).command() is not None)
    monkeypatch.setattr("sys.argv", ["sweep", "--case", f"0:{expressible}"])
    assert command_line.main() == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("FAILED clock: it ran backwards [")
    assert f": python -m benchmarks.sweep --case 0:{expressible}  or  llmsched simulate " in line


def test_the_sweep_ends_when_its_time_is_up_and_counts_its_cases(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sweep", "--minutes", "0", "--jobs", "1"])
    assert command_line.main() == 0
    assert capsys.readouterr().out == "0 cases, 0 policies, 0 cases failed\n"
