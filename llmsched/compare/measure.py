"""The work of a comparison: one task in, one flat row out. Runs in any process, on any machine."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from llmsched import bounds, catalog, lengths, metrics
from llmsched.compare.study import Cell, Study, Task, load_trace
from llmsched.planner.stored import count_replicas, simulate_planned
from llmsched.records import finite
from llmsched.trace import Trace

Row = dict[str, float | int | str | None]


def measure(study: Study, task: Task) -> Row:
    """Compute one row: draw the case, replay it under the policy, summarize.

    A metric without samples is None, as JSON has it.
    """
    cell = study.cells[task.cell]
    trace, predicted, bound, work = _case(study, task.cell, task.case)
    result = simulate_planned(
        trace,
        cell.hardware,
        catalog.find(task.policy, study.folder),
        cell.engine,
        predicted=predicted,
        concurrency=cell.source.concurrency,
        assignment=cell.assignment,
    )
    row = metrics.summarize(result, lower_bound_s=bound, least_work_s=work, slo=study.slo)
    return {"policy": task.policy, **finite(row)}


@lru_cache(maxsize=2)
def _case(study: Study, cell: int, case: int) -> tuple[Trace, NDArray[np.int64], float, float]:
    """Return what a case's policies share: requests, predicted lengths, lower bound, least work."""
    here = study.cells[cell]
    trace = draw(here, study, case)
    seed = case_seed(study.seed, case, "lengths") if study.cases else study.seed
    predicted = lengths.predict(trace, here.lengths, seed)
    replicas = count_replicas(here.assignment)
    asked = (trace, here.hardware, here.engine, here.source.concurrency, replicas)
    return trace, predicted, bounds.lower_bound(*asked), bounds.least_work(*asked)


def draw(cell: Cell, study: Study, case: int) -> Trace:
    """Return the requests of one case.

    A bootstrap draws the trace's (input, output, prediction, limit) rows with replacement and
    leaves the arrival times where they are; see Efron, "Bootstrap methods: another look at the
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
    drawn = Trace.from_columns(
        trace.arrival,
        trace.input_tokens[rows],
        trace.output_tokens[rows],
        klass=None if trace.klass is None else trace.klass[rows],
        predicted_output_tokens=None if predicted is None else predicted[rows],
        max_output_tokens=None if limits is None else limits[rows],
        name=trace.name,
        note=trace.note,
    )
    return replace(drawn, longest_of_whole=trace.longest_output)
