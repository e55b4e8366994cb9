"""Sessions in the engine, by hand: a turn comes some time after the end of the one before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Policy, View
from llmsched.engine import SimulationResult
from llmsched.engine.refusal import Refusal
from llmsched.engine.result import ABORTED, COMPLETED, REFUSED
from llmsched.errors import InputError
from llmsched.kernel.queues import Queue
from llmsched.orders.fcfs import Fcfs
from llmsched.replay import simulate
from llmsched.trace import Trace
from tests.hand import STAGES
from tests.kernels import in_the_other

NAN = float("nan")
FCFS = find("fcfs")

# A stage of one prompt of two tokens takes 0.5 + 2 * 0.25 = 1 s, a decode round 1 s.


def trace_of(*rows: tuple[str, float, int], **columns: Any) -> Trace:
    """Requests of two prompt tokens: session, arrival or else delay, output tokens."""
    session, time, output = zip(*rows, strict=True)
    later = [bool(name) and name in session[:row] for row, name in enumerate(session)]
    return Trace.from_columns(
        np.where(later, np.nan, time),
        [2] * len(rows),
        output,
        session=session,
        delay=np.where(later, time, 0.0),
        **columns,
    )


def replay(trace: Trace, slots: int = 1, policy: Policy = FCFS, **how: Any) -> SimulationResult:
    knobs = {name: how.pop(name) for name in list(how) if name.startswith(("max_", "num_"))}
    return simulate(trace, STAGES, policy, EngineConfig(slots, **knobs), **how)


def test_a_second_turn_comes_its_delay_after_the_first_has_ended() -> None:
    result = replay(trace_of(("a", 0.0, 3), ("a", 2.0, 2)))
    assert result.finish.tolist() == [3.0, 7.0]  # a stage and two rounds; a stage and a round
    assert result.arrival.tolist() == [0.0, 5.0]
    assert result.admitted.tolist() == [0.0, 5.0]
    assert result.makespan == 7.0


def test_a_turn_waits_as_others_do_and_the_next_one_for_it() -> None:
    result = replay(trace_of(("a", 0.0, 2), ("a", 1.0, 2), ("", 2.5, 4), ("a", 0.0, 1)))
    # In the trace's order, by earliest times: a at 0, its next turns at 1, and one at 2.5 s.
    assert result.trace.arrival.tolist() == [0.0, 1.0, 1.0, 2.5]
    assert result.arrival.tolist() == [0.0, 3.0, 8.5, 2.5]
    assert result.admitted.tolist() == [0.0, 6.5, 8.5, 2.5]
    assert result.finish.tolist() == [2.0, 8.5, 9.5, 6.5]


def test_two_turns_of_one_instant_come_in_the_order_of_their_rows() -> None:
    trace = trace_of(("b", 0.0, 2), ("a", 0.0, 2), ("a", 1.0, 1), ("b", 1.0, 1))
    result = replay(trace, slots=2)  # both end at 2.5 s
    assert result.arrival.tolist() == [0.0, 0.0, 3.5, 3.5]
    alone = replay(trace, slots=2, max_num_batched_tokens=2)
    assert alone.trace.id[2] == "2"
    assert alone.admitted[2] < alone.admitted[3]


def test_a_refused_turn_ends_as_it_comes() -> None:
    trace = trace_of(("", 0.0, 9), ("a", 1.0, 2), ("a", 3.0, 2), ("a", 7.0, 1))
    result = replay(trace, max_num_queued_reqs=1)
    assert result.status.tolist() == [COMPLETED, REFUSED, REFUSED, COMPLETED]
    assert result.arrival.tolist() == [0.0, 1.0, 4.0, 11.0]
    assert result.finish[3] == 12.0


def test_a_turn_whose_client_leaves_ends_then() -> None:
    trace = trace_of(("a", 0.0, 9), ("a", 2.0, 2), timeout=[3.0, np.inf])
    result = replay(trace)
    assert result.status.tolist() == [ABORTED, COMPLETED]
    assert result.arrival.tolist() == [0.0, 5.0]
    assert result.finish.tolist() == [3.0, 7.0]


def test_a_turn_that_never_fits_passes_its_delay_on() -> None:
    trace = trace_of(("a", 0.0, 2), ("a", 1.0, 50), ("a", 2.0, 2))
    result = replay(trace, num_gpu_blocks=2, on_error="skip")
    assert result.refusal.tolist() == [Refusal.NONE, Refusal.NEVER_FITS, Refusal.NONE]
    assert result.arrival.tolist() == [0.0, 3.0, 5.0]
    assert result.finish[[0, 2]].tolist() == [2.0, 7.0]


def test_a_user_of_a_closed_loop_goes_through_a_session_before_the_next_one() -> None:
    trace = trace_of(("a", 0.0, 2), ("b", 0.0, 1), ("a", 1.0, 1), ("b", 5.0, 1), ("", 9.0, 1))
    one = replay(trace, slots=2, concurrency=1)
    named = dict(zip(one.trace.id, one.arrival.tolist(), strict=True))
    assert named == {"0": 0.0, "2": 3.0, "1": 4.0, "3": 10.0, "4": 11.0}
    two = replay(trace, slots=2, concurrency=2)
    named = dict(zip(two.trace.id, two.arrival.tolist(), strict=True))
    # Both begin in one stage of 1.5 s; a's first turn has another round.
    assert named == {"0": 0.0, "1": 0.0, "2": 3.5, "4": 4.5, "3": 6.5}


@pytest.mark.parametrize(("outputs", "request_"), [((50, 1), 0), ((1, 50), 1), ((1, 1, 50), 2)])
def test_a_closed_loop_refuses_a_session_whose_first_or_last_turn_is_never_served(
    outputs: tuple[int, ...], request_: int
) -> None:
    trace = trace_of(*(("a", float(at), tokens) for at, tokens in enumerate(outputs)))
    with pytest.raises(InputError) as error:
        replay(trace, num_gpu_blocks=2, concurrency=1, on_error="skip")
    assert str(error.value) == (
        f"trace: request '{request_}': expected first and last turns of sessions that the engine "
        "serves, as a closed loop has users who wait for them"
    )


def test_an_offline_policy_plans_first_turns_alone() -> None:
    trace = trace_of(("a", 0.0, 4), ("a", 0.0, 9), ("b", 0.0, 2))
    result = replay(trace, slots=1, policy=find("offline"))
    assert result.arrival.tolist() == [0.0, 4.0, 0.0]
    assert result.admitted.tolist() == [0.0, 6.0, 4.0]  # nothing is planned of the second turn


class Looking(Fcfs):
    """Notes how many requests the policy is shown as each is pushed."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, int]] = []

    def queue(self, jobs: Any, view: View) -> Queue:
        shown = self.shown

        class Noting(Queue):
            def push(self, request: int) -> None:
                shown.append((view.now, len(jobs)))
                super().push(request)

        return Noting()


