"""A span of a trace's time."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, read

FIXTURES = Path(__file__).parents[1] / "fixtures"
ROWS = "".join(
    f'{{"id": "{i}", "timestamp": {at}, "input_length": 1, "output_length": 1, "class": "{c}"}}\n'
    for i, (at, c) in enumerate([(5000, "a"), (6000, "b"), (65000, "b"), (8000, "a")])
)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "t.jsonl"
    path.write_text(ROWS)
    return path


@pytest.mark.parametrize(
    ("options", "ids", "arrival"),
    [
        (TraceOptions(since=1), ["1", "3", "2"], [0, 2, 59]),  # from the first request of the file
        (TraceOptions(since="1s", until="1m"), ["1", "3"], [0, 2]),  # the end is left out
        (TraceOptions(until=3.5, limit=2), ["0", "1"], [0, 1]),
        (TraceOptions(since=1, classes=("a",)), ["3"], [0]),  # of the file, not of the class
        (TraceOptions(since=1, speed=2), ["1", "3", "2"], [0, 1, 29.5]),
    ],
)
def test_requests_of_a_span_arrive_from_0_on(
    trace: Path, options: TraceOptions, ids: list[str], arrival: list[float]
) -> None:
    found = read(trace, options).trace
    assert list(found.id) == ids
    assert found.arrival.tolist() == arrival


def test_what_is_left_out_is_counted(trace: Path) -> None:
    notes = read(trace, TraceOptions(since="1s", until="1m")).notes
    assert "2 of 4 requests arrive from 1s until 1m; others are left out" in notes


def test_dates_are_for_files_with_dates(trace: Path) -> None:
    whole = read(FIXTURES / "azure.csv").trace
    date = (FIXTURES / "azure.csv").read_text().splitlines()[2].partition(",")[0]
    later = read(FIXTURES / "azure.csv", TraceOptions(since=date)).trace
    assert len(later) == len(whole) - 1
    with pytest.raises(InputError, match=r"t\.jsonl: since: expected seconds .*no dates"):
        read(trace, TraceOptions(since=date))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"since": "soon"}, "since: expected seconds or a span"),
        ({"until": "2023-99-99 00:00:00"}, "until: expected a date, got '2023-99-99 00:00:00'"),
        ({"since": 61}, "no request arrives from 61; the last one after 60 s"),
        ({"since": 2, "until": 1}, "no request arrives from 2 until 1"),
    ],
)
def test_a_span_of_nothing_is_refused(
    trace: Path, options: dict[str, float | str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read(trace, TraceOptions(**options))  # type: ignore[arg-type]  # some are wrong on purpose
