"""Laws that every result is held against before anybody sees it, rehearsals and plans included.

They cost a few passes over the arrays. A result that breaks one is a defect of this package, or of
a profile built in Python that charges less than nothing: it is never turned into a number.
`llmsched.verify` checks far more, from the tables alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine.table import Table
from llmsched.errors import Defect
from llmsched.hardware import StepTime

Names: TypeAlias = Callable[[int], object]

_AT_ONCE = 1 << 17
"""Requests that are looked at in one go, so that a long trace takes little memory."""


def check_steps(
    who: str,
    config: EngineConfig,
    price: StepTime,
    table: Table,
    first: int,
    last_end: float,
) -> None:
    """Return if time runs forwards in a block of rows and no limit is passed.

    Parameters
    ----------
    who : str
        Policy and trace, for the message.
    first : int
        Number of the block's first row.
    last_end : float
        Seconds: when the row before it ended.

    Raises
    ------
    Defect
        A law is broken; the message names the first one and the row.
    """
    with np.errstate(invalid="ignore"):
        broken = next(
            chain(_time(price, table, first, last_end), _limits(config, table, first)), ""
        )
    if broken:
        raise Defect(f"{who}: {broken}")


def check_requests(
    who: str,
    id_of: Names,
    times: Mapping[str, NDArray[np.float64]],
    ends: NDArray[np.float64],
    prefill_ends: NDArray[np.float64],
    completed: NDArray[np.bool_],
) -> None:
    """Return if every request arrived, was admitted, got a token and finished, in this order.

    A request that was not completed may lack the last of these; what came, came in this order.

    Parameters
    ----------
    id_of : callable
        Given a request's number, returns its id.
    times : mapping
        "arrival", "admission", "first token" and "finish", each float64, shape (n,).
    ends, prefill_ends : float64, shape (rows,)
        When steps end, and those of them that compute prompts, rising: last tokens, and first ones,
        come at no other time.
    completed : bool, shape (n,)

    Raises
    ------
    Defect
        It was not so; the message names the first request.
    """
    marks = {"first token": prefill_ends, "finish": ends}
    with np.errstate(invalid="ignore"):
        broken = next(
            chain(_in_order(id_of, times, completed), _instants(id_of, times, marks, completed)), ""
        )
    if broken:
        raise Defect(f"{who}: {broken}")


def check_work(who: str, due: int, done: int) -> None:
    """Return if the steps compute as many tokens as the requests need.

    Raises
    ------
    Defect
        They do not.
    """
    if done != due:
        raise Defect(f"{who}: its steps compute {done} tokens, the requests need {due}")


def _time(price: StepTime, table: Table, first: int, last_end: float) -> Iterator[str]:
    start, duration, rounds = table["start_s"], table["duration_s"], table["rounds"]
    bad = ~(np.isfinite(duration) & (duration >= 0))
    if bad.any():
        row = int(bad.argmax())
        yield f"step {first + row} at {start[row]:.6f} s lasts {duration[row]:.6f} s"
    early = start < np.concatenate(([last_end], table.ends[:-1]))
    if early.any():
        yield f"step {first + int(early.argmax())} starts before the one before it ends"
    if (rounds < 1).any():
        yield f"step {first + int((rounds < 1).argmax())} has no rounds"
    for row in np.flatnonzero(duration == 0).tolist():
        prefill, decode = (int(table[name][row]) for name in ("prefill_tokens", "decode_seqs"))
        if price.base(prefill, decode) > 0:  # a step of this kind costs something
            yield (f"step {first + row} at {start[row]:.6f} s takes no time, though it has a price")


def _limits(config: EngineConfig, table: Table, first: int) -> Iterator[str]:
    tokens = table["prefill_tokens"] + table["decode_seqs"]
    blocks = np.maximum(table["kv_blocks"], table["kv_blocks_end"])
    for name, most, used in (
        ("max_num_seqs", config.max_num_seqs, table["running"]),
        ("max_num_batched_tokens", config.max_num_batched_tokens, tokens),
        ("num_gpu_blocks", config.usable_blocks, blocks),
        ("the KV cache's tokens", config.kv_room, table["held_tokens"] + table.written),
    ):
        if most is not None and used.max() > most:
            row = int(used.argmax())
            yield f"step {first + row} uses {int(used[row])} of {name}, and {most} can be used"
    seqs = table["prefill_seqs"] + table["decode_seqs"]
    over = seqs > table["running"]
    if over.any():
        row = int(over.argmax())
        running = int(table["running"][row])
        yield f"step {first + row} computes {int(seqs[row])} sequences, and {running} are running"


def _in_order(
    id_of: Names, times: Mapping[str, NDArray[np.float64]], completed: NDArray[np.bool_]
) -> Iterator[str]:
    for before, after in pairwise(times):
        bad = ~((times[before] <= times[after]) & np.isfinite(times[after]))  # NaN: it never came
        if not completed.all():
            latest = np.fmax.reduce([times[name] for name in times if name != after])
            early = times[after] < (latest if after == "finish" else times[before])
            bad = np.where(completed, bad, early)
        if bad.any():
            row = int(bad.argmax())
            yield (
                f"request {id_of(row)!r}: {after} at {times[after][row]:.6f} s, "
                f"{before} at {times[before][row]:.6f} s"
            )


def _instants(
    id_of: Names,
    times: Mapping[str, NDArray[np.float64]],
    marks: Mapping[str, NDArray[np.float64]],
    completed: NDArray[np.bool_],
) -> Iterator[str]:
    for name, ends in marks.items():
        if not completed.all():
            came = np.flatnonzero(completed | np.isfinite(times[name]))
            part = {name: times[name][came]}
            names = partial(_renumbered, id_of, came)
            yield from _instants(names, part, {name: ends}, completed[:0])
            continue
        for start in range(0, len(times[name]), _AT_ONCE):
            some = times[name][start : start + _AT_ONCE]
            if not _amid(np.sort(some), ends).any():  # searched in order they are found sooner
                continue
            row = int(_amid(some, ends).argmax())
            yield f"request {id_of(start + row)!r}: {name} at {some[row]:.6f} s, amid a step"


def _renumbered(id_of: Names, rows: NDArray[np.int64], row: int) -> object:
    return id_of(int(rows[row]))


def _amid(times: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    if not len(ends):
        return np.ones(len(times), dtype=np.bool_)
    at = np.searchsorted(ends, times)
    amid: NDArray[np.bool_] = ends[np.minimum(at, len(ends) - 1)] != times
    return amid
