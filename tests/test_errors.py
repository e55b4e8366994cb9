"""Errors and their exit codes."""

from __future__ import annotations

import pytest

from llmsched.errors import InputError, LlmschedError, NotComparableError, PolicyError


@pytest.mark.parametrize(
    ("error", "code"),
    [(LlmschedError, 2), (InputError, 2), (PolicyError, 2), (NotComparableError, 3)],
)
def test_each_error_ends_the_command_line_with_its_code(
    error: type[LlmschedError], code: int
) -> None:
    assert error("what went wrong").exit_code == code
    assert str(error("what went wrong")) == "what went wrong"
    assert issubclass(error, LlmschedError)
