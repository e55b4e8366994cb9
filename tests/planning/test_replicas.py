"""Replicas: every request once, balanced on simulated time, bounds that hold."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from llmsched.bounds import lower_bound
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine import SimulationResult
from llmsched.engine.replicas import Assignment, merge
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile, load_profile
from llmsched.metrics import summarize
from llmsched.packing import Progress
from llmsched.planning import replicas
from llmsched.replay import simulate
from llmsched.trace import Trace

PROFILES = ("llama65b-8gpu-paper", "llama2-7b-a100")


def batch(n: int, seed: int = 0) -> Trace:
    rng = np.random.default_rng(seed)
    return Trace.from_columns(np.zeros(n), rng.integers(5, 400, n), rng.integers(1, 300, n))


def replayed(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    rows: NDArray[np.int64] | None = None,
) -> SimulationResult:
    part = trace if rows is None else trace.take(rows)
    return simulate(part, hardware, find("ljf"), config)


@pytest.mark.parametrize("name", PROFILES)
def test_replicas_end_together_and_above_the_bound(name: str) -> None:
    trace, hardware = batch(240), load_profile(name)
    config = replace(hardware.engine, max_num_seqs=10)

    def replay(rows: NDArray[np.int64]) -> float:
        return replayed(trace, hardware, config, rows).makespan

    plan = replicas.balance(trace, hardware, config, 3, replay)
    assert sorted(np.concatenate(plan.members()).tolist()) == list(range(240))
    assert [replay(rows) for rows in plan.members()] == plan.seconds.tolist()
    assert plan.lower_bound_s <= plan.makespan_s
    assert plan.seconds.min() > 0.97 * plan.makespan_s


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("seed", range(3))
def test_no_random_split_beats_the_bound(name: str, seed: int) -> None:
    trace, hardware = batch(40, seed), load_profile(name)
    config = replace(hardware.engine, max_num_seqs=4)
    bound = lower_bound(trace, hardware, config, total_speed=2)
    replica_of = np.random.default_rng(seed).integers(0, 2, 40).astype(np.int32)
    parts = map(trace.take, Assignment(replica_of, 2).rows())
    assert bound <= max(replayed(part, hardware, config).makespan for part in parts)


def test_engine_seconds_add_up_to_no_more_than_the_bound_of_one_engine() -> None:
    trace = batch(80)
    for name in PROFILES:
        hardware = load_profile(name)
        config = replace(hardware.engine, max_num_seqs=8, num_gpu_blocks=None)
        seconds = replicas.engine_seconds(trace, hardware, config).sum()
        assert seconds <= lower_bound(trace, hardware, config) * (1 + 1e-9)


def test_merged_results_are_those_of_the_replicas_in_the_order_of_the_trace() -> None:
    trace, hardware = batch(50), load_profile(PROFILES[0])
    config = replace(hardware.engine, max_num_seqs=5)
    replica_of = (np.arange(50) % 3).astype(np.int32)
    assignment = Assignment(replica_of, 3)
    results = [replayed(trace.take(rows), hardware, config) for rows in assignment.rows()]
    merged = merge(trace, assignment, results)
    for k, result in enumerate(results):
        assert merged.finish[replica_of == k].tolist() == result.finish.tolist()
    assert merged.makespan == max(result.makespan for result in results)
    assert merged.config.max_num_seqs == 15
    starts = merged.column("start_s")
    assert np.all(np.diff(starts) >= 0)
    row = summarize(merged)
    assert row["completed"] == 50
    assert 0 < row["utilization"] <= 1


def test_a_replica_may_stay_idle_and_its_slots_count() -> None:
    trace, hardware = batch(3), load_profile(PROFILES[0])
    config = replace(hardware.engine, max_num_seqs=5)
    assignment = Assignment(np.array([2, 0, 2], dtype=np.int32), 4)  # 1 and 3 are idle
    assert [rows.tolist() for rows in assignment.rows()] == [[1], [0, 2]]
    results = [replayed(trace.take(rows), hardware, config) for rows in assignment.rows()]
    merged = merge(trace, assignment, results)
    assert merged.config.max_num_seqs == 20
    assert merged.finish[[0, 2]].tolist() == results[1].finish.tolist()


def test_a_slower_replica_gets_less_and_ends_with_the_others() -> None:
    trace, hardware = batch(240), load_profile(PROFILES[0])
    config = replace(hardware.engine, max_num_seqs=10)

    def replay(rows: NDArray[np.int64]) -> float:
        return replayed(trace, hardware, config, rows).makespan

    plan = replicas.balance(trace, hardware, config, 3, replay, speeds=(1.0, 1.0, 0.5))
    assert plan.seconds.min() > 0.97 * plan.makespan_s
    assert plan.lower_bound_s == lower_bound(trace, hardware, config, total_speed=2.5)
    assert plan.lower_bound_s <= plan.makespan_s
    tokens = [int(trace.output_tokens[rows].sum()) for rows in plan.members()]
    assert tokens[2] < 0.6 * tokens[0]


@pytest.mark.parametrize("speeds", [(1.0,), (1.0, 2.0), (0.5, 0.5), (1.0, 0.0)])
def test_speeds_are_one_a_replica_with_the_fastest_at_one(speeds: tuple[float, ...]) -> None:
    hardware = load_profile(PROFILES[0])
    with pytest.raises(InputError, match="speeds: expected 2 numbers"):
        replicas.balance(batch(3), hardware, hardware.engine, 2, len, speeds=speeds)


def test_no_replicas_are_refused() -> None:
    hardware = load_profile(PROFILES[0])
    with pytest.raises(InputError, match="replicas: expected an integer >= 1, got 0"):
        replicas.balance(batch(3), hardware, hardware.engine, 0, len)


def test_an_interrupt_keeps_the_best_split_so_far() -> None:
    trace, hardware = batch(60), load_profile(PROFILES[0])
    config = replace(hardware.engine, max_num_seqs=5)
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        signal.raise_signal(signal.SIGINT)

    def replay(rows: NDArray[np.int64]) -> float:
        return replayed(trace, hardware, config, rows).makespan

    plan = replicas.balance(trace, hardware, config, 3, replay, on_progress=interrupt)
    assert plan.interrupted
    assert [progress.makespan for progress in seen] == [round(1000 * plan.makespan_s)]


@pytest.mark.parametrize("seed", range(3))
def test_a_group_of_requests_stays_on_one_replica(seed: int) -> None:
    trace, hardware = batch(240, seed), load_profile("llama2-7b-a100")
    config = replace(hardware.engine, max_num_seqs=10)
    groups = np.sort(np.random.default_rng(seed).integers(0, 60, 240))
    groups = np.unique(groups, return_inverse=True)[1]

    def replay(rows: NDArray[np.int64]) -> float:
        return replayed(trace, hardware, config, rows).makespan

    plan = replicas.balance(trace, hardware, config, 3, replay, groups=groups)
    assert sorted(np.concatenate(plan.members()).tolist()) == list(range(240))
    homes = {(group, home) for group, home in zip(groups, plan.replica_of, strict=True)}
    assert len(homes) == len(set(groups.tolist()))
    assert [replay(rows) for rows in plan.members()] == plan.seconds.tolist()
    assert plan.lower_bound_s <= plan.makespan_s
    assert plan.seconds.min() > 0.9 * plan.makespan_s


def test_groups_of_one_are_no_groups() -> None:
    trace, hardware = batch(60), load_profile("llama2-7b-a100")
    config = replace(hardware.engine, max_num_seqs=10)

    def replay(rows: NDArray[np.int64]) -> float:
        return replayed(trace, hardware, config, rows).makespan

    alone = replicas.balance(trace, hardware, config, 2, replay)
    grouped = replicas.balance(trace, hardware, config, 2, replay, groups=np.arange(60))
    assert grouped.replica_of.tolist() == alone.replica_of.tolist()
