"""What the options of a trace do to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, load, read

ROWS = [(4000, "a"), (1000, "b"), (2000, "a"), (3000, "b")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    row = '{"timestamp": %d, "class": "%s", "input_length": 5, "output_length": 6}\n'
    path.write_text("".join(row % values for values in ROWS))
    return path


def test_limit_keeps_the_first_in_order_of_arrival(file: Path) -> None:
    assert load(file, TraceOptions(limit=2)).id.tolist() == ["1", "2"]


def test_class_keeps_those_rows_and_time_starts_at_the_first(file: Path) -> None:
    trace = load(file, TraceOptions(classes=("a",)))
    assert (trace.id.tolist(), trace.arrival.tolist()) == (["2", "0"], [0, 2])
    assert len(load(file, TraceOptions(classes=("a", "b")))) == 4


def test_speed_brings_arrivals_closer(file: Path) -> None:
    assert load(file, TraceOptions(speed=4)).arrival.tolist() == [0, 0.25, 0.5, 0.75]


def test_offline_puts_every_arrival_at_0_in_order_of_arrival(file: Path) -> None:
    trace = load(file, TraceOptions(offline=True))
    assert (trace.id.tolist(), trace.arrival.tolist()) == (["1", "2", "3", "0"], [0, 0, 0, 0])


def test_time_unit_overrides_the_format(file: Path) -> None:
    assert load(file, TraceOptions(time_unit="us")).arrival.tolist() == [0, 0.001, 0.002, 0.003]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"format": "nope"},
            "format: expected one of aiperf-export, .*got 'nope'",
        ),
        ({"time_unit": "h"}, "time_unit: expected one of ms, ns, s, us; got 'h'"),
        ({"limit": 0}, "limit: expected an integer >= 1, got 0"),
        ({"limit": 1.5}, "limit: expected an integer >= 1, got 1.5"),
        ({"speed": 0}, "speed: expected a number >= 1e-09, got 0"),
        ({"speed": float("nan")}, "speed: expected a finite number, got nan"),
        ({"speed": 1e-308}, "speed: expected a number >= 1e-09, got 1e-308"),
        ({"speed": "fast"}, "speed: expected a number >= 1e-09, got 'fast'"),
        ({"on_error": "stop"}, "on_error: expected one of fail, skip; got 'stop'"),
        ({"offline": "yes"}, "offline: expected true or false, got 'yes'"),
        ({"classes": "chat"}, "classes: expected a list, got 'chat'"),
    ],
)
def test_a_bad_option_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        TraceOptions(**settings)  # type: ignore[arg-type]  # the point of the test


def test_options_that_the_trace_cannot_follow_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class: expected one of a, b; got 'c'"):
        load(file, TraceOptions(classes=("c",)))
    with pytest.raises(InputError, match=r"trace.jsonl:1: expected a CSV header \(format azure\)"):
        load(file, TraceOptions(format="azure"))
    far = tmp_path / "far.jsonl"
    far.write_text(file.read_text().replace("4000", "40000000"))
    with pytest.raises(InputError, match="speed: 1e-09 stretches the trace beyond"):
        load(far, TraceOptions(speed=1e-9))
    plain = tmp_path / "azure.csv"
    plain.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,1,2\n")
    with pytest.raises(InputError, match="class: expected none: the trace has no classes"):
        load(plain, TraceOptions(classes=("c",)))
    with pytest.raises(InputError, match="TIMESTAMP: expected a number of s, got a date"):
        load(plain, TraceOptions(time_unit="s"))


def test_an_alias_names_the_native_format(file: Path) -> None:
    assert read(file, TraceOptions(format="mooncake")).format == "native"
