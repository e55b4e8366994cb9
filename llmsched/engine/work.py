"""What the steps of a replay amount to: blocks of the step table, folded as they come.

Everything that metrics and laws need of the table is here, so that nobody has to keep it. Whoever
wants the rows themselves asks for them to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

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
    once : list of (float64, int64)
        Gaps and how many sequences each had.
    slopes : list of float64, shape (4, k)
        The further rounds of decode rows: first duration, by how much each is longer than the one
        before it, rounds, sequences.
    """

    def __init__(self, per_kv_token: float) -> None:
        self.once: list[tuple[Column, NDArray[np.int64]]] = []
        self.slopes: list[NDArray[np.float64]] = []
        self._per_kv_token = per_kv_token
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
        born = np.concatenate((self._born, found_now), axis=1)
        np.subtract.at(born[2], np.searchsorted(born[0], withdrawn), 1)
        rows = np.flatnonzero(decodes > 0)
        joins = np.searchsorted(rows + first_row, born[0], side="right")  # the row that they join
        here = joins < len(rows)
        self._born = born[:, ~here]
        if not len(rows):
            return
        joins, born_end, seqs_born = joins[here], born[1, here], born[2, here]
        seqs, rounds = decodes[rows], table["rounds"][rows]
        growth = self._per_kv_token * seqs
        first = table["duration_s"][rows] / rounds - growth * (rounds - 1) / 2
        first_end = table["start_s"][rows] + first
        joined = np.bincount(joins, weights=seqs_born, minlength=len(rows))
        carried = seqs - joined - table["resumed"][rows]
        last_end = np.concatenate(([self._last_end], ends[rows[:-1]]))
        self._last_end = float(ends[rows[-1]])
        self._once(first_end - last_end, carried)
        self._once(first_end[joins] - born_end, seqs_born)
        further = rounds - 1
        even = (growth == 0) & (further > 0)
        self._once(first[even], (seqs * further)[even])
        uneven = (growth > 0) & (further > 0)
        if uneven.any():
            self.slopes.append(np.stack((first, growth, further, seqs))[:, uneven])

    def _once(self, gaps: Column, counts: Column) -> None:
        some = counts > 0
        if some.any():
            self.once.append((gaps[some], counts[some].astype(np.int64)))


@dataclass(eq=False)
class Work:
    """The sink of one engine's step table.

    Attributes
    ----------
    totals : Totals
    gaps : Gaps
    ends, prefill_ends : list of float64
        When the rows end, and those of them that compute prompts, in seconds: the instants at which
        last tokens can come, and first ones.
    kept : list of float64 arrays, shape (rows, columns), or None
        The rows themselves, if they are to be kept.
    """

    who: str
    config: EngineConfig
    step_time: StepTime
    keep: bool = True
    rows: int = 0
    totals: Totals = field(default_factory=Totals)
    ends: list[Column] = field(default_factory=list)
    prefill_ends: list[Column] = field(default_factory=list)
    kept: list[NDArray[np.float64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gaps = Gaps(self.step_time.per_kv_token_decode)

    def add(self, columns: NDArray[np.float64], withdrawn: Sequence[int]) -> None:
        """Take the next block of rows; its memory is the engine's again afterwards.

        Raises
        ------
        Defect
            They break a law.
        """
        table = Table(columns)
        if not len(table):
            return
        last_end = float(self.ends[-1][-1]) if self.ends else 0.0
        check_steps(self.who, self.config, self.step_time, table, self.rows, last_end)
        self.totals += totals(table)
        self.gaps.add(table, self.rows, np.array(withdrawn, dtype=np.int64))
        self.ends.append(table.ends)
        self.prefill_ends.append(table.ends[table["prefill_seqs"] + table["resumed"] > 0])
        self.rows += len(table)
        if self.keep:
            self.kept.append(columns.T.copy())


def step_rows(works: Iterable[Work]) -> NDArray[np.float64]:
    """Return the rows that were kept, of several engines by their start."""
    kept = [rows for work in works for rows in work.kept]
    rows = kept[0] if len(kept) == 1 else np.concatenate(kept)
    by_start = np.argsort(rows[:, 0], kind="stable")
    return rows[by_start]
