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
    "cached_tokens",
)
"""Columns of the step table. Counts are those at a row's first round: `kv_tokens` is the context
the decodes read, `running` and `waiting` the queues after scheduling, `first_tokens` the sequences
whose prompt the row finishes and that have more tokens to come, `resumed` the decodes that are the
last token of a recomputation, the two sums what `StepTime.step` prices, `kv_blocks` and
`kv_blocks_end` the blocks in use in the row's first and last round (0 if they are not limited), and
`held_tokens` the tokens in the KV cache at the row's start, of all sequences: those that decode,
prompts begun, and those about to leave. `cached_tokens` are those that the requests admitted in the
row find in the cache."""

ROWS = 1 << 13
"""Rows of a block: a full one is folded before the next decision."""


class Rows:
    """A block of rows, a column each, and what their sink must know beside them.

    Attributes
    ----------
    table : float64, shape (17, most)
        The columns in the order of `STEP_COLUMNS`; `count` of each are written.
    gone : int
        Rows of the blocks before this one.
    withdrawn : array of int
        Rows, one each time, whose sequence was preempted before it decoded: the token that its
        prompt yielded is followed by no round of it.
    resume_gap : array of float
        Seconds between the last token before a preemption and the next one after it.
    """

    def __init__(self, most: int = ROWS) -> None:
        self.most = most
        self.count = self.gone = 0
        self.withdrawn = array("q")
        self.resume_gap = array("d")
        self.table: NDArray[np.float64] = np.zeros((len(STEP_COLUMNS), most))
        columns = [floats(column) for column in self.table]
        self.start, self.duration, self.rounds = columns[0:3]
        self.prefill_tokens, self.prefill_seqs, self.decode_seqs = columns[3:6]
        self.kv_tokens, self.running, self.waiting = columns[6:9]
        # These four are only written where a prompt is computed.
        self.first_tokens, self.resumed, self.squares, self.crossed = columns[9:13]
        self.blocks, self.held_tokens, self.blocks_end, self.cached = columns[13:17]

    def written(self) -> NDArray[np.float64]:
        """Return the rows, shape (16, count): a view, good until the next block is begun."""
        return self.table[:, : self.count]

    def begin_block(self) -> None:
        """Write over the rows from here on."""
        self.gone += self.count
        self.table[9:13, : self.count] = 0.0
        self.count = 0
        del self.withdrawn[:]
