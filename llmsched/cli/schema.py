"""``llmsched schema``: what a document may hold, for editors and other programs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmsched.cli.inputs import one_of
from llmsched.cli.output import emit

NAMES = ("scenario", "profile", "comparison")
Name = Annotated[str, typer.Argument(metavar="|".join(NAMES), help="Of which document.")]


def schema(name: Name) -> None:
    """Print the JSON Schema of a document, by which an editor completes and checks it."""
    import orjson

    from llmsched.documents.result import Comparison
    from llmsched.hardware.document import Extension, ProfileFile
    from llmsched.scenario import ScenarioFile
    from llmsched.schema import json_schema

    one_of("document", name, NAMES)
    kinds: dict[str, tuple[str, list[Any]]] = {
        "scenario": ("Scenario of llmsched compare", [ScenarioFile]),
        "profile": ("Hardware profile of llmsched", [ProfileFile, Extension]),
        "comparison": ("Result of llmsched compare", [Comparison]),
    }
    title, known = kinds[name]
    found = json_schema(title, *known)
    emit(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode(), document=True)
