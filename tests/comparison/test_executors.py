"""Executors: the same rows wherever they run, none lost and none doubled when a worker dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path

import pytest

from llmsched.comparison.checkpoint import Checkpoint
from llmsched.comparison.executors import (
    batches,
    find_executor,
    on_processes,
    once_worth_it,
    serially,
)
from llmsched.comparison.measure import measure
from llmsched.comparison.run import run_study
from llmsched.comparison.study import Run, Study
from llmsched.documents.result import Cases
from llmsched.documents.row import Row
from llmsched.errors import InputError
from tests.comparison.studies import small_study

CASES = Cases(12)


def test_processes_give_the_rows_of_one_process_in_the_same_order() -> None:
    study = small_study(cases=CASES)
    alone, together = run_study(study), run_study(study, on_processes(2))
    assert list(alone.items()) == list(together.items())
    assert len(alone) == 24


def test_a_killed_process_costs_no_row_and_doubles_none() -> None:
    study = small_study(cases=Cases(40), requests=300)
    seen: list[Run] = []
    for task, _ in on_processes(2)(study, list(study.runs())):
        seen.append(task)
        if len(seen) == 3:
            victim = multiprocessing.active_children()[0].pid
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
    assert sorted(seen) == sorted(study.runs())


def test_the_policies_of_a_case_stay_together_while_every_worker_has_work() -> None:
    tasks = list(small_study(cases=Cases(3)).runs())
    assert batches(tasks, 3) == [tasks[0:2], tasks[2:4], tasks[4:6]]
    assert batches(tasks, 4) == [[task] for task in tasks]


def test_a_row_that_arrives_twice_counts_once() -> None:
    study = small_study(cases=CASES)

    def stuttering(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        for task, row in serially(study, tasks):
            yield task, row
            yield task, row

    told: list[int] = []
    rows = run_study(
        study,
        stuttering,
        on_progress=lambda done, total: told.append(done),
    )
    assert rows == run_study(study)
    assert told == list(range(1, 25))


@pytest.mark.parametrize(
    ("name", "jobs", "message"),
    [
        ("ray", 1, "expected local or dask, got 'ray'"),
        (None, -1, "expected an integer >= 0, got -1"),
    ],
)
def test_a_bad_executor_is_refused(name: str | None, jobs: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_executor(name, jobs)


def test_dask_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="needs the extra dask")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(InputError, match="DASK_SCHEDULER_ADDRESS"):
        find_executor("dask", 1)


def test_dask_survives_the_death_of_one_of_two_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    study = small_study(cases=Cases(40), requests=300)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        seen: list[Run] = []
        rows: dict[Run, Row] = {}
        for task, row in find_executor("dask", 1)(study, list(study.runs())):
            seen.append(task)
            rows[task] = row
            if len(seen) == 5:
                os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    assert sorted(seen) == sorted(study.runs())
    assert rows == run_study(study)


class _Many:
    """An executor that only says what it was given."""

    def __init__(self) -> None:
        self.given: list[Run] = []

    def __call__(self, study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        self.given = list(tasks)
        yield from serially(study, self.given)


def _clock(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Let measurements take these CPU seconds, and further ones as long as the last."""
    ends = (end for each in chain(seconds, repeat(seconds[-1])) for end in (0.0, each))
    monkeypatch.setattr("llmsched.comparison.executors.process_time", ends.__next__)


@pytest.mark.parametrize(
    ("seconds", "here"),
    [
        ((0.08,), 24),  # 1.92 s in all
        ((0.1,), 24),  # after 2 s here, 0.4 s are left
        ((0.125,), 24),  # after 2 s here, 1 s is left
        ((0.25,), 8),  # after 2 s here, 4 s are left
        ((1.0,), 2),
        ((3.0,), 1),
        ((0.5, 0.1), 24),  # after 2 s here, 16 tasks, 8 of 0.125 s are left
        ((2.5, 0.01), 1),  # it cannot know
    ],
)
def test_processes_start_once_two_seconds_are_used_and_two_more_are_left(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, ...], here: int
) -> None:
    study, many = small_study(cases=CASES), _Many()
    _clock(monkeypatch, *seconds)
    rows = run_study(study, once_worth_it(many))
    assert many.given == list(study.runs())[here:]
    assert rows == run_study(study)


def test_no_process_starts_for_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    study, many = replace(small_study(cases=Cases(2)), policies=("fcfs",)), _Many()
    _clock(monkeypatch, 100.0)
    monkeypatch.setattr("llmsched.comparison.executors.pace", lambda study, task: 100.0)
    tasks = list(study.runs())
    assert [task for task, _ in once_worth_it(many)(study, tasks[:1])] == tasks[:1]
    assert many.given == []
    assert [task for task, _ in once_worth_it(many)(study, tasks)] == tasks
    assert many.given == tasks
    assert list(once_worth_it(many)(study, [])) == []


@pytest.mark.parametrize(("seconds", "handed"), [(2.0, 4), (1.9, 0)])
def test_the_start_of_a_long_trace_says_whether_processes_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, seconds: float, handed: int
) -> None:
    study = small_study(requests=60)
    long = small_study(requests=70).cells[0]
    study, many = replace(study, cells=(*study.cells, long)), _Many()
    asked: list[Run] = []

    def pace(study: Study, task: Run) -> float:
        asked.append(task)
        return seconds / 260

    monkeypatch.setattr("llmsched.comparison.executors.pace", pace)
    run_study(study, once_worth_it(many))
    assert asked == [Run(1, 0, "fcfs")]
    assert len(many.given) == handed


def test_a_task_that_is_interrupted_here_leaves_the_rows_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study, many = small_study(cases=CASES), _Many()
    tasks = list(study.runs())

    def interrupted(study: Study, task: Run) -> Row:
        if task == tasks[3]:
            raise KeyboardInterrupt
        return measure(study, task)

    monkeypatch.setattr("llmsched.comparison.executors.measure", interrupted)
    finished: dict[Run, Row] = {}
    with pytest.raises(KeyboardInterrupt):
        run_study(study, once_worth_it(many), finished=finished)
    assert list(finished) == tasks[:3]
    assert many.given == []


def test_a_checkpoint_is_not_computed_again(tmp_path: Path) -> None:
    study = small_study(cases=CASES)
    computed: list[Run] = []

    def counting(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        for task, row in serially(study, tasks):
            computed.append(task)
            yield task, row

    path = tmp_path / "rows.jsonl"
    first = run_study(small_study(cases=Cases(4)), checkpoint=Checkpoint(path, study))
    rows = run_study(study, counting, checkpoint=Checkpoint(path, study))
    assert len(first) == 8
    assert len(computed) == 16
    assert rows == run_study(study)


def test_an_error_of_a_study_ends_no_process_that_is_not_its_own() -> None:
    mine = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    mine.start()
    try:
        study = replace(small_study(cases=Cases(4)), policies=("fcfs", "vllm"))
        with pytest.raises(InputError, match="vllm"):
            list(on_processes(2)(study, study.runs()))
        assert mine.is_alive()
    finally:
        mine.kill()
