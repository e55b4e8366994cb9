"""A block of the step table, by the names of its columns."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.kernel.rows import STEP_COLUMNS

Column: TypeAlias = NDArray[np.float64]


class Table:
    """A block of rows by the names of its columns."""

    def __init__(self, rows: NDArray[np.float64]) -> None:
        self.rows = rows

    def __getitem__(self, name: str) -> Column:
        return self.rows[:, STEP_COLUMNS.index(name)]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def written(self) -> Column:
        """Tokens that each row computes."""
        return self["prefill_tokens"] + self["decode_seqs"] * self["rounds"]

    @property
    def ends(self) -> Column:
        """When each row ends, in seconds."""
        return self["start_s"] + self["duration_s"]
