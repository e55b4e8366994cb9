"""Remarks on stderr: nothing depends on whether anybody reads them."""

from __future__ import annotations

import io
import sys

import pytest

from llmsched.notes import say, shows_color, warn


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


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_warning_is_plain_on_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    warn("one row dropped")
    assert capsys.readouterr() == ("", "warning: one row dropped\n")


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({"TERM": "xterm"}, "\x1b[33mwarning:\x1b[0m"),
        ({"TERM": "dumb"}, "warning:"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "warning:"),
        ({"TERM": "xterm", "NO_COLOR": ""}, "\x1b[33mwarning:\x1b[0m"),
    ],
)
def test_a_terminal_with_colours_shows_the_word_in_one(
    environment: dict[str, str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    warn("one row dropped")
    assert stream.getvalue() == f"{word} one row dropped\n"


def test_a_pipe_shows_no_colours_whatever_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert not shows_color(io.StringIO())


def test_what_a_terminal_would_obey_is_shown_as_its_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("a\x1b[31mb\u202ec\rd é ✓")
    assert capsys.readouterr().err == "a\\x1b[31mb\\u202ec\\rd é ✓\n"
