"""A server's request finds its place in a saved plan."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmsched.errors import InputError
from llmsched.serving.plans import planned_rank, planned_ranks


def saved(folder: Path, document: Any) -> Path:
    path = folder / "plan.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_the_first_of_every_slot_come_before_the_second_of_any(tmp_path: Path) -> None:
    path = saved(tmp_path, {"schema_version": 1, "slots": [["a", "b", "c"], ["d"], ["e", "f"]]})
    assert list(planned_ranks(path)) == ["a", "d", "e", "b", "f", "c"]


def test_of_a_plan_for_replicas_one_share_is_taken_in_its_order(tmp_path: Path) -> None:
    path = saved(tmp_path, {"replicas": [{"requests": ["a", "c"]}, {"requests": ["b"]}]})
    assert planned_ranks(path) == {"a": 0, "c": 1}
    assert planned_ranks(path, 1) == {"b": 0}


@pytest.mark.parametrize(
    ("document", "replica", "says"),
    [
        ("{", 0, "expected a plan, got"),
        ({}, 0, "expected a plan (llmsched plan --output FILE)"),
        ([], 0, "plan.json"),
        ({"slots": [[1]]}, 0, "slots"),
        ({"replicas": [{"requests": ["a"]}]}, 1, "expected a replica in 0..0, got 1"),
        ({"replicas": [{"requests": ["a"]}]}, -1, "expected a replica in 0..0, got -1"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, document: Any, replica: int, says: str) -> None:
    with pytest.raises(InputError) as refused:
        planned_ranks(saved(tmp_path, document), replica)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "request_id",
    [
        "gsm8k-test-7",
        "gsm8k-test-7-1a2b3c4d",
        "chatcmpl-gsm8k-test-7-1a2b3c4d",
        "cmpl-gsm8k-test-7-0-1a2b3c4d",
        "cmpl-gsm8k-test-7-12",
    ],
)
def test_a_request_is_known_by_the_name_that_its_client_gave_it(request_id: str) -> None:
    assert planned_rank(request_id, {"gsm8k-test-8": 0, "gsm8k-test-7": 5}) == 5


@pytest.mark.parametrize("request_id", ["gsm8k-test-1a2b3c4d", "chatcmpl-9", "", "gsm8k-test"])
def test_a_request_that_is_not_planned_has_no_place(request_id: str) -> None:
    assert planned_rank(request_id, {"gsm8k-test-7": 5}) is None


def test_an_id_that_looks_like_one_with_a_suffix_is_taken_as_it_is() -> None:
    assert planned_rank("job-abcdefgh", {"job-abcdefgh": 1, "job": 0}) == 1
