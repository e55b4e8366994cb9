"""The schema of profiles: what editors check by is what is shipped and what is read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from llmsched.documents.yaml import read_mapping
from llmsched.hardware import load_profile, parse_profile
from llmsched.hardware.fitted import beyond_fit
from llmsched.hardware.kinds import RooflinePrices
from llmsched.hardware.plausibility import implausible
from llmsched.hardware.roofline import FAMILIES, Efficiencies
from tests.documents.faults import unclear_refusals

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "profile.schema.json").read_text())
PROFILES = sorted((ROOT / "llmsched" / "data" / "hardware").glob("*.yaml"))


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


@pytest.mark.parametrize(
    "name", ["llama3-8b-a100", "llama2-70b-h200x8-analytic", "llama65b-8gpu-paper"]
)
def test_every_single_fault_is_refused_in_one_line_or_prices_every_step(name: str) -> None:
    def read(document: dict[str, Any]) -> None:
        profile = parse_profile(document, "f.yaml")
        implausible(profile)
        beyond_fit(profile, profile.engine)
        prefill = profile.step_time.step(2**20, 2**40, 2**40, 0, 2**30)
        decode = profile.step_time.step(0, 0, 0, 256, 2**30)
        assert 0 < decode < float("inf")
        assert 0 <= prefill < float("inf")

    document: dict[str, Any] = copy.deepcopy(dict(load_profile(name).document))
    table = document["step_time"].get("token_table", {})
    table |= {key: knots[:3] for key, knots in table.items()}  # the others are like them
    assert unclear_refusals(document, read) == set()


def test_a_roofline_takes_all_efficiencies_that_a_family_has() -> None:
    assert set(Efficiencies.__annotations__) < set(RooflinePrices.__struct_fields__)
    family = SCHEMA["$defs"]["RooflinePrices"]["properties"]["family"]
    assert family["enum"] == list(FAMILIES)
