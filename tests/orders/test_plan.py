"""The offline plan's slot queues.

Prompts have one token: a stage of n prompts takes 0.5 + 0.25 n seconds, a round one second.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.contract import DECODE, PREFILL, Decide, Policy, Step, View
from llmsched.engine import admit
from llmsched.errors import InputError
from llmsched.kernel.known import ledger
from llmsched.orders.plan import Plan, PlanQueue
from llmsched.packing import Packing, pack
from llmsched.policies import NAMED
from tests.hand import MIXED, STAGES, admissions, outputs, replay, steps, trace_of


@pytest.mark.parametrize("policy", ["plan", "offline", "plan:align=-1"])
def test_a_packed_plan_saves_the_round_that_lists_lose(policy: str) -> None:
    # Rounds 3, 3, 2, 2, 2 on two slots. Longest first puts the last 2 on top of 3 + 2: 7 rounds,
    # stages of 2, 2 and 1 prompts: 7 + 1 + 1 + 0.75. The plan {3, 3}, {2, 2, 2} takes 6 rounds,
    # stages of 2, 1, 1 and 1: 6 + 1 + 3 * 0.75.
    rows = outputs(4, 4, 3, 3, 3)
    assert replay("ljf", rows, 2).makespan == 9.75
    assert replay(policy, rows, 2).makespan == 9.25


def test_ties_within_a_slot_go_by_position() -> None:
    assert admissions(replay("plan", outputs(4, 4, 4), 1)) == [0, 1, 2]
    many = [4, 3] * 20  # so many that an unstable sort would not leave equals where they are
    in_order = [*range(0, 40, 2), *range(1, 40, 2)]
    assert admissions(replay("plan:align=-1", outputs(*many), 1)) == in_order


def test_without_stealing_a_late_slot_keeps_its_queue() -> None:
    # Planned 2 + 2 rounds a slot; request 0 takes 9. Its slot's second request begins after it:
    # 1 s + 9 rounds + stage + 2 rounds, and two stages for the other slot's second request.
    rows, predicted = outputs(10, 3, 3, 3), [3, 3, 3, 3]
    result = replay("offline", rows, 2, predicted=predicted)
    last = admissions(result)[-1]
    assert result.admitted[last] == result.finish[0] == 1 + 9 + 0.75
    assert result.makespan == 1 + 9 + 0.75 + 0.75 + 2


def test_with_stealing_the_idle_slot_takes_what_waits_for_the_late_one() -> None:
    # The other slot runs 2 + 2 rounds of its own and the stolen 2 while request 0 runs: 9 rounds.
    rows, predicted = outputs(10, 3, 3, 3), [3, 3, 3, 3]
    result = replay("plan:tolerance=9", rows, 2, predicted=predicted)
    assert result.makespan == 1 + 9 + 2 * 0.75
    assert result.finish.argmax() == 0


def test_a_request_that_ends_with_a_running_one_goes_before_the_longest() -> None:
    # Rounds 8, 5, 5, 4, 3: slots {5, 5, 3} and {8, 4}. The fuller slot starts a 5. Within two
    # rounds of it the other one finds its 4; if nothing may differ it starts the 8.
    rows = outputs(9, 6, 6, 5, 4)
    assert admissions(replay("plan", rows, 2))[:2] == [1, 3]
    for align in (0, -1):
        assert sorted(admissions(replay(f"plan:align={align}", rows, 2))[:2]) == [0, 1]


def test_a_broken_plan_becomes_a_list_longest_first() -> None:
    # Slots {3, 3} and {2, 2, 2}, but the first 2 ends at once: 2 rounds off, more than 1 % of 6
    # rounds + 1. What waits goes longest first, so the 3 is next, and not the slot's own 2.
    rows, predicted = outputs(4, 4, 1, 3, 3), [4, 4, 3, 3, 3]
    broken = replay("plan", rows, 2, predicted=predicted)
    assert admissions(broken) == [0, 2, 1, 3, 4]
    kept = replay("plan:tolerance=9", rows, 2, predicted=predicted)
    assert admissions(kept) == [0, 2, 3, 4, 1]
    static = replay("plan:steal=false", rows, 2, predicted=predicted)  # nothing breaks it
    assert admissions(static) == [0, 2, 3, 4, 1]


def test_later_arrivals_wait_in_one_queue_longest_first() -> None:
    rows = [(0.0, 1, 4), (0.5, 1, 2), (0.5, 1, 5), (0.5, 1, 3)]
    assert admissions(replay("plan", rows, 1)) == [0, 2, 3, 1]


def test_an_idle_slot_that_has_work_is_never_shadowed_by_one_that_has_none() -> None:
    # Slot 0 holds 2 rounds, slot 1 one round and a single-token request. Both are idle at 9 s,
    # neither has rounds left; without stealing only slot 1 may serve the last request.
    result = replay("offline", [(0.0, 1, 2), (0.0, 1, 9), (0.0, 1, 1)], 2, predicted=[3, 2, 1])
    assert steps(result)[-1] == (9.0, 1, 1, 1, 0)
    assert result.makespan == 9.75


def test_a_preempted_request_waits_for_any_slot() -> None:
    # 6 usable blocks of 1 token for two requests that end with 5 and 4 computed tokens.
    rows = [(0.0, 2, 4), (0.0, 2, 3)]
    for policy in ("offline", "plan"):
        result = replay(policy, rows, 2, num_gpu_blocks=7, block_size=1)
        assert result.preemptions.sum() == 1
        assert np.isfinite(result.finish).all()


def test_the_closed_loop_plans_what_is_there_at_the_start() -> None:
    result = replay("offline", outputs(4, 4, 3, 3, 3), 2, concurrency=2)
    assert admissions(result) == [0, 1, 2, 3, 4]
    assert (result.admitted[2:] == np.sort(result.finish)[:3]).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"align": -2}, "align: expected an integer >= -1, got -2"),
        ({"tolerance": -0.5}, "tolerance: expected a number >= 0, got -0.5"),
        ({"tolerance": float("nan")}, "tolerance: expected a number >= 0, got nan"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(InputError) as error:
        Plan(**parameters)  # type: ignore[arg-type]  # that is the point
    assert str(error.value) == message


@pytest.mark.parametrize("policy", ["plan+lagrangian", "hybrid", "plan+lagrangian:extra_rounds=3"])
def test_a_deadline_that_passed_while_chunks_ran_is_served_at_once(policy: str) -> None:
    # Four tokens a step: the first prompt's chunks run while the last slot's slack is spent.
    rows = [(0.0, 10, 3), (0.0, 1, 3), (0.0, 5, 20)]
    result = replay(policy, rows, 4, MIXED, max_num_batched_tokens=4)
    assert (result.column("duration_s") > 0).all()
    # Shortest first by plan: prompts of 10, 1 and 5 tokens in 4 steps at best, then 19 rounds.
    assert result.makespan < 4 * 2 + 19 * 1.5


class _Clock:
    """Of a view, what a plan's queue looks at."""

    clock = 0


