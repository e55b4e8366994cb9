"""A saved plan for replicas replays as it was planned."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine.replicas import Assignment
from llmsched.errors import InputError
from llmsched.hardware import load_profile
from llmsched.metrics import summarize
from llmsched.planning.plans import plan_replicas
from llmsched.planning.problem import Problem
from llmsched.planning.stored import read_replicas
from llmsched.replay import simulate
from llmsched.report.plan import plan_document, plan_json
from llmsched.trace import Trace
from tests.hand import MIXED, token_gaps


def problem() -> Problem:
    rng = np.random.default_rng(3)
    trace = Trace.from_columns(np.zeros(50), rng.integers(5, 90, 50), rng.integers(1, 90, 50))
    hardware = load_profile("llama65b-8gpu-paper")
    return Problem(trace, hardware, replace(hardware.engine, max_num_seqs=4))


def test_the_replay_takes_as_long_as_the_plan_says(tmp_path: Path) -> None:
    planned, given = plan_replicas(problem(), 3), problem()
    path = tmp_path / "plan.json"
    path.write_text(plan_json(planned))

    assignment = read_replicas(path, given.trace)
    result = simulate(given.trace, given.hardware, find("ljf"), given.config, assignment=assignment)
    assert 1000 * result.makespan == plan_document(planned)["makespan"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": None}, "replicas: expected a list, got None"),
        ({"replicas": [{"requests": [1]}]}, r"replicas\[0\].requests\[0\]: expected a text, got 1"),
        ({"trace": {}}, "trace.sha256: expected a text, got nothing"),
        ({"trace": {"sha256": "ab"}}, "trace.sha256: expected that of trace, got 'ab'"),
        ({"replicas": [{"requests": ["0"]}]}, "expected every request of trace once"),
        ({"replicas": [{"requests": ["0"] * 50}]}, "expected every request of trace once"),
    ],
)
def test_what_is_no_plan_for_this_trace_is_refused(
    change: dict[str, object], message: str, tmp_path: Path
) -> None:
    document = {**json.loads(plan_json(plan_replicas(problem(), 2))), **change}
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=message):
        read_replicas(path, problem().trace)


@pytest.mark.parametrize(
    ("content", "message"), [("[1]", "plan for replicas"), ("{", "a plan, got")]
)
def test_files_that_are_no_plan_are_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_replicas(path, problem().trace)
    with pytest.raises(InputError, match=r"none\.json: cannot read"):
        read_replicas(tmp_path / "none.json", problem().trace)


def test_token_gaps_of_replicas_side_by_side_sum_to_the_requests_own() -> None:
    given = problem()

    assignment = Assignment(np.arange(50, dtype=np.int32) % 3, 3)
    joined = simulate(
        given.trace, given.hardware, find("fcfs"), given.config, assignment=assignment
    )
    gaps, counts = token_gaps(joined)
    assert counts.sum() == (given.trace.output_tokens - 1).sum()
    assert (gaps * counts).sum() == pytest.approx((joined.finish - joined.first_token).sum())
    assert 0 < summarize(joined)["utilization"] <= 1


def test_replicas_reserve_for_the_longest_output_of_the_whole_trace() -> None:
    """Alone, the second part's output of 2 would be its limit, and both would run at once."""
    trace = Trace.from_columns([0, 0, 0], [1, 1, 1], [9, 2, 2])
    config = EngineConfig(2, block_size=1, num_gpu_blocks=18)  # 17 usable, 9 for each of them
    assignment = Assignment(np.array([0, 1, 1], dtype=np.int32), 2)
    result = simulate(
        *(trace, MIXED, find("orca"), config),
        predicted=trace.output_tokens,
        assignment=assignment,
    )
    assert result.admitted.tolist() == [0.0, 0.0, result.finish[1]]
    planned = plan_replicas(Problem(trace, MIXED, config), 2, "orca")
    assert plan_document(planned)["makespan"] == 1000 * result.makespan
