"""The work of a comparison: one task in, one flat row out. Runs in any process, on any machine."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from time import process_time

import numpy as np
from numpy.typing import NDArray

from llmsched import catalog
from llmsched.comparison.axes import load_trace
from llmsched.comparison.study import Cell, Run, Study
from llmsched.documents.row import Row
from llmsched.errors import LlmschedError
from llmsched.records import finite, listed_groups
from llmsched.replay import Case, group_rows, replay
from llmsched.trace import Trace

_FIRST = 10_000
"""Requests that are enough to say how fast a trace is replayed: 0.2 s of plain Python."""


def measure(study: Study, task: Run) -> Row:
    """Compute one row: draw the case, replay it under the policy, summarize.

    A metric without samples is None, as JSON has it.
    """
    policy = catalog.find(task.policy, study.folder)
    case = _case(study, task.cell, task.case)
    result, row = replay(case, policy)
    return {"policy": task.policy, **finite(row), **listed_groups(group_rows(case, result))}


def pace(study: Study, task: Run) -> float:
    """Return the CPU seconds that a request of a long trace takes, by its first ones; else 0.

    A trace that is not much longer than that is not worth it, and one whose start cannot be
    replayed is to say so in the study itself: both 0.
    """
    cell = study.cells[task.cell]
    if len(cell.trace) <= 2 * _FIRST:
        return 0.0

    def seconds(requests: int) -> float:
        start = replace(cell, trace=cell.trace.take(np.arange(requests)), assignment=None)
        begun = process_time()
        measure(replace(study, cells=(start,), cases=None), Run(0, 0, task.policy))
        return process_time() - begun

    try:
        seconds(_FIRST // 100)  # what is imported on first use is no request's
        return seconds(_FIRST) / _FIRST
    except LlmschedError:
        return 0.0


@lru_cache(maxsize=2)
def _case(study: Study, cell: int, case: int) -> Case:
    """Return the case that all policies of one draw share, with its bounds once computed."""
    here = study.cells[cell]
    return Case(
        draw(here, study, case),
        here.hardware,
        here.engine,
        lengths=here.lengths,
        seed=case_seed(study.seed, case, "lengths") if study.cases else study.seed,
        concurrency=here.source.concurrency,
        assignment=here.assignment,
        slo=study.slo,
        on_error=here.on_error,
        counted=study.counted,
        by=study.by,
        stalls=study.stalls,
    )


def draw(cell: Cell, study: Study, case: int) -> Trace:
    """Return the requests of one case.

    A bootstrap draws the trace's (input, output, prediction, limit, timeout) rows with replacement
    and leaves the arrival times where they are; see Efron, "Bootstrap methods: another look at the
    jackknife", Annals of Statistics 7 (1979).
    """
    if study.cases is None or study.cases.draw == "lengths":
        return cell.trace
    seed = case_seed(study.seed, case, "requests")
    if study.cases.draw == "synthetic":
        return load_trace(cell.source, seed)
    rows = np.random.default_rng(seed).integers(0, len(cell.trace), len(cell.trace))
    return _resampled(cell.trace, rows)


def case_seed(seed: int, case: int, purpose: str) -> int:
    """Return a seed of its own for each case and purpose."""
    words = (seed, case, {"requests": 0, "lengths": 1}[purpose])
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _resampled(trace: Trace, rows: NDArray[np.int64]) -> Trace:
    predicted, limits = trace.predicted_output_tokens, trace.max_output_tokens
    timeout = trace.timeout
    drawn = Trace.from_columns(
        trace.arrival,
        trace.input_tokens[rows],
        trace.output_tokens[rows],
        job_class=None if trace.job_class is None else trace.job_class[rows],
        predicted_output_tokens=None if predicted is None else predicted[rows],
        max_output_tokens=None if limits is None else limits[rows],
        timeout=None if timeout is None else timeout[rows],
        name=trace.name,
        note=trace.note,
    )
    return replace(drawn, longest_of_whole=trace.longest_output)
