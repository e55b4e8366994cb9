"""One source, two kernels: which one runs, and that nothing tells them apart but time."""

from __future__ import annotations

import os
from importlib import import_module

from hypothesis import given
from hypothesis import strategies as st

from llmsched import kernel
from llmsched.engine import admit, run
from llmsched.errors import LivelockError
from llmsched.kernel import built
from llmsched.policies import NAMED
from llmsched.rehearsal import Rehearsal
from tests import kernels
from tests.cases import Case, cases

SOME = [name for name in NAMED if name != "hybrid"]


def outcome(case: Case, name: str) -> tuple[bytes, ...] | str:
    """Every number of a replay; or why it does not end."""
    policy = NAMED[name]
    jobs = admit(
        case.trace,
        case.hardware,
        policy,
        case.config,
        predicted=case.predicted,
        concurrency=case.concurrency,
    )
    try:
        result = run(jobs, policy)
    except LivelockError as error:
        return str(error)
    numbers = (
        *(result.arrival, result.admitted, result.first_token, result.finish),
        *(result.preemptions, result.recomputed_tokens, result.step_rows, result.resume_gap),
    )
    return *(array.tobytes() for array in numbers), str(result.peak_blocks).encode()


def chosen(case: Case) -> str:
    """What the hybrid chooses after its rehearsals."""
    policy = NAMED["hybrid"]
    assert isinstance(policy.offline, Rehearsal)
    known = admit(case.trace, case.hardware, policy, case.config, predicted=case.predicted).known()
    return str(policy.offline.choose(known))


@given(cases(mixed=True, kv=True) | cases(mixed=True), st.sampled_from(SOME))
def test_both_kernels_give_the_same_bytes(case: Case, name: str) -> None:
    assert kernels.in_the_other(outcome, case, name) == outcome(case, name)


@given(cases())
def test_both_kernels_lead_a_rehearsal_to_the_same_choice(case: Case) -> None:
    assert kernels.in_the_other(chosen, case) == chosen(case)


def sources() -> list[bool]:
    """Whether each module of the kernel runs from its source."""
    modules = (import_module(f"llmsched.kernel.{name}") for name in built.modules(kernels.FOLDER))
    return [str(module.__file__).endswith(".py") for module in modules]


def test_a_kernel_is_what_it_is_called() -> None:
    assert set(sources()) == {kernels.THIS == "python"}
    assert set(kernels.in_the_other(sources)) == {kernels.THIS != "python"}


def test_nothing_falls_back_where_the_compiled_kernel_was_asked_for() -> None:
    if os.environ.get("LLMSCHED_KERNEL") == "compiled":
        assert kernel.which() == "engine: compiled"
