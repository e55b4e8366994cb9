"""Realised makespans of static plans, stealing and list scheduling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.packing import Packing, pack, robust


def packing_of(bin_of: list[int], planned: list[int], bins: int) -> Packing:
    load = np.bincount(bin_of, planned, bins).astype(np.int64)
    return Packing(np.array(bin_of, dtype=np.int32), load, 0, "lpt", "average", 0.0)


def test_static_runs_what_it_was_given() -> None:
    packing = packing_of([0, 0, 1, 1], [6, 4, 5, 5], 2)
    planned = np.array([6, 4, 5, 5])
    assert robust.run_static(packing, planned, np.array([6, 9, 1, 1])) == 15


def test_stealing_takes_the_longest_from_the_bin_with_most_work_left() -> None:
    # Bin 1 is done at 2 and takes request 1 (planned 4, really 9) from bin 0: it ends at 11.
    packing = packing_of([0, 0, 1, 1], [6, 4, 5, 5], 2)
    planned = np.array([6, 4, 5, 5])
    assert robust.run_stealing(packing, planned, np.array([6, 9, 1, 1])) == 11


def test_list_scheduling_serves_the_next_free_bin() -> None:
    packing = packing_of([0, 0, 1, 1], [6, 4, 5, 5], 2)
    planned = np.array([6, 4, 5, 5])
    # Order 6, 5, 5, 4 with real 6, 1, 1, 9: bin 1 is free at 1, at 2, and runs the last to 11.
    assert robust.run_list(packing, planned, np.array([6, 9, 1, 1])) == 11


@given(
    planned=st.lists(st.integers(0, 30), min_size=1, max_size=20),
    bins=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_no_discipline_beats_the_work_or_loses_a_request(
    planned: list[int], bins: int, seed: int
) -> None:
    durations = np.array(planned)
    packing = pack(durations, bins, solver="heuristic", moves=5)
    real = np.random.default_rng(seed).integers(0, 30, len(planned))
    for run in robust.DISCIPLINES.values():
        end = run(packing, durations, real)
        assert max(-(-int(real.sum()) // bins), int(real.max())) <= end <= int(real.sum())
    assert robust.run_static(packing, durations, durations) == packing.makespan
    assert robust.run_stealing(packing, durations, durations) <= packing.makespan


def test_samples_have_the_mean_and_the_spread_asked_for() -> None:
    draws = robust.sample(np.full(50, 10_000), 0.3, 400, 0) / 10_000
    assert draws.mean() == pytest.approx(1.0, abs=0.01)
    assert draws.std() == pytest.approx(0.3, abs=0.01)


def test_the_expected_objective_chooses_the_least_mean_on_its_own_draws() -> None:
    durations = np.random.default_rng(1).integers(1, 400, 200)
    choice = robust.expected(durations, 20, 0.3, 20, 5)
    draws = robust.sample(durations, 0.3, 20, 5)
    means = {row.discipline: row.mean for row in robust.realise(choice.packing, durations, draws)}
    plain = robust.realise(pack(durations, 20, seed=5), durations, draws)
    assert means[choice.discipline] <= min(row.mean for row in plain)
    assert choice.packing.load.sum() == durations.sum()
    assert choice.packing.lower_bound <= choice.packing.makespan


def test_without_error_the_plan_is_run_as_it_stands() -> None:
    durations = np.random.default_rng(1).integers(1, 400, 200)
    choice = robust.expected(durations, 20, 0.0, 3, 0)
    assert (choice.discipline, choice.risk) == ("static", 0.0)


def test_no_samples_are_refused() -> None:
    with pytest.raises(InputError, match="samples: expected an integer >= 1, got 0"):
        robust.expected(np.array([1]), 1, 0.1, 0, 0)
