"""Run a study: what is left of it, on an executor, each row kept as soon as it is there."""

from __future__ import annotations

from collections.abc import Callable

from llmsched.comparison.checkpoint import Checkpoint
from llmsched.comparison.executors import Executor, serially
from llmsched.comparison.study import Run, Study
from llmsched.documents.row import Row

Rows = dict[Run, Row]


def run_study(
    study: Study,
    executor: Executor = serially,
    *,
    finished: Rows | None = None,
    checkpoint: Checkpoint | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Rows:
    """Compute the rows of a study.

    Parameters
    ----------
    finished : dict, optional
        Filled as rows arrive, so that an interrupted caller still has them.
    checkpoint : Checkpoint, optional
        Rows that need not be computed again; new ones are added to it.
    on_progress : callable, optional
        Told the tasks done and their total after each one.

    Returns
    -------
    dict
        Rows by task, in the order of :meth:`Study.runs` whatever the executor.
    """
    finished = {} if finished is None else finished
    if checkpoint is not None:
        finished.update(checkpoint.rows)
    tasks = list(study.runs())
    left = [task for task in tasks if task not in finished]
    done = len(tasks) - len(left)
    for task, row in executor(study, left):
        if task in finished:  # a cluster may compute a task again whose worker died after it
            continue
        finished[task] = row
        if checkpoint is not None:
            checkpoint.add(task, row)
        done += 1
        if on_progress is not None:
            on_progress(done, len(tasks))
    return {task: finished[task] for task in tasks}
