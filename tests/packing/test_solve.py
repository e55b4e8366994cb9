"""pack(): every request once, bounds hold, proofs are right, runs repeat."""

from __future__ import annotations

import random
import signal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.files import shipped
from llmsched.importers import load
from llmsched.packing import Packing, Progress, pack
from llmsched.packing.packing import simple_bound
from tests.packing.exact import least_makespan

DURATIONS = st.lists(st.integers(0, 60), min_size=1, max_size=24)


@given(durations=DURATIONS, bins=st.integers(1, 8))
def test_every_request_has_one_bin_and_loads_add_up(durations: list[int], bins: int) -> None:
    packing = pack(np.array(durations), bins, solver="heuristic")
    load = np.bincount(packing.bin_of, weights=np.array(durations), minlength=bins)
    assert packing.bin_of.shape == (len(durations),)
    assert packing.load.tolist() == load.astype(int).tolist()
    assert packing.lower_bound <= packing.makespan


def small_instances(count: int) -> list[tuple[list[int], int]]:
    rng = random.Random(7)
    instances = []
    for _ in range(count):
        largest = rng.choice([2, 5, 20, 100, 1000])
        durations = [rng.randint(0, largest) for _ in range(rng.randint(1, 11))]
        instances.append((durations, rng.randint(1, 5)))
    return instances


def test_small_instances_agree_with_an_exact_search() -> None:
    for durations, bins in small_instances(250):
        best = least_makespan(durations, [1] * bins)
        packing = pack(np.array(durations), bins)
        found = (packing.makespan, packing.lower_bound, packing.status)
        assert found == (best, best, "optimal"), (durations, bins)


@pytest.mark.parametrize("solver", ["heuristic", "cp-sat"])
def test_no_solver_claims_more_than_the_exact_search(solver: str) -> None:
    for durations, bins in small_instances(60):
        best = least_makespan(durations, [1] * bins)
        packing = pack(np.array(durations), bins, solver=solver)
        assert packing.lower_bound <= best <= packing.makespan
        if solver == "cp-sat":
            assert packing.status == "optimal"


def hard() -> tuple[NDArray[np.int64], int]:
    """U[1, 100] at 100 x 40: LPT fails, and simple bounds are one below the optimum."""
    return np.random.default_rng(4).integers(1, 101, 100), 40


def test_a_hard_instance_is_closed_by_exact_search_and_repeats() -> None:
    durations, bins = hard()
    first, second = pack(durations, bins), pack(durations, bins)
    assert first.status == "optimal"
    assert first.stopped_by == ""
    assert first.lower_bound > simple_bound(durations, bins)[0]
    assert first.bound_by == "columns"
    assert first.bin_of.tolist() == second.bin_of.tolist()


def test_the_paper_trace_is_proven_optimal_at_its_average_load() -> None:
    trace = load(shipped("traces", "gsm8k-llama65b.jsonl"))
    packing = pack(trace.output_tokens - 1, 200, solver="heuristic")
    assert (packing.makespan, packing.lower_bound, packing.status) == (2268, 2268, "optimal")
    assert (packing.closed_by, packing.bound_by) == ("repartition", "average")


@pytest.mark.parametrize(
    ("durations", "bins", "makespan"),
    [
        ([7] * 1000, 64, 112),  # all equal: 16 on the fullest
        ([10**6] + [1] * 500, 8, 10**6),  # one giant
        ([3, 2], 5, 3),  # fewer requests than bins
        ([0] * 40, 6, 0),  # nothing to do
        ([0, 0, 5], 2, 5),
        ([2**40, 2**40, 2**39, 2**39], 2, 3 * 2**39),
    ],
)
def test_hard_inputs_are_solved(durations: list[int], bins: int, makespan: int) -> None:
    packing = pack(np.array(durations), bins)
    assert (packing.makespan, packing.status) == (makespan, "optimal")


@settings(max_examples=20)
@given(durations=DURATIONS, bins=st.integers(1, 6), seed=st.integers(0, 3))
def test_the_same_call_gives_the_same_plan(durations: list[int], bins: int, seed: int) -> None:
    def again() -> Packing:
        return pack(np.array(durations), bins, solver="heuristic", seed=seed)

    assert again().bin_of.tolist() == again().bin_of.tolist()


def test_a_time_limit_that_cuts_the_search_short_is_told() -> None:
    durations, bins = hard()
    packing = pack(durations, bins, time_limit_s=1e-9)
    assert (packing.status, packing.stopped_by) == ("feasible", "time")


def test_effort_that_is_spent_is_told() -> None:
    durations, bins = hard()
    packing = pack(durations, bins, solver="heuristic", moves=5)
    assert (packing.status, packing.stopped_by) == ("feasible", "effort")


def test_progress_shows_a_bound_that_rises_and_a_makespan_that_falls() -> None:
    seen: list[Progress] = []
    durations, bins = hard()
    pack(durations, bins, on_progress=seen.append)
    bounds, makespans = [p.lower_bound for p in seen], [p.makespan for p in seen]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1]
    assert makespans == sorted(makespans, reverse=True)
    assert makespans[-1] == bounds[-1]


def test_an_interrupt_returns_the_best_plan_so_far() -> None:
    durations, bins = hard()

    def interrupt(_: Progress) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        pack(durations, bins, on_progress=interrupt)
    packing = pack(durations, bins, interruptible=True, on_progress=interrupt)
    assert packing.stopped_by == "interrupt"
    assert packing.load.sum() == durations.sum()
    assert packing.lower_bound <= packing.makespan


@pytest.mark.parametrize(
    ("durations", "bins", "solver", "message"),
    [
        ([], 2, "auto", "non-empty"),
        ([1, -1], 2, "auto", ">= 0, got -1"),
        ([1], 0, "auto", ">= 1, got 0"),
        ([2**62, 2**62], 2, "auto", "at most 2\\*\\*62"),
        ([1], 1, "magic", "one of auto, cp-sat, heuristic; got 'magic'"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    durations: list[int], bins: int, solver: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pack(np.array(durations, dtype=np.int64), bins, solver=solver)
