"""A study shared with processes: the same there, read-only, its texts made only if asked for."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.comparison.executors import on_processes
from llmsched.comparison.measure import measure
from llmsched.comparison.run import run_study
from llmsched.comparison.shared import shared
from llmsched.comparison.study import Run, Study
from llmsched.config import EngineConfig
from llmsched.documents.result import Cases
from llmsched.errors import InputError
from llmsched.replay import simulate
from llmsched.trace import Trace
from tests.comparison.studies import small_study

_T = TypeVar("_T")
_given: Study


def _take(study: Study) -> None:
    global _given
    _given = study


@contextmanager
def _worker(study: Study) -> Iterator[Callable[[Callable[[], _T]], _T]]:
    """Start a process that a study is shared with; yield what calls a function in it."""
    spawn = multiprocessing.get_context("spawn")
    with (
        shared(study) as handed,
        ProcessPoolExecutor(1, spawn, initializer=_take, initargs=(handed,)) as pool,
    ):
        yield lambda ask: pool.submit(ask).result()


def _with_every_column() -> Study:
    study = small_study(cases=Cases(2))
    n = len(study.cells[0].trace)
    trace = Trace.from_columns(
        np.arange(n) * 0.5,
        np.arange(n) + 10,
        np.arange(n) % 7 + 1,
        id=[f"köln-{i}" for i in range(n)],
        job_class=["a" * (i % 3) for i in range(n)],
        predicted_output_tokens=np.arange(n) + 1,
        max_output_tokens=np.where(np.arange(n) % 2, 40, 0),
        hash_ids=tuple((i, 2**60 + i) for i in range(n)),
        note="made up",
        models=("m",),
    )
    cell = replace(study.cells[0], trace=replace(trace, longest_of_whole=99))
    return replace(study, cells=(cell, replace(cell, member="other"), *study.cells))


def _columns() -> dict[str, object]:
    trace = _given.cells[0].trace
    return {one.name: getattr(trace, one.name) for one in fields(trace)}


def test_a_trace_has_the_same_columns_in_a_worker() -> None:
    study = _with_every_column()
    trace = study.cells[0].trace
    with _worker(study) as ask:
        columns = ask(_columns)
    assert columns.keys() == {one.name for one in fields(trace)}
    for name, column in columns.items():
        assert np.array_equal(np.asarray(column), np.asarray(getattr(trace, name))), name
        assert type(column) is type(getattr(trace, name))


def _hashes() -> list[str]:
    return [cell.trace.sha256 for cell in _given.cells]


def _traces() -> int:
    return len({id(cell.trace) for cell in _given.cells})


def test_every_cell_keeps_its_trace_and_cells_of_one_trace_share_it() -> None:
    study = _with_every_column()
    with _worker(study) as ask:
        assert ask(_hashes) == [cell.trace.sha256 for cell in study.cells]
        assert ask(_traces) == 2


def _written() -> list[str]:
    """Return the columns that can be written here, or unlocked."""
    written = []
    for name, column in _columns().items():
        if isinstance(column, np.ndarray):
            try:
                column[0] = column[1]
            except ValueError:
                continue
            written.append(name)
    return written


def _unlocked() -> list[str]:
    unlocked = []
    for name, column in _columns().items():
        if isinstance(column, np.ndarray) and column.dtype != object:
            try:
                column.flags.writeable = True
            except ValueError:
                continue
            unlocked.append(name)
    return unlocked


def test_no_column_can_be_written_in_a_worker() -> None:
    with _worker(_with_every_column()) as ask:
        assert ask(_written) == []
        assert ask(_unlocked) == []


def _made_by_a_replay() -> list[str]:
    measure(_given, Run(0, 0, "fcfs"))
    return sorted({"id", "job_class", "hash_ids"} & vars(_given.cells[0].trace).keys())


def test_a_replay_makes_no_texts_in_a_worker() -> None:
    with _worker(replace(_with_every_column(), cases=None)) as ask:
        assert ask(_made_by_a_replay) == []


def _refusal() -> str:
    cell = _given.cells[0]
    with pytest.raises(InputError) as caught:
        simulate(
            cell.trace, cell.hardware, find("fcfs"), EngineConfig(num_gpu_blocks=2, block_size=1)
        )
    return str(caught.value)


def test_a_message_of_a_worker_names_the_request() -> None:
    with _worker(_with_every_column()) as ask:
        assert "request 'köln-" in ask(_refusal)


def _nameless() -> int:
    """Return how many files without a name this process has mapped."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return len({line.split(maxsplit=5)[5] for line in maps if line.endswith("(deleted)")})


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_the_file_has_no_name_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with _worker(small_study()) as ask:
        assert ask(_nameless) == 1
        assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_file_each_process_gets_a_copy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = small_study(cases=Cases(3))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with shared(study) as handed:
        assert handed is study
    assert run_study(study, on_processes(2)) == run_study(study)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_on_a_full_disk_each_process_gets_a_copy_and_no_file_stays_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = small_study()
    files = []

    def on_full_disk() -> BinaryIO:
        files.append(open("/dev/full", "wb", buffering=0))  # noqa: SIM115
        return files[-1]

    monkeypatch.setattr("tempfile.TemporaryFile", on_full_disk)
    with shared(study) as handed:
        assert handed is study
    assert [file.closed for file in files] == [True]
