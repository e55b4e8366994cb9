"""The step table while it is written: blocks of rows that a sink takes away."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats

STEP_COLUMNS = (
    "start_s",
    "duration_s",
    "rounds",
    "prefill_tokens",
    "prefill_seqs",
    "decode_seqs",
    "kv_tokens",
    "running",
    "waiting",
    "first_tokens",
    "resumed",
    "sum_sq_prefill",
    "sum_prefill_x_context",
    "kv_blocks",
    "held_tokens",
    "kv_blocks_end",
)
"""Columns of the step table. Counts are those at a row's first round: `kv_tokens` is the context
the decodes read, `running` and `waiting` the queues after scheduling, `first_tokens` the sequences
whose prompt the row finishes and that have more tokens to come, `resumed` the decodes that are the
last token of a recomputation, the two sums what `StepTime.step` prices, `kv_blocks` and
`kv_blocks_end` the blocks in use in the row's first and last round (0 if they are not limited), and
`held_tokens` the tokens in the KV cache at the row's start, of all sequences: those that decode,
and prompts begun."""

WIDTH = 16

ROWS = 1 << 16
"""Rows of a block: a full one is taken away before the next decision."""


class Rows:
    """A block of rows, and what their sink must know beside them.

    Attributes
    ----------
    gone : int
        Rows that have been taken away.
    withdrawn : array of int
        Rows, one each time, whose sequence was preempted before it decoded: the token that its
        prompt yielded is followed by no round of it.
    resume_gap : array of float
        Seconds between the last token before a preemption and the next one after it.
    """

    def __init__(self, rows: int = ROWS) -> None:
        self.most = rows
        self.count = 0
        self.gone = 0
        self._table = np.empty(rows * WIDTH)
        self.cell = floats(self._table)
        self.withdrawn = array("q")
        self.resume_gap = array("d")

    def take(self) -> NDArray[np.float64]:
        """Return the rows, shape (rows, 16), and begin a new block."""
        table = self._table[: self.count * WIDTH].reshape(-1, WIDTH)
        self._table = np.empty(self.most * WIDTH)
        self.cell = floats(self._table)
        self.gone += self.count
        self.count = 0
        return table

    def take_withdrawn(self) -> NDArray[np.int64]:
        """Return the withdrawn rows since the last time."""
        taken = np.array(self.withdrawn, dtype=np.int64)
        del self.withdrawn[:]
        return taken
