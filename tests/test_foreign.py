"""Whose line an error is; `tests/engine/test_contract.py` has what is nobody else's."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from llmsched.foreign import foreign_line, reason, stdout_kept


def test_the_innermost_line_of_the_foreign_file_is_named_whatever_library_failed() -> None:
    def outer() -> None:
        inner()

    def inner() -> None:
        np.concatenate([np.zeros(2), np.zeros((2, 2))])

    try:
        outer()
    except ValueError as error:
        line = foreign_line(error)
    assert line == f"test_foreign.py:{inner.__code__.co_firstlineno + 1}"


def test_an_error_that_never_left_a_library_is_nobodys() -> None:
    with pytest.raises(ValueError, match="reshape") as error:
        np.zeros(2).reshape(3)
    assert foreign_line(error.value.with_traceback(None)) is None


def test_a_reason_is_one_line() -> None:
    assert reason(KeyError("a\nb")) == "KeyError: 'a\\nb'"
    assert reason(ValueError("two\n lines")) == "ValueError: two lines"
    assert reason(BrokenPipeError()) == "BrokenPipeError"


def test_what_foreign_code_prints_goes_to_stderr_and_it_cannot_close_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stdout_kept():
        print("hello")
        sys.stdout.flush()
        sys.stdout.close()
        print("again")
    print("ours")
    assert capsys.readouterr() == ("ours\n", "hello\nagain\n")


def test_foreign_code_that_closes_the_real_stdout_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(RuntimeError, match=r"^stdout: it was closed$"), stdout_kept():
        closed.close()


def test_an_error_whose_own_words_end_the_program_has_its_name() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise SystemExit(3)

    assert reason(Rude()) == "Rude"
