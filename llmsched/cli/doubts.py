"""Warnings on stderr about inputs that can be replayed, but that look like a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from llmsched.notes import say

if TYPE_CHECKING:
    from llmsched.compare.study import Study


def warn(lines: Iterable[str]) -> None:
    """Print each line once."""
    for line in dict.fromkeys(lines):
        say(f"warning: {line}")


def warn_of_study(study: Study) -> None:
    """Warn of what is doubtful in the cells of a comparison."""
    from llmsched.hardware.fitted import beyond_fit
    from llmsched.planner.stored import count_replicas
    from llmsched.plausibility import doubts

    for cell in study.cells:
        name = f"{cell.name}: " if cell.name else ""
        if cell.source.generate:  # its rate was asked for
            found = beyond_fit(cell.hardware, cell.engine, len(cell.trace))
        else:
            found = doubts(
                cell.trace,
                cell.hardware,
                cell.engine,
                cell.source.concurrency,
                count_replicas(cell.assignment),
                float(str(cell.source.options.get("speed", 1.0))),
            )
        warn(name + line for line in found)
