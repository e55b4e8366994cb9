"""Cases on many processes until the time is up, and a count of what came of them."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field

from benchmarks.sweep.checks import Failure, Report, check
from benchmarks.sweep.draw import Case, draw
from llmsched.comparison.executors import end_with_parent

LIMIT_S = 300
"""A case that takes longer counts as one that hangs."""


@dataclass(frozen=True)
class Outcome:
    """What a process sends back of one case."""

    case: str
    inputs: str
    policy: str
    failures: list[Failure]
    notes: Counter[str]
    command: str | None

    def lines(self) -> Iterator[str]:
        """Yield one line a failure: what broke, and how to see it again."""
        again = f"python -m benchmarks.sweep --case {self.case}"
        again += f"  or  {self.command}" if self.command else ""
        for failure in self.failures:
            yield f"FAILED {failure.kind}: {failure.message} [{self.inputs}]: {again}"


@dataclass
class Tally:
    """Cases so far: how many, with which policies, how they were judged, what failed."""

    cases: int = 0
    failed: int = 0
    policies: set[str] = field(default_factory=set)
    kinds: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one case."""
        self.cases += 1
        self.failed += bool(outcome.failures)
        self.policies.add(outcome.policy)
        self.kinds.update(failure.kind for failure in outcome.failures)
        self.notes.update(outcome.notes)

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        yield f"{self.cases:,} cases, {len(self.policies):,} policies, {self.failed:,} cases failed"
        for title, counts in (("failures", self.kinds), ("notes", self.notes)):
            for name, count in sorted(counts.items()):
                yield f"  {title}: {count:,} {name}"


def outcome_of(seed: int, index: int) -> Outcome:
    """Draw and check one case."""
    case = draw(seed, index)
    report = _within_limit(case)
    command = case.command() if report.failures else None
    where = "" if case.replicas is None else f", {case.replicas} replicas"
    inputs = f"{case.kind}, {len(case.trace)} requests, {case.hardware.name}{where}"
    inputs = f"{inputs}, {case.policy.name}, {case.lengths}"
    return Outcome(case.name, inputs, case.policy.name, report.failures, report.notes, command)


def _within_limit(case: Case) -> Report:
    """Check a case; one that takes too long fails as if it had raised an error."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"it took longer than {LIMIT_S} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
    try:
        return check(case)
    finally:
        signal.alarm(0)


def outcomes(seed: int, seconds: float, jobs: int) -> Iterator[Outcome]:
    """Yield the outcomes of cases 0, 1, 2, ... in this order until the time is up."""
    deadline = time.monotonic() + seconds
    waiting: deque[Future[Outcome]] = deque()
    with ProcessPoolExecutor(jobs, initializer=end_with_parent) as pool:
        for index in itertools.count():
            if time.monotonic() >= deadline:
                break
            waiting.append(pool.submit(outcome_of, seed, index))
            if len(waiting) > 4 * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