def test_nobody_sees_a_turn_before_it_comes() -> None:
    order = Looking()
    trace = trace_of(("a", 0.0, 3), ("a", 0.0, 2), ("a", 2.0, 2))
    result = replay(trace, policy=Policy("looking", order, FCFS.rule))
    assert result.arrival.tolist() == [0.0, 3.0, 7.0]
    assert order.shown == [(0.0, 1), (3.0, 2), (7.0, 3)]


def bytes_of(trace: Trace) -> list[bytes]:
    result = replay(trace, slots=2, policy=find("sjf"), max_num_queued_reqs=2)
    return [result.arrival.tobytes(), result.finish.tobytes(), result.step_rows.tobytes()]


def test_both_kernels_agree_to_the_last_bit() -> None:
    trace = trace_of(
        *(("a", 0.0, 3), ("b", 0.1, 5), ("a", 0.3, 2), ("b", 0.0, 1), ("c", 1.0, 2), ("a", 0.7, 4)),
        timeout=[np.inf, 3.3, np.inf, np.inf, 0.5, np.inf],
    )
    assert bytes_of(trace) == in_the_other(bytes_of, trace)


def test_several_engines_cannot_share_sessions() -> None:
    from llmsched.engine.replicas import Assignment

    trace = trace_of(("a", 0.0, 3), ("a", 2.0, 2))
    with pytest.raises(InputError) as error:
        replay(trace, assignment=Assignment(np.zeros(2, np.int32), 2))
    assert str(error.value) == ("trace: expected one engine for a trace with sessions, not a plan")
