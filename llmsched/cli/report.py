"""``llmsched report``: show a saved result again, without a rerun."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsched.cli import common
from llmsched.cli.compare import Against, FailOn, Format, Pivot, check_delivery, conclude, deliver


def report(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="JSON that `llmsched compare` saved.")
    ],
    against: Against = None,
    fail_on: FailOn = None,
    format: Format = None,
    pivot: Pivot = "makespan_s",
    output: common.Output = None,
) -> None:
    """Show a saved result again, in any format or against other gates."""
    from llmsched.compare.against import judged
    from llmsched.compare.document import read_document
    from llmsched.compare.gates import parse_gate

    check_delivery(format, output, pivot)
    document = read_document(file)
    base = None if against is None else read_document(against)
    if base is None and not fail_on:
        deliver(document, format, output, pivot)
        return
    document = judged(document, [parse_gate(text) for text in fail_on or []], base, against)
    deliver(document, format, output, pivot)
    conclude(document)
