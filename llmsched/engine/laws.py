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

_FAR = 16
"""So many steps a request, and searching is quicker than merging."""


def check_steps(
    who: str,
    config: EngineConfig,
    price: StepTime,
    table: Table,
    first: int,
    last_end: float,
    shares: bool = False,
) -> None:
    """Return if time runs forwards in a block of rows and no limit is passed.

    Parameters
    ----------
    who : str
        Policy and trace, for the message.
    first : int
        Number of the block's first row.
    shares : bool
        Whether sequences may hold the same blocks: then their tokens are no law's.
    last_end : float
        Seconds: when the row before it ended.

    Raises
    ------
    Defect
        A law is broken; the message names the first one and the row.
    """
    with np.errstate(invalid="ignore"):
        broken = next(
            chain(_time(price, table, first, last_end), _limits(config, table, first, shares)), ""
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
    least = duration.min()  # NaN if any is
    if not (least >= 0 and duration.max() < np.inf):
        row = int((~(np.isfinite(duration) & (duration >= 0))).argmax())
        yield f"step {first + row} at {start[row]:.6f} s lasts {duration[row]:.6f} s"
    early = start[1:] < table.ends[:-1]
    if start[0] < last_end or early.any():
        row = 0 if start[0] < last_end else 1 + int(early.argmax())
        yield f"step {first + row} starts before the one before it ends"
    if rounds.min() < 1:
        yield f"step {first + int((rounds < 1).argmax())} has no rounds"
    for row in np.flatnonzero(duration == 0).tolist() if least <= 0 else ():
        prefill, decode = (int(table[name][row]) for name in ("prefill_tokens", "decode_seqs"))
        if price.base(prefill, decode) > 0:  # a step of this kind costs something
            yield (f"step {first + row} at {start[row]:.6f} s takes no time, though it has a price")


def _limits(config: EngineConfig, table: Table, first: int, shares: bool) -> Iterator[str]:
    tokens = table["prefill_tokens"] + table["decode_seqs"]
    for name, most, used in (
        ("max_num_seqs", config.max_num_seqs, table["running"]),
        ("max_num_batched_tokens", config.max_num_batched_tokens, tokens),
        ("num_gpu_blocks", config.usable_blocks, table["kv_blocks"]),
        ("num_gpu_blocks", config.usable_blocks, table["kv_blocks_end"]),
        ("the KV cache's tokens", None if shares else config.kv_room, table.held),
    ):
        if most is not None and used.max() > most:
            row = int(used.argmax())
            yield f"step {first + row} uses {int(used[row])} of {name}, and {most} can be used"
    over = table.seqs > table["running"]
    if over.any():
        row = int(over.argmax())
        seqs, running = int(table.seqs[row]), int(table["running"][row])
        yield f"step {first + row} computes {seqs} sequences, and {running} are running"


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
            if _all_among(np.sort(some), ends):
                continue
            amid = _amid(some, ends)
            if amid.any():
                row = int(amid.argmax())
                yield f"request {id_of(start + row)!r}: {name} at {some[row]:.6f} s, amid a step"


def _all_among(times: NDArray[np.float64], ends: NDArray[np.float64]) -> bool:
    """Whether each of some times is surely one of the ends, both rising.

    Two rising columns are merged in a fraction of the time in which one is searched for the other.
    """
    near = ends[np.searchsorted(ends, times[0]) : np.searchsorted(ends, times[-1], side="right")]
    if len(near) > _FAR * len(times):
        return not _amid(times, ends).any()
    wanted = _once_each(times)
    both = np.concatenate((wanted, _once_each(near))).view(np.int64)  # sorted sooner than floats
    both.sort(kind="stable")
    return int(np.count_nonzero(both[1:] == both[:-1])) == len(wanted)


def _once_each(rising: NDArray[np.float64]) -> NDArray[np.float64]:
    again = rising[1:] == rising[:-1]
    return np.delete(rising, np.flatnonzero(again)) if again.any() else rising


def _renumbered(id_of: Names, rows: NDArray[np.int64], row: int) -> object:
    return id_of(int(rows[row]))


def _amid(times: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.bool_]:
    if not len(ends):
        return np.ones(len(times), dtype=np.bool_)
    at = np.searchsorted(ends, times)
    amid: NDArray[np.bool_] = ends[np.minimum(at, len(ends) - 1)] != times
    return amid
