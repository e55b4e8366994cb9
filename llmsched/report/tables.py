"""The per-request and per-step tables of a replay, as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmsched.engine.result import SimulationResult
from llmsched.kernel.rows import STEP_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

PUBLIC_STEP_COLUMNS = STEP_COLUMNS[:9]
"""The columns of ``--steps``; the rest of the step table serves the metrics."""


def requests_csv(result: SimulationResult) -> str:
    """Return one line a request, in trace order; times in seconds."""
    return _csv(result.requests[list(result.request_columns())])


def steps_csv(result: SimulationResult) -> str:
    """Return one line a step; a run of equal decode rounds is one line with ``rounds`` > 1.

    Where prompts may find tokens in the prefix cache, the last column says how many they did.
    """
    found = ["cached_tokens"] if result.shares else []
    return _csv(result.steps[[*PUBLIC_STEP_COLUMNS, *found]])


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, lineterminator="\n"))
