"""One source, two kernels: which one runs, and that nothing tells them apart but time."""

from __future__ import annotations

import os
from importlib import import_module

from hypothesis import given
from hypothesis import strategies as st

from llmsched import kernel
from llmsched.errors import LivelockError
from llmsched.kernel import built
from llmsched.policies import NAMED
from tests import kernels
from tests.cases import Case, cases


def outcome(case: Case, name: str) -> tuple[bytes, ...] | str:
    """What a policy chooses, and every number of its replay; or why that does not end."""
    try:
        result = case.replay(NAMED[name])
    except LivelockError as error:
        return str(error)
    assert result.streams is not None
    numbers = (
        *(result.arrival, result.admitted, result.first_token, result.finish),
        *(result.preemptions, result.recomputed_tokens, result.step_rows, result.resume_gap),
        *vars(result.streams).values(),
    )
    words = f"{result.peak_blocks} {result.detail}".encode()
    return *(array.tobytes() for array in numbers), words


@given(cases(mixed=True, kv=True) | cases(mixed=True), st.sampled_from(list(NAMED)))
def test_both_kernels_give_the_same_bytes(case: Case, name: str) -> None:
    assert kernels.in_the_other(outcome, case, name) == outcome(case, name)


@given(cases())
def test_both_kernels_lead_a_rehearsal_to_the_same_choice(case: Case) -> None:
    assert kernels.in_the_other(outcome, case, "hybrid") == outcome(case, "hybrid")


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
