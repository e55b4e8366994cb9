"""Splitting a batch over data-parallel replicas, balanced on simulated time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmsched.bounds import lower_bound
from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.gap import gap_percent
from llmsched.hardware import HardwareProfile
from llmsched.packing.packing import OnProgress, Progress
from llmsched.packing.repartition import Repartition
from llmsched.packing.solve import pack
from llmsched.request_prices import request_prices
from llmsched.trace import Trace

TICK_S = 1e-6
"""Seconds of engine time that weights are rounded to, so that they can be packed."""
PATIENCE = 3
"""Corrections without a shorter makespan after which balancing ends."""
MOVES, MOVES_A_REQUEST = 4_000, 16
"""Repartitions tried for one correction: the first, or the second times the requests, if less."""


@dataclass(frozen=True, eq=False)
class ReplicaPlan:
    """Requests assigned to replicas, with the time that each replica was simulated to take.

    Attributes
    ----------
    replica_of : int32, shape (n,)
        Replica of each request.
    seconds : float64, shape (replicas,)
        Simulated total inference time of each replica; 0 for one without requests.
    lower_bound_s : float
        No split of these requests over so many replicas ends sooner, whatever their policies.
    corrections : int
        Simulations of all replicas after the first one.
    interrupted : bool
        Whether Ctrl-C ended the corrections; the plan is the best one until then.
    realised : ReplicaPlan or None
        The same split with the true lengths, where it was made on predicted ones.
    """

    replica_of: NDArray[np.int32]
    seconds: NDArray[np.float64]
    lower_bound_s: float
    corrections: int
    interrupted: bool = False
    realised: ReplicaPlan | None = None

    @property
    def makespan_s(self) -> float:
        """Seconds until the last replica is done."""
        return float(self.seconds.max())

    @property
    def gap_percent(self) -> float:
        """Distance to the bound in percent of the bound."""
        return gap_percent("the plan", self.makespan_s, self.lower_bound_s)

    def progress(self, seconds: float) -> Progress:
        """Return where the plan stands, in milliseconds."""
        makespan, bound = round(1000 * self.makespan_s), round(1000 * self.lower_bound_s)
        return Progress(seconds, "ms, simulated", makespan, bound)

    def members(self) -> list[NDArray[np.int64]]:
        """Return the requests of each replica, rising."""
        return [np.flatnonzero(self.replica_of == r) for r in range(len(self.seconds))]


def balance(
    trace: Trace,
    hardware: HardwareProfile,
    config: EngineConfig,
    replicas: int,
    replay: Callable[[NDArray[np.int64]], float],
    *,
    groups: NDArray[np.int64] | None = None,
    speeds: Sequence[float] = (),
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> ReplicaPlan:
    """Split `trace` so that all replicas end at the same time.

    Groups of requests are packed by the engine time they are certain to cost. What that leaves out
    (idle slots at the end, set-ups) shows in a simulation of each replica, and corrects the
    replica's share for the next packing; that repeats until the makespan no longer falls.

    Parameters
    ----------
    replay : callable
        Takes the rows of a replica's requests; returns its simulated total inference time.
    groups : int64, shape (n,), optional
        The group of each request, counted from 0: requests of a group go to one replica. By
        default each is a group of its own.
    speeds : sequence of float
        Speed of each replica, 1 being the profile's and the fastest; empty: all are alike.
    on_progress : callable, optional
        Called after each simulation of all replicas, with milliseconds.

    Raises
    ------
    InputError
        Fewer than one replica, or speeds that are not one a replica and in 0..1.
    """
    speed = _speed(replicas, speeds)
    group = np.arange(len(trace)) if groups is None else groups
    cost = np.bincount(group, engine_seconds(trace, hardware, config))
    weight = np.rint(cost / TICK_S).astype(np.int64)
    packing = pack(weight, replicas, solver="heuristic", seed=seed)
    members = [np.flatnonzero(packing.bin_of == r).tolist() for r in range(replicas)]
    search = Repartition(weight.tolist(), members, seed)
    moves = min(MOVES, MOVES_A_REQUEST * len(weight))
    search.run(np.ceil(weight.sum() * speed / speed.sum()).astype(np.int64).tolist(), moves)
    bound = lower_bound(trace, hardware, config, total_speed=float(speed.sum()))

    def simulated() -> ReplicaPlan:
        replica_of = _inverse(search, len(weight))[group]
        every = (np.flatnonzero(replica_of == r) for r in range(replicas))
        seconds = np.array([replay(rows) if len(rows) else 0.0 for rows in every])
        return ReplicaPlan(replica_of, seconds / speed, bound, 0)

    started = time.monotonic()
    best = last = simulated()
    corrections = failures = 0
    try:
        while replicas > 1 and failures < PATIENCE:
            late = last.seconds - float(speed @ last.seconds) / speed.sum()
            share = np.array(search.load) - np.rint(late * speed / TICK_S).astype(np.int64)
            search.run(share.tolist(), moves)
            last = simulated()
            corrections += 1
            failures += 1
            if last.makespan_s < best.makespan_s:
                best, failures = last, 0
            if on_progress is not None:
                on_progress(best.progress(time.monotonic() - started))
    except KeyboardInterrupt:
        return replace(best, corrections=corrections, interrupted=True)
    return replace(best, corrections=corrections)


def _speed(replicas: int, speeds: Sequence[float]) -> NDArray[np.float64]:
    """Return the speed of each replica, checked."""
    if replicas < 1:
        raise InputError(f"replicas: expected an integer >= 1, got {replicas}")
    speed = np.array(speeds or [1.0] * replicas)
    if len(speed) != replicas or not (speed > 0).all() or speed.max() != 1:
        shown = ",".join(f"{s:g}" for s in speed)
        raise InputError(f"speeds: expected {replicas} numbers in 0..1, one being 1; got {shown}")
    return speed


def _inverse(search: Repartition, n: int) -> NDArray[np.int32]:
    replica_of = np.empty(n, dtype=np.int32)
    for replica, requests in enumerate(search.members):
        replica_of[requests] = replica
    return replica_of


def engine_seconds(
    trace: Trace, hardware: HardwareProfile, config: EngineConfig
) -> NDArray[np.float64]:
    """Return the engine time, shape (n,), that each request costs even in an ever full engine.

    A request holds a slot for one step (its prefill's last) and its decode rounds, and so pays
    1/slots of each, and the price of its own tokens. No replica ends before the sum over its
    requests. Where several linear under-estimates of the profile exist, the one with most in sum.
    """
    step_time, slots = hardware.step_time, config.max_num_seqs
    rounds = trace.output_tokens - 1
    best = np.zeros(len(trace))
    for minorant in step_time.minorants():
        price = request_prices(trace.input_tokens, rounds, step_time, minorant)
        step, round_ = minorant.per_step_prefill, minorant.per_round
        least = min(step, round_)  # a mixed step may be either
        shared = least * (rounds + 1) if step_time.mixed else step + round_ * rounds
        cost = shared / slots + price.prefill + price.decode
        best = max(best, cost, key=np.sum)
    return best
