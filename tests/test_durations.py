"""Spans of time in words."""

from __future__ import annotations

import pytest

from llmsched.durations import seconds_of
from llmsched.errors import InputError


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("90", 90.0), ("500ms", 0.5), ("30s", 30.0), (".5m", 30.0), ("2h", 7200.0), (1.25, 1.25)],
)
def test_a_span_is_seconds_times_its_unit(span: str | float, seconds: float) -> None:
    assert seconds_of(span) == seconds


@pytest.mark.parametrize("span", ["", "s", "-1", "1e3", "10 m", "10min", "nan", "9" * 16])
def test_what_is_no_span_is_refused(span: str) -> None:
    with pytest.raises(InputError, match=r"expected seconds or a span like 500ms, 30s, 10m, 2h"):
        seconds_of(span)