@pytest.mark.parametrize(("missed", "broken"), [(-2, True), (-1, False), (1, False), (2, True)])
def test_a_plan_holds_while_a_request_misses_its_prediction_by_one_round(
    missed: int, broken: bool
) -> None:
    trace, clock = trace_of(outputs(9, 9)), _Clock()
    jobs = admit(trace, STAGES, NAMED["hybrid"], EngineConfig(2)).known()
    queue = Plan(tolerance=0.0).queue(jobs, clock)  # type: ignore[arg-type]  # a part of a view
    for request in (0, 1):
        queue.push(request)
        queue.pop()
    clock.clock = 8 + missed
    assert queue.release is not None
    queue.release(0)
    assert (queue.patience(0) is None) == broken


def planned(
    *output_tokens: int,
    slots: int = 2,
    arrival: float = 0.0,
    clock: _Clock | None = None,
    tolerance: float = 0.01,
) -> PlanQueue:
    """Return a plan's queue to which nothing has been pushed yet."""
    trace = trace_of([(arrival, 1, tokens) for tokens in output_tokens])
    jobs = admit(trace, STAGES, NAMED["hybrid"], EngineConfig(slots)).known()
    view = clock or _Clock()
    return Plan(tolerance=tolerance).queue(jobs, view)  # type: ignore[arg-type]  # a part of a view


