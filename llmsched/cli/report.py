"""``llmsched report``: show a saved result again, without a rerun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched.cli.deliver import Against, Delivery, FailOn, refusal_told
from llmsched.errors import InputError


def report(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON that `llmsched compare` saved.")
    ],
    against: Against = None,
    fail_on: FailOn = None,
    delivery: Delivery,
) -> None:
    """Show a saved result again, in any format, against another one or other gates.

    Without --fail-on, the gates that it was saved with count. Exit 1 if one failed.
    """
    from llmsched.comparison.against import judged
    from llmsched.comparison.document import read_document
    from llmsched.comparison.gates import parse_gate
    from llmsched.schema import within

    delivery.check()
    anew = against is not None or bool(fail_on)
    with refusal_told(file.name, delivery):
        document = read_document(file)
        base = None if against is None else read_document(against)
        if fail_on and base is None and (before := document.get("against")):
            what = f"{file}: it was compared with {before.get('file')}"
            raise InputError(f"--fail-on: expected together with --against, as {what}")
        if anew:
            texts = fail_on or dict.fromkeys(verdict["gate"] for verdict in document["gates"])
            with within("--fail-on" if fail_on else f"{file}: gates", ": "):
                gates = [parse_gate(text) for text in texts]
            document = judged(document, gates, base, against)
    delivery.finish(document, summary=anew)
