"""What the steps of a replay amount to: blocks of the step table, folded as they come.

Everything that metrics and laws need of the table is here, so that nobody has to keep it. Whoever
wants the rows themselves asks for them to be kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine.laws import check_steps
from llmsched.engine.table import Column, Table
from llmsched.hardware import StepTime


@dataclass(frozen=True)
class Totals:
    """Sums over the steps of one engine or several.

    Attributes
    ----------
    rounds, prefill_steps : int
        Steps, and those of them that compute prompt tokens.
    sequence_rounds : float
        Sequences computed, over all steps.
    busy_s : float
        Seconds, each as often as there are sequences computed in it.
    computed_tokens : int
    peak_tokens : int
        Most tokens in the KV cache at once; of several engines, the fullest one's.
    token_s, block_s : float
        Tokens in the KV cache, and its blocks in use, over time.
    """

    rounds: int = 0
    prefill_steps: int = 0
    sequence_rounds: float = 0.0
    busy_s: float = 0.0
    computed_tokens: int = 0
    peak_tokens: int = 0
    token_s: float = 0.0
    block_s: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.rounds + other.rounds,
            self.prefill_steps + other.prefill_steps,
            self.sequence_rounds + other.sequence_rounds,
            self.busy_s + other.busy_s,
            self.computed_tokens + other.computed_tokens,
            max(self.peak_tokens, other.peak_tokens),
            self.token_s + other.token_s,
            self.block_s + other.block_s,
        )


def totals(table: Table) -> Totals:
    """Return what a block of rows amounts to.

    What a step writes has its place from its start; within a row, tokens and blocks grow evenly.
    """
    duration, rounds, decodes = table["duration_s"], table["rounds"], table["decode_seqs"]
    seqs = decodes + table["prefill_seqs"]
    held = table["held_tokens"] + table.written  # at the end, before a finish frees any
    growth = decodes * (rounds - 1) / 2  # the mean of what is still to come
    blocks = (table["kv_blocks"] + table["kv_blocks_end"]) / 2
    return Totals(
        rounds=int(rounds.sum()),
        prefill_steps=int((table["prefill_seqs"] > 0).sum()),
        sequence_rounds=float((seqs * rounds).sum()),
        busy_s=float((duration * seqs).sum()),
        computed_tokens=int(table.written.sum()),
        peak_tokens=int(held.max()),
        token_s=float(((held - growth) * duration).sum()),
        block_s=float((blocks * duration).sum()),
    )


class Gaps:
    """Every gap between two tokens of a sequence, in seconds, from the step table; exact.

    In a decode row all sequences wait for its rounds; before the first round those that decoded in
    the previous decode row also waited for the steps between the rows, and those whose prefill
    ended in between waited since then. Resumed sequences add one gap each, the longer one since
    their preemption.

    Attributes
    ----------
    per_kv_token : float
        Seconds by which each round of a decode row is longer than the one before it, a sequence.
    once, once_seqs : array of float and int
        Gaps that were waited for once, and how many sequences each had.
    first, further, further_seqs : array of float, int and int
        The further rounds of decode rows: first duration, rounds, sequences.
    """

    def __init__(self, per_kv_token: float, most_seqs: int) -> None:
        self.per_kv_token = per_kv_token
        seqs = "H" if most_seqs < 2**16 else "i"
        self.once, self.once_seqs = array("d"), array(seqs)
        self.first, self.further, self.further_seqs = array("d"), array("i"), array(seqs)
        self._last_end = 0.0  # of the last decode row
        self._born: NDArray[np.float64] = np.zeros(
            (3, 0)
        )  # prefills since then: row, end, sequences

    def add(self, table: Table, first_row: int, withdrawn: NDArray[np.int64]) -> None:
        """Take the next block of rows, the first of which has that number."""
        ends, decodes = table.ends, table["decode_seqs"]
        found = np.flatnonzero(table["first_tokens"] > 0)
        found_now: NDArray[np.float64] = np.stack(
            (found + first_row, ends[found], table["first_tokens"][found])
        )
        earlier = np.zeros(self._born.shape[1], dtype=np.int64)
        born = np.concatenate((self._born, found_now), axis=1)
        if len(withdrawn):
            np.subtract.at(born[2], np.searchsorted(born[0], withdrawn), 1)
        decoding = decodes > 0
        rows = np.flatnonzero(decoding)
        # The decode row that they join: the first one after their own.
        joins = np.concatenate((earlier, np.cumsum(decoding)[found]))
        here = int(np.searchsorted(joins, len(rows)))  # so many of them: they rise
        self._born = born[:, here:]
        if not len(rows):
            return
        joins, born_end, seqs_born = joins[:here], born[1, :here], born[2, :here]
        seqs, rounds = decodes[rows], table["rounds"][rows]
        growth = self.per_kv_token * seqs
        first = table["duration_s"][rows] / rounds - growth * (rounds - 1) / 2
        first_end = table["start_s"][rows] + first
        joined = np.bincount(joins, weights=seqs_born, minlength=len(rows))
        carried = seqs - joined - table["resumed"][rows]
        last_end = np.concatenate(([self._last_end], ends[rows[:-1]]))
        self._last_end = float(ends[rows[-1]])
        self._once(first_end - last_end, carried)
        self._once(first_end[joins] - born_end, seqs_born)
        further = rounds - 1
        some = further > 0
        _append(self.first, first[some])
        _append(self.further, further[some])
        _append(self.further_seqs, seqs[some])

    def _once(self, gaps: Column, counts: Column) -> None:
        some = counts > 0
        _append(self.once, gaps[some])
        _append(self.once_seqs, counts[some])


class Instants:
    """When the rows end, in seconds: the instants at which tokens can come.

    Attributes
    ----------
    ends, prefill_ends : array of float
        Of all rows, for last tokens, and of those that compute prompts, for first ones.
    """

    def __init__(self) -> None:
        self.ends, self.prefill_ends = array("d"), array("d")

    def add(self, table: Table) -> None:
        """Take the next block of rows."""
        _append(self.ends, table.ends)
        _append(self.prefill_ends, table.ends[table["prefill_seqs"] + table["resumed"] > 0])


def _append(column: array[Any], values: Column) -> None:
    """Let a column grow where it lies: of a long trace there is no room for a second copy."""
    column.frombytes(np.ascontiguousarray(values, column.typecode).view(np.uint8).data)


@dataclass(eq=False)
class Work:
    """The sink of one engine's step table.

    Attributes
    ----------
    totals : Totals
    gaps : Gaps
    kept : list of float64 arrays, shape (rows, columns), or None
        The rows themselves, if they are to be kept.
    """

    who: str
    config: EngineConfig
    step_time: StepTime
    keep: bool = True
    rows: int = 0
    totals: Totals = field(default_factory=Totals)
    last_end: float = 0.0
    kept: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gaps = Gaps(self.step_time.per_kv_token_decode, self.config.max_num_seqs)

    def add(self, table: Table, withdrawn: Sequence[int]) -> None:
        """Take the next block of rows; its memory is the engine's again afterwards.

        Raises
        ------
        Defect
            They break a law.
        """
        if not len(table):
            return
        check_steps(self.who, self.config, self.step_time, table, self.rows, self.last_end)
        self.totals += totals(table)
        self.gaps.add(table, self.rows, np.array(withdrawn, dtype=np.int64))
        self.last_end = float(table.ends[-1])
        self.rows += len(table)
        if self.keep:
            self.kept.append(table.columns.T.copy())


def step_rows(works: Iterable[Work]) -> NDArray[np.float64]:
    """Return the rows that were kept, of several engines by their start."""
    kept = [rows for work in works for rows in work.kept]
    rows = kept[0] if len(kept) == 1 else np.concatenate(kept)
    by_start = np.argsort(rows[:, 0], kind="stable")
    return rows[by_start]