def waiting(*output_tokens: int, **more: Any) -> PlanQueue:
    """Return a plan's queue in which all of them wait."""
    queue = planned(*output_tokens, **more)
    for request in range(len(output_tokens)):
        queue.push(request)
    return queue


def release(queue: PlanQueue, *requests: int) -> None:
    """Let them leave their slots."""
    assert queue.release is not None
    for request in requests:
        queue.release(request)


def test_a_queue_is_as_long_as_requests_wait() -> None:
    queue = planned(9, 6)
    lengths = [len(queue)]
    for request in (0, 1):
        queue.push(request)
        lengths.append(len(queue))
    queue.pop()
    assert [*lengths, len(queue)] == [0, 1, 2, 1]


def test_idle_slots_wait_as_long_as_the_one_with_least_slack() -> None:
    queue = planned(9, 6)  # a slot with 8 rounds, the horizon, and one with 5
    queue.push(0)
    queue.push(1)
    assert queue.patience(0) == 0
    assert planned(9, 6).patience(2) == 2


def test_nobody_is_next_where_nobody_waits_or_no_slot_is_idle() -> None:
    assert planned(9, 6).peek() == -1  # they have not arrived yet
    queue = waiting(9, 6, slots=1)
    assert queue.pop() == 0
    assert queue.peek() == -1


def test_a_slot_that_served_a_later_arrival_has_no_claim_on_what_others_hold() -> None:
    # {5} and {3, 2}; the later arrival goes to the first slot, which then has nothing to do.
    trace = trace_of([(0.0, 1, 6), (0.0, 1, 4), (0.0, 1, 3), (1.0, 1, 2)])
    jobs = admit(trace, STAGES, NAMED["offline"], EngineConfig(2)).known()
    queue = Plan(steal=False).queue(jobs, _Clock())  # type: ignore[arg-type]  # a part of a view
    for request in (0, 1, 2):
        queue.push(request)
    assert [queue.pop(), queue.pop()] == [0, 1]
    release(queue, 0)
    ledger(jobs).append(1.0, 1, 2, 2)
    queue.push(3)
    assert queue.pop() == 3
    release(queue, 3)
    assert queue.peek() == -1
    release(queue, 1)
    assert queue.peek() == 2


def test_slack_is_spent_as_rounds_go_by_and_never_less_than_none_is_left() -> None:
    # {8} runs. At round 1 the slot of {5} has 8 - 1 - 5 rounds to spare, until round 3.
    clock = _Clock()
    queue = waiting(9, 6, clock=clock)
    assert queue.pop() == 0
    patience = {}
    for clock.clock in (1, 2, 3, 4):
        patience[clock.clock] = queue.patience(0)
    assert patience == {1: 2, 2: 1, 3: 0, 4: 0}


def test_a_slot_that_is_late_has_no_slack_and_owes_none() -> None:
    # {8} runs. At round 7 the slot of {5} would end at 12, four rounds beyond the plan's horizon.
    clock = _Clock()
    queue = waiting(9, 6, clock=clock)
    assert queue.pop() == 0
    clock.clock = 7
    assert queue.patience(0) == 0
    clock.clock = 8
    assert queue.patience(0) == 0


def test_a_slot_that_ran_a_request_has_new_slack_for_the_next_one() -> None:
    # {12} runs. {5, 4} has 12 - 1 - 9 rounds to spare at round 1: one for each, until round 2.
    clock = _Clock()
    queue = waiting(13, 6, 5, clock=clock)
    assert queue.pop() == 0
    clock.clock = 1
    assert queue.patience(0) == 1
    clock.clock = 2
    assert queue.pop() == 1
    clock.clock = 7  # as predicted: 12 - 7 - 4 rounds are left for the other one
    release(queue, 1)
    assert queue.patience(0) == 1


