"""Damaged results: whatever was done to one, a report of it is right, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from llmsched.comparison.against import judged
from llmsched.comparison.document import Document, dump, read_document
from llmsched.comparison.gates import parse_gate
from llmsched.errors import InputError, LlmschedError
from llmsched.report import FORMATS, render
from tests.comparison.results import cell, document, matrix, row

SCHEMA = Path(__file__).parents[2] / "docs" / "comparison.schema.json"

PAIR = {
    "policy": "ljf",
    "metric": "makespan_s",
    "mean": -1.5,
    "ci_low": -2.0,
    "ci_high": -1.0,
    "p2_5": -2.5,
    "p97_5": -0.5,
    "mean_percent": -1.5,
    "better": 4,
    "equal": 0,
    "worse": 1,
    "worst": 0.5,
    "worst_case": 3,
}
RANGE = {"policy": "fcfs", "makespan_s": [99.0, 101.0], "makespan_percent": [-1.0, 1.0]}


def saved() -> dict[str, Document]:
    """One result of each kind, with all that it may hold."""
    base = document(row("fcfs"), row("ljf", makespan_s=90.0))
    gates = [parse_gate("makespan_s:2%"), parse_gate("fcfs:p99_ttft_ms:+50")]
    two = (cell(row("fcfs"), row("ljf"), label={"lengths": mode}) for mode in ("oracle", "mean"))
    later = document(row("fcfs", makespan_s=105.0), row("new"))
    later["selection"] = {"policies": ["fcfs", "new"]}
    published = [{"policy": "theirs", "metrics": {"makespan_s": 95.0}, "source": "a paper"}]
    return {
        "plain": base | {"published": published, "slo": {"ttft_ms": 200.0}},
        "matrix": matrix(*two),
        "cases": base | {"cases": {"count": 5, "draw": "bootstrap"}, "paired": [PAIR]},
        "family": base
        | {"family": {"members": [cell(row("fcfs"), member="other")], "ranges": [RANGE]}},
        "against": judged(
            document(row("fcfs", makespan_s=105.0), row("new")), gates, base, "b.json"
        )
        | {"selection": {"policies": ["fcfs", "new"]}},
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document, the innermost as well."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def damaged(value: Document, path: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the document with something else at a place, without it, and with it twice."""
    for other in (None, -1, True, "x", 1e308, [], {}, [None], {"x": [1]}):
        yield changed(value, path, lambda holder, key, other=other: holder.__setitem__(key, other))
    yield changed(value, path, lambda holder, key: holder.__delitem__(key))
    yield changed(
        value,
        path,
        lambda holder, key: (
            holder.append(holder[key]) if isinstance(holder, list) else holder.update(k=holder[key])
        ),
    )


def changed(value: Document, path: tuple[Any, ...], change: Any) -> Any:
    copy = deepcopy(value)
    holder: Any = copy
    for key in path[:-1]:
        holder = holder[key]
    change(holder, path[-1])
    return copy


@pytest.mark.parametrize("kind", saved())
def test_a_damaged_result_is_shown_in_every_format_or_refused_in_one_line(
    kind: str, tmp_path: Path
) -> None:
    whole, path = saved()[kind], tmp_path / "r.json"
    refused = 0
    for place in places(whole):
        if not place or place[:2] == ("hardware", "provenance"):
            continue
        for broken in damaged(whole, place):
            path.write_text(json.dumps(broken))
            said = refusal(path)
            if said is not None:
                assert said.startswith(f"{path}: ")
                assert "\n" not in said
            refused += said is not None
    assert refused > 100


def refusal(path: Path) -> str | None:
    """Return why a file is refused; None if it is shown in every format that it has rows for."""
    try:
        found = read_document(path)
    except LlmschedError as error:
        return str(error)
    for form in FORMATS:
        with suppress(InputError):
            render(found, form)
    return None


@pytest.mark.parametrize("kind", saved())
def test_what_is_whole_is_read_back_as_it_was(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(dump(saved()[kind]))
    assert read_document(path) == saved()[kind]
