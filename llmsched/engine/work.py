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
    duration, rounds = table["duration_s"], table["rounds"]
    missing = table.decoded - table["decode_seqs"]  # twice the mean of what is still to come
    held = table.held * 2
    held -= missing
    blocks = table["kv_blocks"] + table["kv_blocks_end"]
    return Totals(
        rounds=int(rounds.sum()),
        prefill_steps=int(np.count_nonzero(table["prefill_seqs"])),
        sequence_rounds=float(table.seqs @ rounds),  # counts: exact in any order
        busy_s=_sum_of(table.seqs, duration),
        computed_tokens=int(table.written.sum()),
        peak_tokens=int(table.held.max()),
        token_s=_sum_of(held, duration) / 2,
        block_s=_sum_of(blocks, duration) / 2,
    )


def _sum_of(column: Column, times: Column) -> float:
    """Return a sum of products that no processor's own order of adding can change."""
    return float((column * times).sum())


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
        # Prefills since then: row, end, sequences.
        self._born: NDArray[np.float64] = np.zeros((3, 0))

    def add(self, table: Table, first_row: int, withdrawn: NDArray[np.int64]) -> None:
        """Take the next block of rows, the first of which has that number."""
        decoding = _positive(table["decode_seqs"])
        n = len(table) if decoding is None else len(decoding)
        joins, born_end, born_seqs = self._joining(table, first_row, withdrawn, n)
        if not n:
            return
        duration, start, end, rounds, seqs, resumed = (
            _taken(column, decoding)
            for column in (
                *(table["duration_s"], table["start_s"], table.ends),
                *(table["rounds"], table["decode_seqs"], table["resumed"]),
            )
        )
        further = rounds - 1
        first = duration / rounds
        first -= self.per_kv_token * seqs * further / 2
        first_end = start + first
        carried = seqs - resumed
        carried -= np.bincount(joins, weights=born_seqs, minlength=n)
        waited = first_end.copy()
        waited[0] -= self._last_end
        waited[1:] -= end[:-1]
        self._last_end = float(end[-1])
        self._once(waited, carried)
        self._once(first_end[joins] - born_end, born_seqs)
        some = _positive(further)
        _append(self.first, _taken(first, some))
        _append(self.further, _taken(further, some))
        _append(self.further_seqs, _taken(seqs, some))

    def _joining(
        self, table: Table, first_row: int, withdrawn: NDArray[np.int64], n: int
    ) -> tuple[NDArray[np.int64], Column, Column]:
        """Return which of the block's `n` decode rows prefills join, their ends and sequences.

        They join the first one after their own row; those that find none are left for later.
        """
        found = np.flatnonzero(table["first_tokens"] > 0)
        now = np.stack((found + first_row, table.ends[found], table["first_tokens"][found]))
        earlier = np.zeros(self._born.shape[1], dtype=np.int64)
        born: NDArray[np.float64] = np.concatenate((self._born, now), axis=1)
        if len(withdrawn):
            np.subtract.at(born[2], np.searchsorted(born[0], withdrawn), 1)
        idle = np.flatnonzero(table["decode_seqs"] == 0)  # few where steps are mixed
        after = found + 1 - np.searchsorted(idle, found, side="right")
        joins = np.concatenate((earlier, after))
        here = int(np.searchsorted(joins, n))  # so many of them: they rise
        self._born = born[:, here:]
        return joins[:here], born[1, :here], born[2, :here]

    def _once(self, gaps: Column, counts: Column) -> None:
        some = _positive(counts)
        _append(self.once, _taken(gaps, some))
        _append(self.once_seqs, _taken(counts, some))


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
        prefills = _positive(table["prefill_seqs"] + table["resumed"])
        _append(self.prefill_ends, _taken(table.ends, prefills))


def _positive(counts: Column) -> NDArray[np.intp] | None:
    """Return where counts are > 0; None if all are."""
    some = np.flatnonzero(counts > 0)
    return None if len(some) == len(counts) else some


def _taken(column: Column, where: NDArray[np.intp] | None) -> Column:
    return column if where is None else column.take(where)


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
    shares: bool = False  # whether sequences may hold the same blocks
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
        check_steps(
            self.who, self.config, self.step_time, table, self.rows, self.last_end, self.shares
        )
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