def test_a_slot_without_work_hides_no_other_slot_that_waits() -> None:
    # Slots of 16 rounds each: {16}, {10, 6} and {11, 1, 1, 1, 1, 1}. The first request of each ends
    # at once, in that order. The first slot has nothing more; the second has 16 - 6 rounds to spare
    # for one request, the third 16 - 5 for five, which is 2 for each.
    queue = waiting(17, 11, 7, 12, 2, 2, 2, 2, 2, slots=3, tolerance=9.0)
    assert sorted(queue.pop() for _ in range(3)) == [0, 1, 3]
    release(queue, 0, 1, 3)
    assert queue.patience(0) == 2


def test_an_empty_slot_takes_from_the_one_with_most_work_left() -> None:
    # {16}, {10, 6} and {11, 1, 1, 1, 1, 1}: once all run, 6 and 5 rounds are left.
    queue = waiting(17, 11, 7, 12, 2, 2, 2, 2, 2, slots=3, tolerance=9.0)
    assert sorted(queue.pop() for _ in range(3)) == [0, 1, 3]
    release(queue, 0)
    assert queue.peek() == 2


def test_of_slots_with_equal_work_left_the_first_one_is_helped() -> None:
    # {16}, {10, 6} and {10, 6}.
    queue = waiting(17, 11, 11, 7, 7, slots=3, tolerance=9.0)
    assert sorted(queue.pop() for _ in range(3)) == [0, 1, 2]
    release(queue, 0)
    assert queue.peek() == 3


@pytest.mark.parametrize(
    ("rounds", "left", "chosen"),
    [
        ((20, 16, 4), 7, 1),  # the shorter one would end three rounds before the running one
        ((20, 16, 4), 6, 2),  # two rounds: that is what align allows
        ((20, 16, 4), 4, 2),  # at the same time
        ((20, 16, 4), 3, 1),  # after it
        ((20, 19, 1), 1, 2),  # in the very next round
        ((20, 19, 0), 0, 1),  # the running one should have ended by now: it says nothing
        ((20, 11, 5, 4), 5, 2),  # the one that ends nearest
        ((20, 12, 4, 4), 4, 2),  # the first of equals
        ((20, 12, 4, 4), 5, 2),
    ],
)
def test_the_request_is_preferred_that_ends_just_before_a_running_one(
    rounds: tuple[int, ...], left: int, chosen: int
) -> None:
    # The first request fills a slot by itself; the others share the other slot.
    clock = _Clock()
    queue = waiting(*(1 + r for r in rounds), clock=clock)
    assert queue.pop() == 0
    clock.clock = 20 - left
    assert queue.peek() == chosen


