"""A block of the step table, by the names of its columns."""

from __future__ import annotations

from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.kernel.rows import STEP_COLUMNS

Column: TypeAlias = NDArray[np.float64]

_PLACE = {name: place for place, name in enumerate(STEP_COLUMNS)}


class Table:
    """A block of rows; `columns` has shape (17, rows), in the order of `STEP_COLUMNS`."""

    def __init__(self, columns: NDArray[np.float64]) -> None:
        self.columns = columns

    def __getitem__(self, name: str) -> Column:
        column: Column = self.columns[_PLACE[name]]
        return column

    def __len__(self) -> int:
        return int(self.columns.shape[1])

    @cached_property
    def seqs(self) -> Column:
        """Sequences that each row computes."""
        return self["decode_seqs"] + self["prefill_seqs"]

    @cached_property
    def decoded(self) -> Column:
        """Tokens that each row decodes."""
        return self["decode_seqs"] * self["rounds"]

    @cached_property
    def written(self) -> Column:
        """Tokens that each row computes."""
        return self["prefill_tokens"] + self.decoded

    @cached_property
    def held(self) -> Column:
        """Tokens in the KV cache when each row ends, before a finish frees any."""
        return self["held_tokens"] + self.written

    @cached_property
    def ends(self) -> Column:
        """When each row ends, in seconds."""
        return self["start_s"] + self["duration_s"]
