"""How far a command is: told on stderr, and only of what takes long."""

from __future__ import annotations

import io
import re
import sys
from threading import Event
from threading import enumerate as threads

import pytest

from llmsched.cli.progress import LINE_S, SILENT_S, Phase, phase

LOADING = r"llmsched: loading: \d+:\d\d so far\n"


class Over(Event):
    """An end that comes after a number of looks at it, and no second passes between them."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._left = looks
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self._left -= 1
        return self._left < 0


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self) -> bool:
        return True


def show(running: Phase, looks: int, monkeypatch: pytest.MonkeyPatch, kind: str = "xterm") -> str:
    """Return what a terminal gets of a phase."""
    stream = Terminal()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", stream)
        patched.setenv("TERM", kind)
        running.show(Over(looks))
        assert sys.stderr is stream  # rich has given it back
    return stream.getvalue()


def test_what_ends_within_a_second_is_never_mentioned(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = Over(0)
    Phase("replay").show(over)
    assert over.waits == [SILENT_S]
    assert show(Phase("replay"), 0, monkeypatch) == ""
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_a_line_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    running = Phase("replay", "requests")
    running(420_000, 1_000_000)
    over = Over(2 * LINE_S)
    running.show(over)
    assert sum(wait or 0.0 for wait in over.waits) == 2 * LINE_S + 1
    captured = capsys.readouterr()
    assert captured.out == ""
    line = r"llmsched: replay: 420,000 of 1,000,000 requests, \d+:\d\d (left|so far)\n"
    assert re.fullmatch(f"({line}){{2}}", captured.err)


def test_a_search_says_in_words_where_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    running = Phase("plan")
    running.tell("makespan 1,234, bound 1,200 (proof)")
    running.show(Over(LINE_S))
    told = r"llmsched: plan: makespan 1,234, bound 1,200 \(proof\), \d+:\d\d so far\n"
    assert re.fullmatch(told, capsys.readouterr().err)


def test_a_terminal_shows_a_bar_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Phase("replay", "requests")
    running(420_000, 1_000_000)
    shown = show(running, 3, monkeypatch)
    assert "replay" in shown
    assert "420,000 of 1,000,000 requests" in shown
    assert shown.endswith("\x1b[1A\x1b[2K")  # the line is erased
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # and the cursor is back


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert re.fullmatch(LOADING, show(Phase("loading"), LINE_S, monkeypatch, kind))


def test_a_pipe_stays_plain_whatever_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    Phase("loading").show(Over(LINE_S))
    assert re.fullmatch(LOADING, capsys.readouterr().err)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_goes_on_after_an_error(error: type[BaseException]) -> None:
    before = threads()

    def fail() -> None:
        with phase("study", "runs"):
            assert len(threads()) == len(before) + 1
            raise error

    with pytest.raises(error):
        fail()
    assert threads() == before


def test_a_reader_that_has_left_ends_only_the_showing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> int:
        raise OSError

    monkeypatch.setattr(Terminal, "write", fail)
    assert show(Phase("loading"), 3, monkeypatch) == ""


def test_reading_a_file_says_how_much_of_it_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    running = Phase("loading")
    running.read(8_558_274, 307_000_000, 969_265_884)
    running.show(Over(LINE_S))
    told = r"llmsched: loading: 307 of 969 MB, 8,558,274 rows, \d+:\d\d (left|so far)\n"
    assert re.fullmatch(told, capsys.readouterr().err)


def test_reading_a_pipe_says_only_how_many_rows_there_were(
    capsys: pytest.CaptureFixture[str],
) -> None:
    running = Phase("loading")
    running.read(65_536, 0, 0)
    running.show(Over(LINE_S))
    told = r"llmsched: loading: 65,536 rows, \d+:\d\d so far\n"
    assert re.fullmatch(told, capsys.readouterr().err)
