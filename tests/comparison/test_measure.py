"""Cases: what a draw keeps, what it changes, and that it is the same on every machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from llmsched.comparison.measure import case_seed, draw, measure, pace
from llmsched.comparison.study import Run, Study
from llmsched.documents.result import Cases
from llmsched.documents.row import Row
from llmsched.lengths import predict
from tests.comparison.studies import small_study


def test_a_bootstrap_resamples_rows_and_keeps_arrivals() -> None:
    study = small_study(cases=Cases(5))
    (cell,) = study.cells
    drawn = draw(cell, study, 3)
    rows = set(zip(cell.trace.input_tokens, cell.trace.output_tokens, strict=True))
    pairs = Counter(zip(drawn.input_tokens, drawn.output_tokens, strict=True))
    assert set(pairs) <= rows
    assert max(pairs.values()) > 1
    assert np.array_equal(drawn.arrival, cell.trace.arrival)
    assert len(set(drawn.id)) == len(cell.trace)


def test_a_bootstrap_keeps_each_prediction_with_its_request() -> None:
    study = small_study(cases=Cases(5), lengths="trace")
    (cell,) = study.cells
    doubled = replace(cell.trace, predicted_output_tokens=2 * cell.trace.output_tokens)
    drawn = draw(replace(cell, trace=doubled), study, 3)
    assert drawn.predicted_output_tokens is not None
    assert np.array_equal(drawn.predicted_output_tokens, 2 * drawn.output_tokens)
    assert predict(drawn, "trace") is drawn.predicted_output_tokens


def test_every_case_has_a_draw_of_its_own_that_never_changes() -> None:
    study = small_study(cases=Cases(5))
    (cell,) = study.cells
    hashes = [draw(cell, study, case).sha256 for case in range(5)]
    assert len(set(hashes)) == 5
    assert hashes == [draw(cell, study, case).sha256 for case in range(5)]
    other = small_study(cases=Cases(5), seed=1)
    assert draw(other.cells[0], other, 0).sha256 not in hashes


def test_without_cases_the_trace_is_replayed_as_it_is() -> None:
    study = small_study()
    (cell,) = study.cells
    assert draw(cell, study, 0) is cell.trace
    lengths = small_study(cases=Cases(5, "lengths"), lengths="noisy:0.3")
    assert draw(lengths.cells[0], lengths, 4) is lengths.cells[0].trace


def test_seeds_differ_by_case_and_purpose() -> None:
    seeds = {
        case_seed(seed, case, purpose)
        for seed in (0, 1)
        for case in range(50)
        for purpose in ("requests", "lengths")
    }
    assert len(seeds) == 200


def test_a_row_names_its_policy_and_has_none_where_there_is_no_sample() -> None:
    row = measure(small_study(), Run(0, 0, "ljf"))
    assert row["policy"] == "ljf"
    assert row["completed"] == 30
    assert row["slo_attainment"] is None
    assert isinstance(row["lower_bound_s"], float)
    assert isinstance(row["makespan_s"], float)
    assert row["lower_bound_s"] <= row["makespan_s"]


def test_a_bootstrap_keeps_limits_with_their_rows_and_the_longest_output_of_the_trace() -> None:
    study = small_study(cases=Cases(5))
    trace = study.cells[0].trace
    limited = replace(trace, max_output_tokens=trace.output_tokens * 2)
    drawn = draw(replace(study.cells[0], trace=limited), study, 3)
    assert drawn.max_output_tokens is not None
    assert np.array_equal(drawn.max_output_tokens, drawn.output_tokens * 2)
    shorter = [draw(study.cells[0], study, i) for i in range(5)]
    assert any(trace.output_tokens.max() > one.output_tokens.max() for one in shorter)
    assert {one.longest_output for one in shorter} == {trace.longest_output}


def test_only_a_long_trace_has_a_pace_and_its_start_alone_is_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmsched.comparison.measure._FIRST", 100)
    replayed: list[tuple[int, str]] = []

    def counting(study: Study, task: Run) -> Row:
        replayed.append((study.requests(task), task.policy))
        return measure(study, task)

    monkeypatch.setattr("llmsched.comparison.measure.measure", counting)
    assert pace(small_study(requests=200), Run(0, 0, "ljf")) == 0
    assert replayed == []
    assert pace(small_study(requests=201, cases=Cases(5)), Run(0, 3, "ljf")) > 0
    assert replayed == [(1, "ljf"), (100, "ljf")]


def test_the_pace_is_of_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmsched.comparison.measure._FIRST", 100)
    clock = iter([0.0, 5.0, 10.0, 13.0])
    monkeypatch.setattr("llmsched.comparison.measure.process_time", clock.__next__)
    assert pace(small_study(requests=201), Run(0, 0, "ljf")) == 0.03


def test_a_start_that_cannot_be_replayed_has_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmsched.comparison.measure._FIRST", 100)
    assert pace(small_study(requests=201), Run(0, 0, "vllm")) == 0


def test_a_study_that_measures_no_stalls_has_the_same_row_without_them() -> None:
    study = small_study()
    task = next(study.runs())
    row, less = measure(study, task), measure(replace(study, stalls=False), task)
    unknown = {name for name, value in row.items() if less[name] != value}
    assert unknown == {"mean_stall_ms", "p99_stall_ms"}
    assert all(less[name] is None for name in unknown)
