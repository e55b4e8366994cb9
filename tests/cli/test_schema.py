"""``llmsched schema``: the documents' types, as editors and other programs want them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from llmsched.cli.schema import TITLES
from tests.cli.conftest import Outcome

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", TITLES)
def test_the_schemas_in_the_documentation_are_those_of_the_program(
    llmsched: Callable[..., Outcome], name: str
) -> None:
    outcome = llmsched("schema", name)
    assert (outcome.code, outcome.err) == (0, "")
    Draft202012Validator.check_schema(json.loads(outcome.out))
    assert outcome.out == (DOCS / f"{name}.schema.json").read_text(encoding="utf-8")


def test_another_document_has_none(llmsched: Callable[..., Outcome]) -> None:
    outcome = llmsched("schema", "trace")
    assert outcome.code == 2
    assert outcome.err == (
        "llmsched: document: expected one of scenario, profile, comparison; got 'trace'\n"
    )
