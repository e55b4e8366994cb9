"""Who is served: caps refuse, clients leave; every time is worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from llmsched import Trace
from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.engine.replicas import Assignment
from llmsched.engine.result import ABORTED, COMPLETED, REFUSED, SimulationResult
from llmsched.engine.served import Served, check_served
from llmsched.errors import Defect, InputError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.metrics import summarize
from llmsched.replay import simulate

HAND = HardwareProfile("hand", Affine(per_step=0.01, per_prefill_token=0.0001))
"""A step takes 10 ms and 0.1 ms a prompt token; decodes are free."""

Row = tuple[float, int, int, float]


def replay(
    rows: Sequence[Row],
    config: EngineConfig,
    policy: str = "vllm",
    concurrency: int | None = None,
    assignment: Assignment | None = None,
) -> SimulationResult:
    arrival, prompt, output, timeout = zip(*rows, strict=True)
    trace = Trace.from_columns(arrival, prompt, output, timeout=timeout)
    return simulate(
        trace, HAND, find(policy), config, concurrency=concurrency, assignment=assignment
    )


FOREVER = np.inf


def test_the_cap_counts_waiting_and_running_as_a_request_arrives() -> None:
    rows = [(0.0, 100, 11, FOREVER)] * 2 + [(0.005, 100, 11, FOREVER)] * 8
    result = replay(rows, EngineConfig(2, max_num_queued_reqs=4))
    assert result.status.tolist() == [COMPLETED] * 4 + [REFUSED] * 6
    assert result.makespan == pytest.approx(0.260)
    assert result.first_token[3] - 0.005 == pytest.approx(0.155)
    assert np.isnan(result.finish[4:]).all()


def test_who_arrives_in_a_step_meets_those_who_leave_at_its_end() -> None:
    """One token each: the first is served from 0 to 0.02; at 0.019 it is still there."""
    rows = [(0.0, 100, 1, FOREVER), (0.019, 100, 1, FOREVER), (0.02, 100, 1, FOREVER)]
    result = replay(rows, EngineConfig(2, max_num_queued_reqs=1))
    assert result.status.tolist() == [COMPLETED, REFUSED, COMPLETED]


def test_the_cap_on_tokens_counts_whole_prompts_without_a_first_token() -> None:
    """Chunks of 100: the prompt of 300 is done at 0.06, and counts as 300 until then."""
    config = EngineConfig(8, 100, max_num_queued_tokens=300)
    rows = [(t, 300, 9, FOREVER) for t in (0.0, 0.05, 0.06)]
    result = replay(rows, config)
    assert result.status.tolist() == [COMPLETED, REFUSED, COMPLETED]


def test_an_abort_acts_when_the_step_in_flight_ends() -> None:
    rows = [(0.0, 100, 99, 1.495), (0.0, 100, 99, 1.495), (0.0, 100, 99, 4.0)]
    result = replay(rows, EngineConfig(1))
    assert result.status.tolist() == [COMPLETED, ABORTED, COMPLETED]
    np.testing.assert_allclose(result.finish, [1.0, 1.5, 2.5])
    row = summarize(result)
    assert (row["wasted_output_tokens"], row["wasted_input_tokens"]) == (49, 100)


def test_a_waiting_request_leaves_the_queue_without_a_token() -> None:
    rows = [(0.0, 100, 99, FOREVER), (0.0, 100, 99, 0.503), (0.5, 100, 1, FOREVER)]
    result = replay(rows, EngineConfig(1))
    assert result.status.tolist() == [COMPLETED, ABORTED, COMPLETED]
    assert result.finish[1] == pytest.approx(0.51)
    assert np.isnan(result.admitted[1])
    assert (result.emitted[1], result.computed_input[1]) == (0, 0)


def test_a_last_token_at_the_deadline_is_in_time() -> None:
    assert replay([(0.0, 100, 2, 0.03)], EngineConfig(1)).status.tolist() == [COMPLETED]


@pytest.mark.parametrize(("patience", "computed"), [(0.015, 100), (0.025, 200)])
def test_a_prompt_half_computed_is_wasted_as_far_as_it_came(patience: float, computed: int) -> None:
    """Chunks of 100 take 20 ms each."""
    result = replay([(0.0, 300, 5, patience), (0.0, 50, 1, FOREVER)], EngineConfig(1, 100))
    assert result.status.tolist() == [ABORTED, COMPLETED]
    assert result.computed_input[0] == computed
    assert summarize(result)["wasted_input_tokens"] == computed


def test_what_an_aborted_request_held_is_free_at_once() -> None:
    """Blocks for one request alone: the second is admitted in the step after the abort."""
    config = EngineConfig(2, block_size=10, num_gpu_blocks=12)
    rows = [(0.0, 100, 10, 0.045), (0.0, 100, 10, FOREVER)]
    result = replay(rows, config)
    assert result.status.tolist() == [ABORTED, COMPLETED]
    assert result.admitted[1] == result.finish[0] == pytest.approx(0.05)


def test_the_tokens_of_a_preempted_request_that_leaves_are_computed_once() -> None:
    """Two of 10 + 10 tokens in 3 blocks of 10: the second is preempted, and leaves as it waits."""
    config = EngineConfig(2, block_size=10, num_gpu_blocks=4)
    rows = [(0.0, 10, 11, FOREVER), (0.0, 10, 11, 0.0455)]
    result = replay(rows, config)
    assert result.preemptions[1] == 1
    assert result.status.tolist() == [COMPLETED, ABORTED]
    assert result.emitted[1] >= 1
    assert (result.computed_input[1], result.recomputed_tokens[1]) == (10, 0)


def test_an_abort_and_a_refusal_free_their_user() -> None:
    """Three users of one slot, 20 ms a request: the third gives up at 0.03, and leaves at 0.04.

    The second is past its deadline as well, with its last token at the end of that step.
    """
    rows = [(0.0, 100, 1, 0.03)] * 5
    result = replay(rows, EngineConfig(1), concurrency=3)
    assert result.status.tolist() == [COMPLETED, COMPLETED, ABORTED, COMPLETED, COMPLETED]
    np.testing.assert_allclose(result.arrival, [0.0, 0.0, 0.0, 0.02, 0.04])
    capped = replay(rows, EngineConfig(1, max_num_queued_reqs=2), concurrency=3)
    assert capped.status.tolist() == [COMPLETED, COMPLETED, REFUSED, REFUSED, REFUSED]
    assert capped.arrival.tolist() == [0.0] * 5


def test_each_replica_refuses_for_itself() -> None:
    rows = [(0.0, 100, 5, FOREVER)] * 4
    apart = Assignment(np.array([0, 0, 0, 1], np.int32), 2)
    result = replay(rows, EngineConfig(1, max_num_queued_reqs=2), assignment=apart)
    assert result.status.tolist() == [COMPLETED, COMPLETED, REFUSED, COMPLETED]


def test_a_timeout_that_no_clock_tells_is_refused() -> None:
    with pytest.raises(InputError, match=r"trace: row 1: timeout_ms: expected at least 0.001 ms"):
        Trace.from_columns([0, 0], [1, 1], [1, 1], timeout=[1.0, 0.0])


def served(status: Sequence[int], left: Sequence[float], timeout: float | None = None) -> Served:
    n = len(status)
    is_refused = np.array(status) == REFUSED
    return Served(
        prompt=np.full(n, 10),
        output=np.full(n, 5),
        timeout=None if timeout is None else np.full(n, timeout),
        arrival=np.zeros(n),
        first_token=np.where(is_refused, np.nan, 0.5),
        left=np.array(left),
        status=np.array(status, np.int8),
        emitted=np.where(is_refused, 0, np.where(np.array(status) == ABORTED, 2, 5)),
    )


@pytest.mark.parametrize(
    ("what", "cap", "says"),
    [
        (served([0, 1], [1.0, 0.0]), None, "'1' was refused, and there is no cap"),
        (served([0, 1], [1.0, 0.0]), 2, "'1' was refused below the cap"),
        (served([0, 0], [1.0, 1.0]), 1, "'1' was taken beyond the cap"),
        (served([2], [1.0]), None, "'0' was aborted, and has no timeout"),
        (served([2], [1.0], 3.0), None, "'0' was aborted before its deadline"),
        (served([0], [2.0], 0.9), None, "'0' stayed longer than the step in which its client left"),
    ],
)
def test_the_laws_of_who_is_served_notice_a_fault(what: Served, cap: int | None, says: str) -> None:
    config = replace(EngineConfig(), max_num_queued_reqs=cap)
    with pytest.raises(Defect, match=says):
        check_served("policy", str, config, what, np.array([0.5, 1.0, 2.0]))
