"""``llmsched schema``: what a document may hold, for editors and other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsched.cli.inputs import one_of
from llmsched.cli.output import emit

TITLES = {
    "scenario": "Scenario of llmsched compare",
    "profile": "Hardware profile of llmsched",
    "comparison": "Result of llmsched compare",
}
Name = Annotated[str, typer.Argument(metavar="|".join(TITLES), help="Of which document.")]


def schema(name: Name) -> None:
    """Print the JSON Schema of a document, by which an editor completes and checks it."""
    import orjson

    from llmsched.documents.result import Comparison
    from llmsched.hardware.document import Extension, ProfileFile
    from llmsched.scenario import ScenarioFile
    from llmsched.schema import json_schema

    one_of("document", name, tuple(TITLES))
    kinds: dict[str, tuple[type, ...]] = {
        "scenario": (ScenarioFile,),
        "profile": (ProfileFile, Extension),
        "comparison": (Comparison,),
    }
    found = json_schema(TITLES[name], *kinds[name])
    emit(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode(), document=True)
