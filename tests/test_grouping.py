"""Requests in groups."""

from __future__ import annotations

import numpy as np
import pytest

from llmsched.errors import InputError
from llmsched.grouping import MOST, grouped
from llmsched.trace import Trace


def trace_of(prompts: list[int], classes: list[str] | None = None) -> Trace:
    n = len(prompts)
    return Trace.from_columns(range(n), prompts, [7] * n, job_class=classes)


def test_classes_are_groups_by_name_and_those_without_one_have_a_group_too() -> None:
    groups = grouped(trace_of([1, 1, 1, 1], ["b", "", "a:x=1", "b"]), "class")
    assert groups.names == ("(none)", "a:x=1", "b")
    assert groups.of.tolist() == [2, 0, 1, 2]
    assert [(name, rows.tolist()) for name, rows in groups.rows(np.array([0, 2, 3]))] == [
        ("a:x=1", [2]),
        ("b", [0, 3]),
    ]


@pytest.mark.parametrize(
    ("by", "names", "of"),
    [
        ("input", ("1", "2-3", "512-1023"), [0, 1, 1, 2, 2]),
        ("output", ("4-7",), [0] * 5),
        ("input:512,4096", ("1-511", "512-4095"), [0, 0, 0, 1, 1]),  # an edge begins its group
        ("input:3", ("1-2", "3+"), [0, 0, 1, 1, 1]),
        ("input:1,3", ("1-2", "3+"), [0, 0, 1, 1, 1]),
    ],
)
def test_lengths_fall_into_powers_of_two_or_between_edges(
    by: str, names: tuple[str, ...], of: list[int]
) -> None:
    groups = grouped(trace_of([1, 2, 3, 512, 1023]), by)
    assert groups.names == names
    assert groups.of.tolist() == of


@pytest.mark.parametrize(
    "by", ["", "klass", "class:a", "input:", "input:a", "input:5,5", "input:0"]
)
def test_what_groups_nothing_is_refused(by: str) -> None:
    with pytest.raises(InputError, match="by: expected class, input, output, or a length"):
        grouped(trace_of([1], ["a"]), by)


def test_a_trace_without_classes_has_none() -> None:
    assert trace_of([1]).classes[0] == ()
    with pytest.raises(InputError, match=r"by: expected a length .*: the trace has no classes"):
        grouped(trace_of([1]), "class")


def test_more_groups_than_anybody_reads_are_refused() -> None:
    names = [str(i) for i in range(MOST + 1)]
    with pytest.raises(InputError, match="by: expected at most 1,000 groups, got 1,001"):
        grouped(trace_of([1] * len(names), names), "class")
