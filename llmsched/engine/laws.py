"""Laws that every result is held against before anybody sees it, rehearsals and plans included.

They cost a few passes over the arrays. A result that breaks one is a defect of this package, or of
a profile built in Python that charges less than nothing: it is never turned into a number.
`llmsched.verify` checks far more, from the tables alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched.engine.result import SimulationResult
from llmsched.errors import Defect


def check_laws(result: SimulationResult) -> None:
    """Return if time ran forwards, nothing was lost and no limit was passed.

    Raises
    ------
    Defect
        It did not; the message names policy, trace, and the first law that is broken.
    """
    with np.errstate(invalid="ignore"):
        broken = next(_broken(result), None)
    if broken is not None:
        raise Defect(f"policy {result.policy} on {result.trace.name}: {broken}")


def _broken(result: SimulationResult) -> Iterator[str]:
    """Yield what is wrong, if anything is."""
    yield from _time(result)
    yield from _requests(result)
    yield from _instants(result)
    yield from _work(result)
    yield from _limits(result)


def _time(result: SimulationResult) -> Iterator[str]:
    start, duration = result.column("start_s"), result.column("duration_s")
    bad = ~(np.isfinite(duration) & (duration >= 0))
    if bad.any():
        row = int(bad.argmax())
        yield f"step {row} at {start[row]:.6f} s lasts {duration[row]:.6f} s"
    early = start[1:] < start[:-1] + duration[:-1]
    if early.any():
        yield f"step {int(early.argmax()) + 1} starts before the one before it ends"
    if (result.column("rounds") < 1).any():
        yield f"step {int((result.column('rounds') < 1).argmax())} has no rounds"
    for row in np.flatnonzero(duration == 0).tolist():
        if _charged(result, row):
            yield f"step {row} at {start[row]:.6f} s takes no time, though it has a price"


def _charged(result: SimulationResult, row: int) -> bool:
    """Whether a step of one sequence or token of this kind costs anything under the profile."""
    price = result.hardware.step_time
    prefill, decode = (int(result.column(c)[row]) for c in ("prefill_tokens", "decode_seqs"))
    return price.base(prefill, decode) > 0


def _requests(result: SimulationResult) -> Iterator[str]:
    times = {
        "arrival": result.arrival,
        "admission": result.admitted,
        "first token": result.first_token,
        "finish": result.finish,
    }
    names, columns = list(times), list(times.values())
    for i in range(1, len(columns)):
        bad = ~((columns[i - 1] <= columns[i]) & np.isfinite(columns[i]))  # NaN: it never happened
        if bad.any():
            row = int(bad.argmax())
            yield (
                f"request {result.trace.id[row]!r}: {names[i]} at {columns[i][row]:.6f} s, "
                f"{names[i - 1]} at {columns[i - 1][row]:.6f} s"
            )


def _instants(result: SimulationResult) -> Iterator[str]:
    ends = result.column("start_s") + result.column("duration_s")
    prefills = result.column("prefill_seqs") + result.column("resumed") > 0
    for name, times, marks in (
        ("first token", result.first_token, ends[prefills]),
        ("finish", result.finish, ends),
    ):
        off = ~np.isin(times, marks)
        if off.any():
            row = int(off.argmax())
            yield f"request {result.trace.id[row]!r}: {name} at {times[row]:.6f} s, amid a step"


def _work(result: SimulationResult) -> Iterator[str]:
    trace = result.trace
    done = result.column("prefill_tokens") + result.column("decode_seqs") * result.column("rounds")
    due = int((trace.input_tokens + trace.output_tokens - 1).sum())  # the last is never computed
    due += int(result.recomputed_tokens.sum())
    if int(done.sum()) != due:
        yield f"its steps compute {int(done.sum())} tokens, the requests need {due}"


def _limits(result: SimulationResult) -> Iterator[str]:
    config = result.config
    tokens = result.column("prefill_tokens") + result.column("decode_seqs")
    for name, most, used in (
        ("max_num_seqs", config.max_num_seqs, result.column("running")),
        ("max_num_batched_tokens", config.max_num_batched_tokens, tokens),
        ("num_gpu_blocks", config.usable_blocks, result.column("kv_blocks")),
        ("the KV cache's tokens", config.kv_room, result.held_tokens),
    ):
        if most is not None and used.max() > most:
            row = int(used.argmax())
            yield f"step {row} uses {int(used[row])} of {name}, and {most} can be used"
