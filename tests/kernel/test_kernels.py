"""One source, two kernels: which one runs, and that nothing tells them apart but time."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched import kernel
from llmsched.errors import LivelockError
from llmsched.kernel import built
from llmsched.policies import NAMED
from tests import kernels
from tests.cases import Case, cases

RULES = [name for name, policy in NAMED.items() if policy.offline is None]


def outcome(case: Case, name: str, mode: kernels.Mode) -> tuple[bytes, ...] | str:
    """Every number of a replay, by one of the kernels; or why it does not end."""
    limits, loop = (kernels.module(f"engine.{name}", mode) for name in ("limits", "loop"))
    policy = NAMED[name]
    known: dict[str, Any] = {"predicted": case.predicted, "concurrency": case.concurrency}
    jobs = limits.admit(case.trace, case.hardware, policy, case.config, **known)
    try:
        result = loop.run(jobs, policy)
    except LivelockError as error:
        return str(error)
    numbers = (
        *(result.arrival, result.admitted, result.first_token, result.finish),
        *(result.preemptions, result.recomputed_tokens, result.step_rows, result.resume_gap),
    )
    return *(array.tobytes() for array in numbers), str(result.peak_blocks).encode()


@given(cases(mixed=True, kv=True) | cases(mixed=True), st.sampled_from(RULES))
def test_both_kernels_give_the_same_bytes(case: Case, name: str) -> None:
    assert outcome(case, name, "compiled") == outcome(case, name, "python")


@pytest.mark.parametrize("mode", kernels.MODES)
def test_a_kernel_is_what_it_is_called(mode: kernels.Mode) -> None:
    for name in built.modules(kernels.FOLDER):
        path = str(kernels.module(f"kernel.{name}", mode).__file__)
        assert path.endswith(".py") == (mode == "python")


def test_the_second_kernel_leaves_the_first_in_its_place() -> None:
    before = kernels.module("kernel.blocks", kernels.THIS)
    other: kernels.Mode = "python" if kernels.THIS == "compiled" else "compiled"
    assert kernels.module("kernel.blocks", other) is not before
    assert kernels.module("kernel.blocks", kernels.THIS) is before
    assert kernels.module("kernel", kernels.THIS) is kernel


def test_nothing_falls_back_where_the_compiled_kernel_was_asked_for() -> None:
    if os.environ.get("LLMSCHED_KERNEL") == "compiled":
        assert kernel.which() == "engine: compiled"
