"""Where the tasks of a study run: this process, processes of this machine, or a Dask cluster.

An executor takes a study and tasks and yields (task, row) as they finish, each task once. Dask and
not Ray: it resubmits the tasks of a worker that died by itself, its address comes from
``DASK_SCHEDULER_ADDRESS``, and it installs as a few small pure-Python wheels.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from queue import SimpleQueue
from time import process_time
from typing import Any

from llmsched.comparison.measure import measure, pace
from llmsched.comparison.shared import shared
from llmsched.comparison.study import Run, Study
from llmsched.documents.row import Row
from llmsched.errors import InputError, LlmschedError

_PATIENCE_S = 10
"""Seconds to wait for a scheduler to answer, and for its first worker."""

Executor = Callable[[Study, Iterable[Run]], Iterator[tuple[Run, Row]]]

WORTH_S = 2.0
"""Seconds of work that are done here rather than by processes, which take 0.4 s each to start."""

_RETRIES = 3
"""Deaths of a worker that a task survives: by then it is the task that kills them."""


def serially(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
    """Run the tasks one after the other in this process."""
    for task in tasks:
        yield task, measure(study, task)


def once_worth_it(many: Executor) -> Executor:
    """Return an executor that works here, and leaves to `many` what it is worth starting it for.

    That is more than one task, and more than `WORTH_S`: as the tasks done here say once these took
    as long, and, lest that be one long task, as the start of the longest trace says before.
    """

    def run(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        left = deque(tasks)
        waiting, done, spent_s = sum(study.requests(task) for task in left), 0, 0.0
        pace_s = pace(study, max(left, key=study.requests)) if len(left) > 1 else 0.0
        while len(left) == 1 or (left and pace_s * waiting < WORTH_S):
            task = left.popleft()
            begun = process_time()
            row = measure(study, task)
            spent_s += process_time() - begun
            done += study.requests(task)
            waiting -= study.requests(task)
            if spent_s >= WORTH_S:
                pace_s = spent_s / done
            yield task, row
        if left:
            yield from many(study, left)

    return run


def on_processes(jobs: int) -> Executor:
    """Return an executor on `jobs` processes of this machine.

    A worker that dies (killed, out of memory) takes the pool with it; what was not finished starts
    again on a new pool. An `LlmschedError` ends it when workers die over and over.
    """

    def run(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        left = list(tasks)
        deaths = 0
        with shared(study) as handed:
            while left:
                done: set[Run] = set()
                try:
                    for task, row in _on_pool(jobs, handed, left):
                        done.add(task)
                        yield task, row
                except BrokenProcessPool as error:
                    deaths = 1 if done else deaths + 1
                    if deaths > _RETRIES:
                        raise LlmschedError(
                            f"worker processes died {deaths} times in a row (out of memory?); "
                            "try fewer --jobs"
                        ) from error
                left = [task for task in left if task not in done]

    return run


def _on_pool(jobs: int, handed: Any, tasks: list[Run]) -> Iterator[tuple[Run, Row]]:
    pool = ProcessPoolExecutor(
        max_workers=min(jobs, len(tasks)),
        mp_context=multiprocessing.get_context("spawn"),  # fork copies locks that threads hold
        initializer=_adopt,
        initargs=(handed,),
    )
    # Not `as_completed`: it takes the locks of all futures, and a Ctrl-C that finds it there leaves
    # them taken, for which the pool's own thread would wait for ever.
    finished: SimpleQueue[Future[list[Row]]] = SimpleQueue()
    others = multiprocessing.active_children()
    try:
        with _interrupts_held():
            futures = {pool.submit(_measure_adopted, each): each for each in batches(tasks, jobs)}
            for future in futures:
                future.add_done_callback(finished.put)
        for _ in futures:
            future = finished.get()
            yield from zip(futures[future], future.result(), strict=True)
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep a Ctrl-C until the block ends: no process that it starts sees one, nor is half started.

    A worker can only begin to ignore it once it runs, and would print a traceback until then; so it
    inherits a mask. The mask alone does not keep this process whole: any thread may take a signal.
    """
    in_main = threading.current_thread() is threading.main_thread()  # no other is interrupted
    if not in_main or not hasattr(signal, "pthread_sigmask"):  # Windows has none
        yield
        return
    held: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if held:
        signal.raise_signal(signal.SIGINT)


_adopted: Study | None = None


def _adopt(study: Study) -> None:
    """Give a worker process its study once, instead of with every task; Ctrl-C is the parent's."""
    global _adopted
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    _adopted = study


def end_with_parent() -> None:
    """Let this process end when the one that waits for its work is killed; a pool does not."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _measure_adopted(batch: Sequence[Run]) -> list[Row]:
    assert _adopted is not None
    return _measure_batch(_adopted, batch)


def _measure_batch(study: Study, batch: Sequence[Run]) -> list[Row]:
    return [measure(study, task) for task in batch]


def batches(tasks: Iterable[Run], workers: int) -> list[list[Run]]:
    """Return the tasks in batches for `workers`.

    The policies of one case share its draw, its bound and its plan, so they stay together, unless
    that would leave workers without work.
    """
    together: dict[tuple[int, int], list[Run]] = {}
    for task in tasks:
        together.setdefault((task.cell, task.case), []).append(task)
    if len(together) >= workers:
        return list(together.values())
    return [[task] for batch in together.values() for task in batch]


def on_dask() -> Executor:
    """Return an executor on the Dask cluster that runs at ``DASK_SCHEDULER_ADDRESS``.

    Raises
    ------
    InputError
        Dask is not installed, there is no address, or nobody answers there.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise InputError("executor: dask needs Dask: pip install distributed") from error
    where = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not where:
        raise InputError(
            "executor: dask: expected the scheduler's address in DASK_SCHEDULER_ADDRESS, "
            "for example tcp://10.0.0.1:8786"
        )

    def run(study: Study, tasks: Iterable[Run]) -> Iterator[tuple[Run, Row]]:
        try:
            client = distributed.Client(where, set_as_default=False, timeout=_PATIENCE_S)
        except (OSError, ValueError) as error:
            raise InputError(f"executor: dask: no scheduler answers at {where}") from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_PATIENCE_S)
            except TimeoutError as error:
                raise InputError(f"executor: dask: {where} has no workers") from error
            # A task's result, not scattered data: Dask can make it again when its holder dies.
            shared = client.submit(_itself, study, pure=False)
            futures = {
                client.submit(_measure_batch, shared, batch, pure=False): batch
                for batch in batches(tasks, sum(client.nthreads().values()))
            }
            try:
                for future, rows in distributed.as_completed(
                    futures, loop=client.loop, with_results=True
                ):
                    yield from zip(futures[future], rows, strict=True)
            except distributed.KilledWorker as error:
                raise LlmschedError(f"executor: dask: workers keep dying: {error}") from error

    return run


def _itself(study: Study) -> Study:
    return study


def find_executor(name: str | None, jobs: int) -> Executor:
    """Return the executor of a name: local (with `jobs` processes, 0 one a core) or dask.

    Raises
    ------
    InputError
        An unknown name, or a negative number of jobs.
    """
    if jobs < 0:
        raise InputError(f"jobs: expected an integer >= 0, got {jobs}")
    if name == "dask":
        return on_dask()
    if name not in (None, "local"):
        raise InputError(f"executor: expected local or dask, got {name!r}")
    count = jobs or os.cpu_count() or 1
    return serially if count == 1 else once_worth_it(on_processes(count))
