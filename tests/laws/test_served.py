"""What holds for every policy where requests are refused, and clients leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from llmsched.batching.prefill_first import PrefillFirst
from llmsched.contract import Policy
from llmsched.engine.result import ABORTED, COMPLETED, REFUSED
from llmsched.errors import LivelockError
from llmsched.metrics import summarize
from llmsched.orders.fcfs import Fcfs
from llmsched.policies import NAMED
from llmsched.replay import Case as Replayed
from llmsched.replay import replay
from llmsched.verify.result import faults
from tests.cases import ROUND_S, AnyStep, Case, cases, finished
from tests.engine.test_session import assert_same, begun, opened, part, replayed, sessions
from tests.kernels import in_the_other
from tests.policies_at_hand import WRITTEN
from tests.verify.test_result import evidence

POLICIES = [*NAMED.values(), *WRITTEN.values(), Policy("any", Fcfs(), AnyStep(3))]
PATIENCE = [np.inf, np.inf, 1e-6, ROUND_S, 3 * ROUND_S, 0.0789, 0.3, 2.0]


@st.composite
def runs(draw: st.DrawFn, policies: Sequence[Policy] = POLICIES) -> tuple[Case, Policy]:
    """A case with timeouts, caps or both, and a policy that can run it."""
    policy = draw(st.sampled_from(policies))
    case = draw(cases(True if policy.rule.mixed else None, draw(st.sampled_from([True, None]))))
    n = len(case.trace)
    timeout = draw(st.lists(st.sampled_from(PATIENCE), min_size=n, max_size=n))
    config = replace(
        case.config,
        max_num_queued_reqs=draw(st.sampled_from([None, 1, 2, 5])),
        max_num_queued_tokens=draw(st.sampled_from([None, None, 1, 9, 40])),
    )
    trace = replace(case.trace, timeout=np.array(timeout)) if draw(st.booleans()) else case.trace
    return replace(case, trace=trace, config=config), policy


@given(runs())
def test_every_request_is_completed_refused_or_aborted_and_every_token_has_an_owner(
    run: tuple[Case, Policy],
) -> None:
    result = finished(*run)
    trace, status, emitted = result.trace, result.status, result.emitted
    row = summarize(result)
    assert row["offered"] == len(trace) == row["completed"] + row["refused"] + row["aborted"]
    assert (emitted[status == COMPLETED] == trace.output_tokens[status == COMPLETED]).all()
    assert (emitted[status == ABORTED] < trace.output_tokens[status == ABORTED]).all()
    assert not emitted[status == REFUSED].any()
    assert (result.computed_input <= trace.input_tokens).all()
    assert (result.recomputed_tokens >= 0).all()
    decoded = (result.column("decode_seqs") * result.column("rounds")).sum()
    owed = result.computed_input + np.maximum(emitted - 1, 0) + result.recomputed_tokens
    assert result.column("prefill_tokens").sum() + decoded == owed.sum()


@given(runs())
def test_the_proven_bound_of_what_was_completed_is_never_beaten(run: tuple[Case, Policy]) -> None:
    case, policy = run
    done = Replayed(case.trace, case.hardware, case.config, concurrency=case.concurrency)
    try:
        _, row = replay(done, policy)  # it fails where the bound is beaten
    except LivelockError:
        assume(False)
    assert row["completed"] == 0 or row["gap_percent"] >= 0 or row["lower_bound_s"] == 0


@given(runs())
def test_submitted_one_by_one_when_they_arrive_the_same_ones_are_served(
    run: tuple[Case, Policy],
) -> None:
    case, policy = run
    intake, policy = begun(replace(case, concurrency=None), policy)
    whole, session = replayed(intake, policy), opened(intake, policy)
    for rows in sessions(intake.trace):
        session.advance(until=intake.arrival[rows[0]])
        session.submit(part(intake, rows))
    session.advance()
    again = session.result()
    assert_same(again, whole)
    for name in ("status", "emitted", "computed_input"):
        assert (getattr(again, name) == getattr(whole, name)).all(), name


@given(runs([*NAMED.values(), Policy("any", Fcfs(), AnyStep(3))]))
def test_both_kernels_serve_the_same(run: tuple[Case, Policy]) -> None:
    assert everything(*run) == in_the_other(everything, *run)


def everything(case: Case, policy: Policy) -> Any:
    try:
        result = case.replay(policy)
    except LivelockError as error:
        return str(error)
    names = ("finish", "first_token", "status", "emitted", "computed_input", "recomputed_tokens")
    columns = [np.asarray(getattr(result, name)).tobytes() for name in names]
    return [*columns, result.step_rows.tobytes(), result.resume_gap.tobytes()]


@given(runs([Policy("fcfs", Fcfs(), PrefillFirst())]))
def test_who_is_patient_enough_is_served_as_if_nobody_ever_left(run: tuple[Case, Policy]) -> None:
    case, policy = run
    free = replace(
        case,
        config=replace(case.config, max_num_queued_reqs=None, max_num_queued_tokens=None),
        trace=replace(case.trace, timeout=None),
    )
    patient = replace(free, trace=replace(free.trace, timeout=np.full(len(free.trace), 1e9)))
    one, two = finished(free, policy), finished(patient, policy)
    assert not two.status.any()
    np.testing.assert_allclose(one.finish, two.finish, rtol=1e-9)


@given(runs())
def test_an_independent_reader_of_the_tables_finds_nothing_wrong(run: tuple[Case, Policy]) -> None:
    case, policy = run
    result = finished(case, policy)
    assume((result.column("duration_s") > 0).all())
    with TemporaryDirectory() as folder:
        assert faults(evidence(case, result, Path(folder))) == []
