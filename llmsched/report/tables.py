"""The per-request and per-step tables of a replay, as CSV."""

from __future__ import annotations

import pandas as pd

from llmsched.engine.result import STEP_COLUMNS, SimulationResult
from llmsched.metrics import request_columns

PUBLIC_STEP_COLUMNS = STEP_COLUMNS[:9]
"""The columns of ``--steps``; the rest of the step table serves the metrics."""


def requests_csv(result: SimulationResult) -> str:
    """Return one line a request, in trace order; times in seconds."""
    return str(pd.DataFrame(request_columns(result)).to_csv(index=False, lineterminator="\n"))


def steps_csv(result: SimulationResult) -> str:
    """Return one line a step; a run of equal decode rounds is one line with ``rounds`` > 1."""
    table = pd.DataFrame({name: result.column(name) for name in PUBLIC_STEP_COLUMNS})
    counts = [name for name in PUBLIC_STEP_COLUMNS if not name.endswith("_s")]
    table[counts] = table[counts].astype("int64")
    return str(table.to_csv(index=False, lineterminator="\n"))
