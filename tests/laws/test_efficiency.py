"""What holds of efficiency for every pair of policies, however requests reach the engines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from llmsched.bounds import least_work, lower_bound
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.engine.replicas import Assignment, count_replicas
from llmsched.errors import PolicyError
from llmsched.metrics import summarize
from llmsched.orders.fcfs import Fcfs
from llmsched.policies import NAMED
from llmsched.replay import simulate
from tests.cases import AnyStep, Case, cases


@dataclass(frozen=True)
class Served:
    """One case on one engine, in a closed loop, or spread over replicas."""

    case: Case
    assignment: Assignment | None

    def replay(self, policy: Policy) -> SimulationResult:
        return simulate(
            *(self.case.trace, self.case.hardware, policy, self.case.config),
            predicted=self.case.predicted,
            concurrency=self.case.concurrency,
            assignment=self.assignment,
        )

    def work(self) -> float:
        case, replicas = self.case, count_replicas(self.assignment)
        return least_work(case.trace, case.hardware, case.config, case.concurrency, replicas)

    def bound(self) -> float:
        case, replicas = self.case, count_replicas(self.assignment)
        return lower_bound(case.trace, case.hardware, case.config, case.concurrency, replicas)

    def efficiency(self, result: SimulationResult) -> float:
        return summarize(result, least_work_s=self.work())["efficiency"]


@st.composite
def served(draw: st.DrawFn) -> Served:
    """A case with arrivals on one engine, with users who wait, or with a plan for replicas."""
    case = draw(cases())
    replicas = draw(st.sampled_from([1, 2, 3]))
    if case.concurrency is not None or replicas == 1 or case.trace.delay is not None:
        return Served(case, None)
    n = len(case.trace)
    chosen = draw(st.lists(st.integers(0, replicas - 1), min_size=n, max_size=n))
    return Served(case, Assignment(np.array(chosen, dtype=np.int32), replicas))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Served, Policy, Policy]:
    """Two policies, named or made of arbitrary steps, on the same requests."""
    here = draw(served())
    mixed = here.case.hardware.step_time.mixed
    able = [policy for policy in NAMED.values() if mixed or not policy.rule.mixed]
    rule = st.builds(AnyStep, st.integers(0, 2**20), st.just(mixed))
    policy = st.one_of(st.sampled_from(able), rule.map(lambda rule: Policy("any", Fcfs(), rule)))
    return here, draw(policy), draw(policy)


@given(pairs())
def test_efficiency_is_a_share_and_no_slower_policy_has_a_higher_one(
    pair: tuple[Served, Policy, Policy],
) -> None:
    here, *policies = pair
    try:
        results = [here.replay(policy) for policy in policies]
    except PolicyError:  # a livelock
        assume(False)
    work = here.work()
    assert 0 <= work <= here.bound() * (1 + 1e-9)
    assume(work > 0 and all(result.makespan > 0 for result in results))
    fast, slow = sorted(results, key=lambda result: result.makespan)
    assert 0 < here.efficiency(slow) <= here.efficiency(fast) <= 1


@given(served())
def test_the_least_work_does_not_depend_on_when_requests_arrive(here: Served) -> None:
    n = len(here.case.trace)
    trace = replace(here.case.trace, arrival=np.zeros(n), session=None, delay=None)
    batch = Served(replace(here.case, trace=trace), here.assignment)
    assert here.work() == batch.work() == batch.bound()
