"""Executors: the same rows wherever they run, none lost and none doubled when a worker dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmsched.compare.checkpoint import Checkpoint
from llmsched.compare.executors import batches, find_executor, on_processes, serially
from llmsched.compare.run import run_study
from llmsched.compare.study import Run, Study
from llmsched.documents.result import Cases
from llmsched.documents.row import Row
from llmsched.errors import InputError
from tests.compare.studies import small_study

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
