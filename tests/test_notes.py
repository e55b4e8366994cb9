"""Remarks on stderr: nothing depends on whether anybody reads them."""

from __future__ import annotations

import sys

import pytest

from llmsched.notes import say


def test_a_remark_is_a_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("one row dropped")
    assert capsys.readouterr() == ("", "one row dropped\n")


def test_a_reader_that_has_left_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Left:
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Left())
    say("one row dropped")
