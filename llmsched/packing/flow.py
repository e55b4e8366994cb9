"""Integer flows in an arc-flow network: HiGHS looks for one, CP-SAT decides.

HiGHS works in floating point, so only what it finds counts (a flow is checked in integers). That no
flow exists is claimed only by CP-SAT, which computes in integers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from llmsched.packing.arcflow import Network

_T = TypeVar("_T")


@dataclass(frozen=True)
class Budget:
    """How long an exact search may take.

    Attributes
    ----------
    nodes : int
        Branch-and-bound nodes of HiGHS.
    deterministic : float
        CP-SAT's deterministic time, roughly seconds.
    seconds : float
        Wall-clock cap; inf for none, and then the outcome is reproducible.
    seed : int
        Random seed of CP-SAT.
    """

    nodes: int = 400
    deterministic: float = 10.0
    seconds: float = float("inf")
    seed: int = 0


def find_by_highs(network: Network, budget: Budget) -> NDArray[np.int64] | None:
    """Return an integer flow that HiGHS finds, or None; None proves nothing."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    matrix, least, most = network.rows()
    if not len(network.tail):
        return np.empty(0, np.int64) if not len(network.size) else None
    result = aside(
        lambda: milp(
            np.zeros(matrix.shape[1]),
            constraints=LinearConstraint(matrix, least, most),
            bounds=Bounds(0, network.demand[network.item]),
            integrality=np.ones(matrix.shape[1], dtype=np.int64),
            options={"node_limit": budget.nodes, "time_limit": budget.seconds},
        )
    )
    if result.x is None:
        return None
    flow = np.rint(result.x).astype(np.int64)
    value = matrix.astype(np.int64) @ flow
    return flow if bool(np.all((value >= least) & (value <= most))) else None


def decide_by_cpsat(network: Network, budget: Budget) -> tuple[str, NDArray[np.int64] | None]:
    """Return ``found`` and a flow, ``none`` (proven), or ``unknown`` within the budget."""
    from ortools.sat.python import cp_model

    matrix, least, most = network.rows()
    model = cp_model.CpModel()
    arc = [model.new_int_var(0, int(k), "") for k in network.demand[network.item]]
    for row in range(matrix.shape[0]):
        entries = slice(matrix.indptr[row], matrix.indptr[row + 1])
        value = cp_model.LinearExpr.weighted_sum(
            [arc[k] for k in matrix.indices[entries]], matrix.data[entries].astype(int).tolist()
        )
        model.add_linear_constraint(value, int(least[row]), int(most[row]))
    solver = cp_model.CpSolver()
    configure(solver.parameters, budget)
    status = aside(lambda: solver.solve(model), on_interrupt=solver.stop_search)
    if status == cp_model.INFEASIBLE:
        return "none", None
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return "unknown", None
    return "found", np.array([solver.value(x) for x in arc], dtype=np.int64)


def configure(parameters: object, budget: Budget) -> None:
    """Set what makes CP-SAT reproducible: one worker, one seed, deterministic time."""
    for name, value in {
        "num_workers": 1,
        "symmetry_level": 0,
        "random_seed": budget.seed,
        "max_deterministic_time": budget.deterministic,
        "max_time_in_seconds": budget.seconds,
        "catch_sigint_signal": False,  # it would take Ctrl-C away from Python, and for good
    }.items():
        setattr(parameters, name, value)


def aside(work: Callable[[], _T], on_interrupt: Callable[[], object] = lambda: None) -> _T:
    """Run a solver in a thread and wait for it here, where Ctrl-C can be heard."""
    outcome: list[_T] = []
    failure: list[BaseException] = []

    def call() -> None:
        try:
            outcome.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.05)
    except KeyboardInterrupt:
        on_interrupt()
        raise
    if failure:
        raise failure[0]
    return outcome[0]
