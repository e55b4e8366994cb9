"""Options that say of which requests the metrics are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from llmsched.cli.inputs import given
from llmsched.cli.options import METRICS, Group

By = Annotated[
    str | None,
    typer.Option(
        metavar="class|input|output",
        rich_help_panel=METRICS,
        help="Metrics of each class as well, or by length of prompt or answer: powers of two, or "
        "edges (input:512,4096).",
    ),
]
Warmup = Annotated[
    str | None,
    typer.Option(
        metavar="N|TIME",
        rich_help_panel=METRICS,
        help="Requests that do not count in metrics: the first N, or those of a time (30s).",
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        metavar="A..B",
        rich_help_panel=METRICS,
        help="Only requests that arrive then count, in seconds or like 10m..2h.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Measuring(Group):
    """Which requests count in metrics, and which have metrics of their own."""

    by: By = None
    warmup: Warmup = None
    window: Window = None

    @property
    def given(self) -> dict[str, Any]:
        """What was given, under the names of a scenario.

        Raises
        ------
        InputError
            It is none of the forms; the message begins with the name.
        """
        from llmsched.counted import Counted
        from llmsched.grouping import check_by

        warmup: int | str | None = self.warmup
        if self.warmup is not None and self.warmup.isascii() and self.warmup.isdigit():
            warmup = int(self.warmup)
        if self.by is not None:
            check_by(self.by)
        Counted(warmup, self.window)
        return given(by=self.by, warmup=warmup, window=self.window)

    def tell_of_classes(self, classes: list[str] | None) -> None:
        """Say that a class alone is another question than how it fares among the others."""
        from llmsched.notes import say

        if classes and self.by is None:
            say("--class leaves out all other requests: for its metrics among them, --by class")
