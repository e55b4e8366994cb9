"""From a problem to an answer: queues, figures and records that agree with each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from llmsched.bounds import lower_bound
from llmsched.catalog import find
from llmsched.errors import InputError
from llmsched.hardware import load_profile
from llmsched.lengths import predict
from llmsched.packing import robust
from llmsched.planning.plans import Plan, plan_replicas, plan_slots, slot_durations
from llmsched.planning.problem import Problem
from llmsched.replay import simulate
from llmsched.report.plan import plan_document, plan_json, plan_table
from llmsched.trace import Trace


def problem_of(output: list[int], slots: int, **changes: object) -> Problem:
    n = len(output)
    names = [f"r{i}" for i in range(n)]
    trace = Trace.from_columns(np.zeros(n), [100] * n, output, id=names, name="hand")
    hardware = load_profile("llama65b-8gpu-paper")
    problem = Problem(trace, hardware, replace(hardware.engine, max_num_seqs=slots))
    return replace(problem, **changes)  # type: ignore[arg-type]  # fields by name


def test_slots_run_their_requests_longest_first() -> None:
    answer = plan_slots(problem_of([2, 9, 5, 4, 4], 2))
    assert answer.queues == [[1, 0], [2, 3, 4]] or answer.queues == [[1, 3], [2, 4, 0]]
    document = plan_document(answer)
    rounds = {"r0": 1, "r1": 8, "r2": 4, "r3": 3, "r4": 3}
    slots = document["slots"]
    assert isinstance(slots, list)
    assert document["load"] == [sum(rounds[name] for name in slot) for slot in slots]
    figures = [document[key] for key in ("makespan", "lower_bound", "gap_percent", "status")]
    assert figures == [10, 10, 0.0, "optimal"]


def test_a_plan_is_a_record_that_needs_no_rerun() -> None:
    problem = problem_of([5, 6, 7], 2)
    document = json.loads(plan_json(plan_slots(problem)))
    assert document["trace"]["sha256"] == problem.trace.sha256
    assert document["hardware"]["name"] == "llama65b-8gpu-paper"
    assert document["engine"]["max_num_seqs"] == 2
    assert document["solver"]["seed"] == 0
    assert {"schema_version", "closed_by", "bound_by", "cpu_s", "unit"} <= set(document)


def test_milliseconds_are_a_stage_of_its_own_and_rounds_beside_a_full_engine() -> None:
    problem = problem_of([1, 11], 2)
    # 1.73432 + 100 * 0.26302 = 28.04 ms, and 10 rounds of 68.892 ms
    assert slot_durations(problem, problem.trace.output_tokens, "ms").tolist() == [28, 717]


def test_noisy_lengths_show_what_the_plan_comes_to() -> None:
    problem = problem_of(list(range(2, 60)), 4, lengths="noisy:0.3", samples=20)
    answer = plan_slots(problem)
    assert "makespan over 20 sampled lengths, rounds" in plan_table(answer)
    realised = plan_document(answer)["realised"]
    assert isinstance(realised, list)
    assert [row["discipline"] for row in realised] == ["static", "stealing", "list"]
    assert all(row["mean"] <= row["p90"] <= row["worst"] for row in realised)


def test_predicted_lengths_are_held_against_the_true_ones() -> None:
    answer = plan_slots(problem_of([1, 1, 1, 401], 2, lengths="mean"))
    assert plan_document(answer)["makespan"] == 200  # two requests of 101 tokens each
    assert "makespan over the true lengths" in plan_table(answer)
    realised = plan_document(answer)["realised"]
    assert isinstance(realised, list)
    assert realised[0]["mean"] == 400


def test_replicas_share_the_requests() -> None:
    problem = problem_of(list(range(2, 62)), 4)
    answer = plan_replicas(problem, 3)
    assert sorted(i for queue in answer.queues for i in queue) == list(range(60))
    for queue in answer.queues:
        tokens = problem.trace.output_tokens[queue].tolist()
        assert tokens == sorted(tokens, reverse=True)
    parts = plan_document(answer)["replicas"]
    assert isinstance(parts, list)
    assert plan_document(answer)["makespan"] == 1000 * max(part["makespan_s"] for part in parts)
    assert plan_document(answer)["unit"] == "ms"


@pytest.mark.parametrize("lengths", ["mean", "noisy:0.5"])
def test_replicas_are_planned_on_predicted_lengths_and_realised_on_true_ones(lengths: str) -> None:
    problem = problem_of(list(range(2, 62)), 4, lengths=lengths, seed=3)
    expected = replace(problem.trace, output_tokens=predict(problem.trace, lengths, 3))
    answer = plan_replicas(problem, 3)
    assert (
        answer.queues == plan_replicas(replace(problem, trace=expected, lengths="oracle"), 3).queues
    )
    parts = plan_document(answer)["replicas"]
    assert isinstance(parts, list)
    for part, queue in zip(parts, answer.queues, strict=True):
        rows = np.sort(queue)
        for trace, name in ((expected, "makespan_s"), (problem.trace, "realised_s")):
            seen = expected.output_tokens[rows]
            run = simulate(
                trace.take(rows), problem.hardware, find("ljf"), problem.config, predicted=seen
            )
            assert part[name] == run.finish.max()
    realised = plan_document(answer)["realised"]
    assert isinstance(realised, dict)
    assert realised["makespan"] == 1000 * max(part["realised_s"] for part in parts)
    bound = 1000 * lower_bound(problem.trace, problem.hardware, problem.config, total_speed=3)
    assert realised["lower_bound"] == bound <= realised["makespan"]
    assert f"realised     {realised['makespan'] / 1000:,.3f} s with the true lengths" in plan_table(
        answer
    )


def test_replicas_whose_lengths_are_known_realise_what_was_planned() -> None:
    answer = plan_replicas(problem_of(list(range(2, 62)), 4), 3)
    assert plan_document(answer)["realised"] is None
    assert "realised" not in plan_table(answer)


@pytest.mark.parametrize("plan", [plan_slots, lambda problem: plan_replicas(problem, 2)])
def test_the_same_case_gives_the_same_answer(plan: Callable[[Problem], Plan]) -> None:
    problem = problem_of(list(range(2, 42)), 4)
    first, second = plan(problem), plan(problem)
    assert first.queues == second.queues
    assert {**plan_document(first), "cpu_s": 0} == {**plan_document(second), "cpu_s": 0}


@pytest.mark.parametrize("replicas", [0, 6])
def test_more_replicas_than_requests_are_refused(replicas: int) -> None:
    with pytest.raises(InputError, match=f"expected an integer in 1..5 .*, got {replicas}"):
        plan_replicas(problem_of([2] * 5, 2), replicas)


@pytest.mark.parametrize(
    ("changes", "unit", "message"),
    [
        ({}, "hours", "unit: expected one of rounds, ms; got 'hours'"),
        ({"lengths": "noisy:x"}, "rounds", "coefficient of variation"),
        ({"lengths": "trace"}, "rounds", "carries no predicted_output_length"),
    ],
)
def test_a_case_that_makes_no_sense_is_refused(
    changes: dict[str, object], unit: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        plan_slots(problem_of([2, 3], 2, **changes), unit)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="samples: expected an integer >= 1, got 0"):
        problem_of([2], 1, samples=0)


def test_a_plan_is_judged_by_other_draws_than_those_that_chose_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int] = []
    sample = robust.sample

    def counted(durations: Any, cv: float, samples: int, seed: int) -> Any:
        seeds.append(seed)
        return sample(durations, cv, samples, seed)

    monkeypatch.setattr(robust, "sample", counted)
    problem = problem_of([9, 5, 4, 3, 2, 2], 2, lengths="noisy:0.3", objective="expected")
    plan_slots(replace(problem, samples=5))
    assert len(seeds) >= 2
    assert seeds[-1] not in seeds[:-1]
