"""What replays of recorded schedules came to."""

from __future__ import annotations

from collections.abc import Mapping

from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.report.layout import BETTER, WORSE
from llmsched.verify.golden import Verdict


def golden_page(
    verdicts: Mapping[str, Verdict], *, width: int = PLAIN_WIDTH, color: bool = False
) -> str:
    """Return a row a recording, then a line on each that differs: where first, with both sides."""
    rows = [
        (
            BETTER if verdict.same else WORSE,
            name,
            f"{verdict.requests:,}",
            f"{verdict.steps:,}",
            f"{verdict.preemptions:,}",
        )
        for name, verdict in verdicts.items()
    ]
    same = sum(verdict.same for verdict in verdicts.values())
    parts: list[Part] = [
        Grid(rows, [("", "recording", "requests", "steps", "preemptions")], lead=2, words=2),
        "",
        *(
            f"{WORSE} {name}: {verdict.difference}"
            for name, verdict in verdicts.items()
            if not verdict.same
        ),
        f"{same} of {len(verdicts)} replayed step by step as recorded",
    ]
    return page(parts, width=width, color=color)
