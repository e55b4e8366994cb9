"""The schema of profiles: what editors check by is what is shipped and what is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from llmsched.documents.schema import json_schema
from llmsched.documents.yaml import read_mapping
from llmsched.hardware.document import Extension, ProfileFile
from llmsched.hardware.kinds import RooflinePrices
from llmsched.hardware.roofline import FAMILIES, Efficiencies

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "profile.schema.json").read_text())
PROFILES = sorted((ROOT / "llmsched" / "data" / "hardware").glob("*.yaml"))


def test_the_schema_in_the_documentation_is_that_of_the_types() -> None:
    assert json_schema(ProfileFile, "Hardware profile of llmsched", Extension) == SCHEMA


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_shipped_profile_keeps_to_the_schema(path: Path) -> None:
    Draft202012Validator(SCHEMA).validate(dict(read_mapping(path)))


@pytest.mark.parametrize(
    "document",
    [
        {"extends": "llama3-8b-a100"},
        {"extends": "llama3-8b-a100", "name": "x", "prices": {}},
        {"schema_version": 1, "name": "x", "step_time": {"kind": "affine", "per_setp": 1}},
        {"schema_version": 1, "name": "x", "step_time": {"kind": "affine", "per_step": 1e308}},
        {"schema_version": 1, "name": "x", "step_time": {"kind": "roofline", "family": "tpu"}},
    ],
)
def test_an_editor_marks_what_would_be_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(document)


def test_a_roofline_takes_all_efficiencies_that_a_family_has() -> None:
    assert set(Efficiencies.__annotations__) < set(RooflinePrices.__struct_fields__)
    family = SCHEMA["$defs"]["RooflinePrices"]["properties"]["family"]
    assert family["enum"] == list(FAMILIES)
