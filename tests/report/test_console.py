"""Pages: laid out the same everywhere, and nothing that does not fit is lost."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from llmsched.report.console import Grid, Part, page

NUMBERS = some.integers(0, 10**9).map(lambda value: f"{value:,}")
NAMES = some.text("abc+:=.", min_size=1, max_size=50)


@given(some.data(), some.integers(40, 200))
def test_every_number_is_whole_and_no_line_too_wide(data: some.DataObject, width: int) -> None:
    count = data.draw(some.integers(1, 12))
    rows = data.draw(some.lists(some.tuples(NAMES, *[NUMBERS] * count), min_size=1, max_size=5))
    titles = [("name", *(f"t{i}" for i in range(count)))]
    text = page([Grid(rows, titles)], width=width)
    assert max(map(len, text.splitlines())) <= width
    words = text.split()
    for _, *numbers in rows:
        for number in numbers:
            assert number in words
            words.remove(number)
    assert all(title in words for title in titles[0])


def test_columns_stand_under_their_titles() -> None:
    grid = Grid([("a", "1", "20"), ("bcd", "300", "4")], [("", "x", "y")])
    assert page([grid]) == "       x   y\na      1  20\nbcd  300   4\n"


def test_what_does_not_fit_goes_on_beneath_beside_the_names() -> None:
    grid = Grid([("a", "1" * 30, "2" * 30), ("b", "", "3")], [("n", "x", "y")], names=5)
    lines = page([grid], width=40).splitlines()
    assert lines == [
        f"n  {'x':>30}",
        f"a  {'1' * 30}",
        "b",
        "",
        f"n  {'y':>30}",
        f"a  {'2' * 30}",
        f"b  {'3':>30}",
    ]


def test_a_row_with_nothing_to_show_beneath_is_left_out_there_with_its_note() -> None:
    rows = [("a", "1" * 30, "2" * 30), ("b", "5", ""), ("c", "6", "7")]
    grid = Grid(rows, notes={1: ["of b:"], 2: ["of c:"]})
    above, below = page([grid], width=40).split("\n\n")
    assert [line.split()[0] for line in above.splitlines()] == ["a", "of", "b", "of", "c"]
    assert [line.split()[0] for line in below.splitlines()] == ["a", "of", "of", "c"]


def test_a_name_is_folded_before_a_table_goes_on_beneath() -> None:
    name = "a-name-of-thirty-one-characters"
    lines = page([Grid([(name, "1" * 22)])], width=40).splitlines()
    assert lines == [f"{name[:16]}  {'1' * 22}", name[16:]]


def test_texts_are_wrapped_into_what_is_left() -> None:
    grid = Grid([("key", "one two three four five six seven eight nine")], text=True)
    assert page([grid], width=40).splitlines() == [
        "key  one two three four five six seven",
        "     eight nine",
    ]


def test_wide_characters_take_their_room() -> None:
    text = page([Grid([("模型", "1"), ("abcd", "2")])])
    assert text == "模型  1\nabcd  2\n"


COLORED = [
    ("✓ -1.5%", "\x1b[32m✓ -1.5%\x1b[0m"),
    ("✗ FAILED fcfs", "\x1b[31m✗ FAILED fcfs\x1b[0m"),
    ("✓ better, ✗ worse than fcfs", "✓ better, ✗ worse than fcfs"),
    ("no mark [bold]", "no mark [bold]"),
]


@pytest.mark.parametrize(("text", "colored"), COLORED)
def test_marks_are_coloured_and_nothing_is_markup(text: str, colored: str) -> None:
    assert page([text], color=True) == f"{colored}\n"
    assert page([text]) == f"{text}\n"


def test_the_title_is_bold_and_wrapped() -> None:
    text = page(["x"], title="word " * 10, width=40, color=True)
    assert text.startswith("\x1b[1mword ")
    assert re.sub(r"\x1b\[\d+m", "", text) == page(["x"], title="word " * 10, width=40)


ENVIRONMENTS = [
    {"TERM": "dumb"},
    {"NO_COLOR": "1"},
    {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    {"COLUMNS": "20", "LINES": "3"},
    {"GITHUB_ACTIONS": "true"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("color", [False, True])
def test_the_environment_changes_no_byte(
    environment: dict[str, str], color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[Part] = [Grid([("name", "✓ -1.5%", "1,234")]), "✗ gates: 0 of 1 passed"]
    before = page(parts, title="a title", width=60, color=color)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert page(parts, title="a title", width=60, color=color) == before


def test_rich_is_imported_only_for_what_is_rendered() -> None:
    code = "import sys, llmsched.report, llmsched.report.single; print('rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
