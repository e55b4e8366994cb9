"""The page of a trace: every figure whole, within its width."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from llmsched.importers import Imported, read
from llmsched.report.trace import length, trace_page
from llmsched.trace import Trace
from llmsched.traceinfo import describe
from tests.importers.strategies import traces

FIXTURES = Path(__file__).parents[1] / "fixtures"


def imported(trace: Trace) -> Imported:
    return Imported(trace, "native", len(trace), {}, ())


@given(traces(), some.sampled_from([60, 80, 200]))
@settings(max_examples=60)
def test_the_page_keeps_its_width_and_every_number(trace: Trace, width: int) -> None:
    page = trace_page(imported(trace), width=width)
    assert max(map(len, page.splitlines())) <= width
    figures = describe(imported(trace))
    words = page.split()
    for column in ("input_tokens", "output_tokens"):
        assert all(length(value) in words for value in figures[column].values())


@given(traces())
@settings(max_examples=60)
def test_a_histogram_counts_every_request(trace: Trace) -> None:
    _, _, below = trace_page(imported(trace)).partition("\ninput tokens\n")
    lines = below.partition("\n\n")[0].splitlines()
    assert sum(int(line.rstrip("█ ").split()[-1].replace(",", "")) for line in lines) == len(trace)


def test_the_page_tells_what_was_dropped_and_why() -> None:
    text = trace_page(read(FIXTURES / "burstgpt.csv"))
    assert "requests    2 of 3 rows" in text
    assert "dropped 1   Response tokens is 0" in text
    assert "classes     API log 1, Conversation log 1" in text


def test_declared_limits_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 5, "output_length": 6'
    path.write_text(f'{row}}}\n{row}, "max_tokens": 1200}}\n{row}, "max_tokens": 7}}\n')
    told = "limits    7 to 1,200 output tokens, declared by 2 of 3 requests"
    assert told in trace_page(read(path)).splitlines()


def test_a_long_length_needs_no_decimal() -> None:
    assert [length(value) for value in (2, 999.94, 1154.71)] == ["2.0", "999.9", "1,155"]


def test_a_name_that_a_terminal_would_obey_is_spelt_out() -> None:
    trace = Trace.from_columns([0], [1], [1], name="\x1b[31m" + "long" * 40)
    page = trace_page(imported(trace))
    assert "\x1b" not in page
    assert "long" * 40 in "".join(page.split())


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_is_the_same_bytes_twice(width: int) -> None:
    trace = read(FIXTURES / "burstgpt.csv")
    assert trace_page(trace, width=width) == trace_page(trace, width=width)


def test_sessions_are_told_in_three_lines() -> None:
    nan = float("nan")
    trace = Trace.from_columns(
        [0, nan, 2, nan], [1] * 4, [1] * 4, session=list("aabb"), delay=[0, 1, 0, 3]
    )
    page = trace_page(Imported(trace, "native", 4, {}, ()))
    assert "sessions    2 of 4 requests\n" in page
    assert "turns       2.0 in the mean, at most 2\n" in page
    assert (
        "delays      2,000.0 ms in the mean, 1,000.0 to 3,000.0 ms from the end of a turn" in page
    )
