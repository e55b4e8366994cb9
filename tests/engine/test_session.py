"""A session: requests that are submitted when they arrive are served as if all were known ahead."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmsched import Trace
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Policy, View
from llmsched.engine import SimulationResult, admit
from llmsched.engine.limits import Intake
from llmsched.engine.session import Session, run
from llmsched.errors import InputError, LivelockError, PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.stages import Stages
from llmsched.orders.fcfs import Fcfs
from llmsched.policies import NAMED
from tests.cases import ROUND_S, AnyStep, Case, cases
from tests.policies_at_hand import WRITTEN

HAND = HardwareProfile("hand", Stages(decode_round=1.0, per_stage=0.5, per_token=0.25))
POLICIES = [*NAMED.values(), *WRITTEN.values(), Policy("any", Fcfs(), AnyStep(3))]


@st.composite
def runs(draw: st.DrawFn) -> tuple[Intake, Policy]:
    """The requests of an open loop as an engine takes them, and a policy that has begun."""
    policy = draw(st.sampled_from(POLICIES))
    case = draw(cases(True if policy.rule.mixed else None, draw(st.sampled_from([True, None]))))
    return begun(case, policy)


def begun(case: Case, policy: Policy) -> tuple[Intake, Policy]:
    case = as_submitted(case)
    config = replace(case.config, **dict(policy.knobs))
    intake = admit(case.trace, case.hardware, policy, config, predicted=case.predicted)
    if policy.offline is not None:
        order, rule = policy.offline.choose(intake.known())
        policy = replace(policy, order=order, rule=rule)
    return intake, policy


def sessions(trace: Trace) -> list[NDArray[np.int64]]:
    """The rows of each session, and of each request without one, in order of first arrival."""
    first = np.arange(len(trace))
    for row, before in enumerate(trace.previous.tolist()):
        if before >= 0:
            first[row] = first[before]
    return [np.flatnonzero(first == row) for row in np.flatnonzero(trace.previous < 0).tolist()]


def as_submitted(case: Case) -> Case:
    """The case with what comes at one instant in the order of sessions that are submitted whole."""
    if case.trace.delay is None:
        return case
    rows = np.concatenate(sessions(case.trace))
    rows = rows[np.argsort(case.trace.arrival[rows], kind="stable")]
    trace = case.trace
    names = ("input_tokens", "output_tokens", "max_output_tokens", "timeout", "session", "delay")
    columns = {n: None if (c := getattr(trace, n)) is None else c[rows] for n in names}
    ids = [trace.id[row] for row in rows.tolist()]
    again = Trace.from_columns(trace.arrival[rows], id=ids, name=trace.name, **columns)  # type: ignore[arg-type]
    return replace(case, trace=again, predicted=case.predicted[rows])


def replayed(intake: Intake, policy: Policy) -> SimulationResult:
    """The replay of all at once; cases that are stopped for a livelock do not count."""
    try:
        return run(intake, policy)
    except LivelockError:
        assume(False)
        raise


def part(intake: Intake, rows: NDArray[np.int64] | list[int]) -> Intake:
    columns = (intake.arrival[rows], intake.predicted[rows], intake.limit[rows])
    return Intake(intake.trace.take(rows), *columns, intake.config, intake.hardware)


def opened(intake: Intake, policy: Policy) -> Session:
    return Session(policy, intake.config, intake.hardware)


def assert_same(one: SimulationResult, two: SimulationResult) -> None:
    for name in ("arrival", "admitted", "first_token", "finish", "preemptions"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes(), name
    assert one.recomputed_tokens.tobytes() == two.recomputed_tokens.tobytes()
    assert one.step_rows.tobytes() == two.step_rows.tobytes()
    assert one.resume_gap.tobytes() == two.resume_gap.tobytes()
    assert one.peak_blocks == two.peak_blocks
    assert one.streams is not None
    assert two.streams is not None
    for ours, theirs in zip(vars(one.streams).values(), vars(two.streams).values(), strict=True):
        assert ours.tobytes() == theirs.tobytes()


@given(runs())
def test_submitted_one_by_one_when_they_arrive_is_the_replay_bit_for_bit(
    run_: tuple[Intake, Policy],
) -> None:
    intake, policy = run_
    whole, session = replayed(intake, policy), opened(intake, policy)
    for rows in sessions(intake.trace):
        session.advance(until=intake.arrival[rows[0]])
        session.submit(part(intake, rows))
    session.advance()
    assert_same(session.result(), whole)


@given(runs(), st.data())
def test_however_often_time_is_advanced_and_looked_at_nothing_changes(
    run_: tuple[Intake, Policy], data: st.DataObject
) -> None:
    intake, policy = run_
    whole, session = replayed(intake, policy), opened(intake, policy)
    fractions = st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.99, 1.0])
    steps = st.one_of(fractions, st.integers(0, 9).map(lambda n: n * ROUND_S))
    now, coming = 0.0, sessions(intake.trace)
    firsts = [float(intake.arrival[rows[0]]) for rows in coming]
    for arrival in [*np.unique(firsts).tolist(), whole.makespan]:
        for step in data.draw(st.lists(steps, max_size=3)):
            session.advance(until=min(arrival, now + step * max(1.0, arrival - now)))
            look(session.view)
        now = arrival
        session.advance(until=now)
        come = [rows for rows in coming if intake.arrival[rows[0]] <= now]
        coming = coming[len(come) :]
        if come:
            session.submit(part(intake, np.sort(np.concatenate(come))))
            look(session.view)
    session.advance()
    assert_same(session.result(), whole)


def look(view: View) -> None:
    """Ask a view all that it can be asked."""
    waiting: list[int] = []
    with suppress(PolicyError):  # the queue of a plan cannot tell its order
        waiting = view.queued()
        assert len(waiting) == view.waiting
    assert len(view.sequences()) == view.running
    for request in waiting:
        assert view.prefill_tokens(request) > 0
        view.fits(request), view.predicted_left(request)
    assert view.jobs.arrival.tolist() == sorted(view.jobs.arrival.tolist())
    view.patience(1), view.can_prefill, view.next_prefill_tokens, view.free_blocks


@given(runs())
def test_two_engines_on_one_clock_do_what_each_does_alone(run_: tuple[Intake, Policy]) -> None:
    intake, policy = run_
    parts = sessions(intake.trace)
    assume(len(parts) > 1)
    halves = [part(intake, np.sort(np.concatenate(parts[i::2]))) for i in (0, 1)]
    wholes = [replayed(half, policy) for half in halves]
    engines = [opened(intake, policy) for _ in halves]
    for i, rows in enumerate(parts):
        for session in engines:
            session.advance(until=intake.arrival[rows[0]])
        engines[i % 2].submit(part(intake, rows))
    for session, whole in zip(engines, wholes, strict=True):
        session.advance()
        assert_same(session.result(), whole)


def hand(*arrivals: float, policy: str = "fcfs", **columns: list[str]) -> Intake:
    n = len(arrivals)
    trace = Trace.from_columns(arrivals, [2] * n, [3] * n, **columns)  # type: ignore[arg-type]
    return admit(trace, HAND, find(policy), EngineConfig(2))


def test_what_a_plan_knows_at_0_is_all_that_was_submitted_by_then() -> None:
    session = Session(find("offline"), EngineConfig(2), HAND)
    for _ in range(3):
        session.advance(until=0.0)
        session.submit(hand(0.0))
        look(session.view)
    session.advance(until=0.1)
    assert len(session.view.jobs) == 3
    session.advance()
    assert_same(session.result(), run(hand(0.0, 0.0, 0.0), find("offline")))


def test_a_view_shows_what_has_arrived_also_where_the_policy_does_not_look() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    session.submit(hand(0.0, 1.0, 50.0))
    assert len(session.view.jobs) == 0
    session.advance(until=40.0)
    assert session.view.jobs.arrival.tolist() == [0.0, 1.0]
    session.advance()
    assert session.view.jobs.arrival.tolist() == [0.0, 1.0, 50.0]


def test_a_request_before_the_time_advanced_to_is_refused() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    session.submit(hand(0.0))
    session.advance(until=5.0)
    with pytest.raises(InputError) as error:
        session.submit(hand(4.5))
    assert str(error.value) == (
        "request '0': expected an arrival no earlier than 5.0 s, it has been advanced to; got 4.5 s"
    )
    session.submit(hand(5.0))
    session.advance()
    with pytest.raises(InputError, match=r"^request '0': expected none after the end; got 6\.0 s$"):
        session.submit(hand(6.0))
    assert len(session.result().trace) == 2


def test_a_request_before_one_submitted_earlier_is_refused() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    session.submit(hand(0.0, 9.0))
    with pytest.raises(InputError) as error:
        session.submit(hand(8.0))
    assert str(error.value) == (
        "request '0': expected an arrival no earlier than 9.0 s, the last one submitted; got 8.0 s"
    )
    session.submit(hand(9.0))
    session.advance()
    assert session.result().arrival.tolist() == [0.0, 9.0, 9.0]


def test_the_result_before_the_end_is_refused() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    said = "policy fcfs: expected a session whose requests have all finished, got "
    with pytest.raises(InputError) as error:
        session.result()
    assert str(error.value) == f"{said}0 of 0: submit, then advance()"
    session.submit(hand(0.0, 0.0, 7.0))
    session.advance(until=6.0)
    with pytest.raises(InputError) as error:
        session.result()
    assert str(error.value) == f"{said}2 of 3: submit, then advance()"
    session.advance()
    assert_same(session.result(), run(hand(0.0, 0.0, 7.0), find("fcfs")))
    assert_same(session.result(), run(hand(0.0, 0.0, 7.0), find("fcfs")))  # asked again


def test_a_result_has_the_ids_and_classes_of_all_that_was_submitted() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    session.submit(hand(0.0, id=["x"]))
    session.submit(hand(1.0, id=["y"], job_class=["chat"]))
    session.submit(hand(2.0, id=["z"]))
    session.advance()
    assert list(session.view.jobs.job_class) == ["", "chat", ""]
    trace = session.result().trace
    assert list(trace.id) == ["x", "y", "z"]
    assert trace.job_class is not None
    assert trace.job_class.tolist() == ["", "chat", ""]


def test_ids_that_are_used_twice_give_way_to_numbers() -> None:
    session = Session(find("fcfs"), EngineConfig(2), HAND)
    for arrival in (0.0, 1.0):
        session.submit(hand(arrival, id=["same"]))
    session.advance()
    assert list(session.result().trace.id) == ["0", "1"]