@pytest.mark.parametrize(("lookahead", "chosen"), [(1, 1), (2, 1), (3, 3), (4, 3), (16, 3)])
def test_an_aligned_end_is_looked_for_among_so_many_of_a_slots_longest(
    lookahead: int, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of {9, 7, 4} only the last one ends just before the running request, which has five rounds.
    monkeypatch.setattr("llmsched.orders.plan.LOOKAHEAD", lookahead)
    clock = _Clock()
    queue = waiting(21, 10, 8, 5, clock=clock)
    assert queue.pop() == 0
    clock.clock = 15
    assert queue.peek() == chosen


def test_without_a_plan_there_is_nothing_to_say_of_waiting() -> None:
    assert planned(9, 6, arrival=1.0).patience(0) is None


class _PlainMaximum(PlanQueue):
    """Looks at all slots to find the one with most work left."""

    def _richest(self) -> int:
        return max((s for s, own in enumerate(self._own) if own), key=lambda s: (self._load[s], -s))


@given(
    rounds=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    slots=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_the_slot_to_help_is_the_one_that_a_look_at_all_slots_finds(
    rounds: list[int], slots: int, seed: int
) -> None:
    rng, clock = random.Random(seed), _Clock()
    jobs = admit(
        trace_of(outputs(*(1 + r for r in rounds))), STAGES, NAMED["hybrid"], EngineConfig(slots)
    ).known()
    plan = Plan(tolerance=99.0)
    queues = [kind(plan, jobs, clock) for kind in (PlanQueue, _PlainMaximum)]  # type: ignore[arg-type]  # a part of a view
    for queue in queues:
        for request in range(len(rounds)):
            queue.push(request)
    running: list[int] = []
    served = []
    while len(queues[0]) or running:
        clock.clock += rng.randrange(3)
        if running and rng.random() < 0.6:
            leaves = running.pop(rng.randrange(len(running)))
            for queue in queues:
                release(queue, leaves)
        elif queues[0].peek() >= 0:
            request, plainly = (queue.pop() for queue in queues)
            assert request == plainly
            running.append(request)
            served.append(request)
    assert sorted(served) == list(range(len(rounds)))


def known_later(at_once: int, *rounds: int, tolerance: float = 9.0) -> tuple[PlanQueue, _Clock]:
    """Return the queue of one slot whose jobs grow after it was made: `at_once` are there then."""
    tokens = np.array([1 + r for r in rounds])
    arrival = np.where(np.arange(len(rounds)) < at_once, 0.0, 1.0)
    jobs = SimpleNamespace(
        config=EngineConfig(1),
        arrival=arrival[:at_once],
        predicted_output_tokens=tokens[:at_once],
    )
    clock = _Clock()
    queue = Plan(tolerance=tolerance).queue(jobs, clock)  # type: ignore[arg-type]  # parts of both
    jobs.arrival, jobs.predicted_output_tokens = arrival, tokens
    for request in range(len(rounds)):
        queue.push(request)
    return queue, clock


def test_the_length_of_a_later_arrival_is_read_when_it_comes() -> None:
    queue, _ = known_later(1, 5, 2, 9, 4)
    order = []
    while len(queue):
        order.append(queue.pop())
        release(queue, order[-1])
    assert order == [0, 2, 3, 1]


@pytest.mark.parametrize(("missed", "broken"), [(-2, True), (-1, False), (1, False), (2, True)])
def test_a_later_arrival_breaks_the_plan_as_a_planned_request_does(
    missed: int, broken: bool
) -> None:
    # The slots' own requests have run; the later one takes 8 rounds as predicted, give or take.
    queue, clock = known_later(1, 5, 8, tolerance=0.0)
    assert queue.pop() == 0
    clock.clock = 5
    release(queue, 0)
    assert queue.pop() == 1
    clock.clock = 5 + 8 + missed
    release(queue, 1)
    assert (queue.patience(0) is None) == broken


def test_cases_of_a_study_are_packed_once_for_all_members_of_its_family(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed: list[int] = []

    def count(durations: NDArray[np.int64], bins: int, **how: Any) -> Packing:
        packed.append(len(durations))
        return pack(durations, bins, **how)

    monkeypatch.setattr("llmsched.orders.plan.pack", count)
    for _ in range(2):
        for case in range(9):
            planned(901 + case, 801, 701)
    assert len(packed) == 9


def test_a_request_that_gives_its_slot_back_and_waits_again_goes_to_any_slot() -> None:
    queue = waiting(9, 6, 6)  # {8} and {5, 5}
    assert [queue.pop(), queue.pop()] == [1, 0]
    release(queue, 0)
    queue.push(0)
    assert len(queue) == 2
    assert queue.pop() == 0


@dataclass(frozen=True)
class Passing:
    """Prefills first, and passes over these until nobody else waits."""

    over: frozenset[int]
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            if not view.can_prefill:
                return DECODE
            others = view.waiting > len(self.over)
            return Step(prefill=True, skip=self.over) if others else PREFILL

        return decide


def passing(plan: Plan, *over: int) -> Policy:
    """Return the policy of a plan whose rule passes these over."""
    return Policy("passing", plan, Passing(frozenset(over)))


def test_who_is_passed_over_is_served_when_the_rule_lets_it_be() -> None:
    # {3, 3} and {2, 2, 2} as they are packed; the first 3 waits until it is alone.
    rows = outputs(4, 4, 3, 3, 3)
    assert admissions(replay(passing(Plan(), 0), rows, 2))[-1] == 0


@given(
    rounds=st.lists(st.integers(0, 9), min_size=1, max_size=20),
    slots=st.integers(1, 5),
    later=st.integers(0, 5),
    errors=st.integers(0, 99),
)
def test_passing_over_nobody_who_waits_is_the_plan_itself(
    rounds: list[int], slots: int, later: int, errors: int
) -> None:
    rows = [(float(at >= len(rounds) - later), 1, 1 + r) for at, r in enumerate(rounds)]
    predicted = [1 + (r + errors * at) % 10 for at, r in enumerate(rounds)]
    plain, named = (
        replay(passing(Plan(), *over), rows, slots, predicted=predicted) for over in ((), (10**6,))
    )
    assert named.finish.tolist() == plain.finish.tolist()
    assert named.step_rows.tobytes() == plain.step_rows.tobytes()


def test_all_who_wait_are_in_order_those_of_idle_slots_first() -> None:
    # {16}, {10, 6} and {11, 1, 1, 1, 1, 1}; ends are as aligned as they can be at first.
    queue = waiting(17, 11, 7, 12, 2, 2, 2, 2, 2, slots=3, tolerance=9.0)
    order = queue.waiting()
    assert sorted(order[:3]) == [0, 1, 3]
    assert order[3:] == [2, 4, 5, 6, 7, 8]
    assert [queue.pop() for _ in range(3)] == order[:3]  # looking has changed nothing
    assert queue.waiting() == [2, 4, 5, 6, 7, 8]


def test_who_has_not_been_pushed_does_not_wait() -> None:
    assert planned(9, 6).waiting() == []


def test_later_arrivals_are_in_order_with_what_is_planned() -> None:
    queue, _ = known_later(2, 5, 2, 9, 4)  # the slot's own longest is next, then longest first
    assert queue.waiting() == [0, 2, 3, 1]


def test_a_request_taken_by_name_goes_to_its_own_slot_if_that_is_idle() -> None:
    # {8} and {5}: the first slot is next. Its own request is still its own afterwards.
    queue = waiting(9, 6)
    queue.remove(1)
    assert len(queue) == 1
    assert queue.pop() == 0
    assert queue.peek() == -1


def test_a_request_taken_by_name_goes_to_an_idle_slot_if_its_own_is_not() -> None:
    # {8, 1} and {5, 4}: the second slot takes the 1, and then has both of its own.
    queue = waiting(9, 6, 5, 2, tolerance=9.0)
    assert queue.pop() == 0
    queue.remove(3)
    assert queue.peek() == -1
    release(queue, 3)
    assert queue.pop() == 1
    release(queue, 0)
    assert queue.pop() == 2  # the first slot has nothing of its own


def test_a_later_arrival_is_taken_by_name_from_among_others() -> None:
    queue, _ = known_later(1, 5, 2, 9, 4)
    queue.remove(3)
    release(queue, 3)
    assert queue.waiting() == [0, 2, 1]


@given(
    rounds=st.lists(st.integers(0, 9), min_size=1, max_size=20),
    slots=st.integers(1, 5),
    at_once=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_whoever_is_taken_by_name_or_not_everybody_is_served_once(
    rounds: list[int], slots: int, at_once: int, seed: int
) -> None:
    rng, clock = random.Random(seed), _Clock()
    rows = [(float(at >= at_once), 1, 1 + r) for at, r in enumerate(rounds)]
    jobs = admit(trace_of(rows), STAGES, NAMED["hybrid"], EngineConfig(slots)).known()
    queue = Plan().queue(jobs, clock)  # type: ignore[arg-type]  # a part of a view
    left, running = set(range(len(rounds))), list[int]()
    for request in left:
        if request >= at_once:
            ledger(jobs).append(1.0, 1, 1 + rounds[request], 1 + rounds[request])
        queue.push(request)
    while left or running:
        clock.clock += rng.randrange(3)
        order = queue.waiting()
        assert set(order) == left
        assert len(order) == len(left) == len(queue)
        assert queue.peek() == (order[0] if order and len(running) < slots else -1)
        if order and len(running) < slots and rng.random() < 0.7:
            request = rng.choice(order)
            if request == order[0]:
                assert queue.pop() == request
            else:
                queue.remove(request)
            left.remove(request)
            running.append(request)
        elif running:
            release(queue, running.pop(rng.randrange(len(running))))
