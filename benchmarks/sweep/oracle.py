"""When each token came out, told independently of `llmsched.metrics`, and what that makes.

Two oracles. The plain engine of the tests is a second simulator that shares no code with the first:
it tells everything, preemptions too, and is slow. The step table tells all tokens of a replay in
which nothing was preempted: a request gets one at the end of its prefill and one in each decode
round after that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.sweep.draw import Case
from llmsched.engine import SimulationResult
from llmsched.engine.result import COMPLETED
from llmsched.errors import PolicyError
from tests.plain_engine import PlainEngine, Request

PLAIN_WORK = 30_000
"""Steps times sequences up to which the plain engine replays a case: 0.3 s."""
REPEATS = 100
"""Times that a state must come back before a replay counts as one that never ends."""

Times = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Told:
    """Seconds, one entry a request served: arrival, first admission, and times of its tokens."""

    arrival: Times
    admitted: Times
    tokens: Sequence[Times]


class Endless(Exception):
    """The same state came back again and again, and nobody got a token in between."""


class Watched(PlainEngine):
    """The plain engine without a limit on preemptions: it looks for a state that comes back.

    A token is never lost, so a replay that goes on for ever is one without further tokens, and
    without those and arrivals only finitely many states remain. As long as a request is still to
    arrive nothing is certain: it may break the circle.
    """

    _seen: dict[tuple[object, ...], int] | None = None

    def _emit(self, request: Request) -> None:
        self._seen = None
        super()._emit(request)

    def _arrive(self) -> bool:
        came = super()._arrive()
        if came:
            self._seen = None
        return came

    def _preempt(self, request: Request) -> None:
        self.fruitless = 0
        super()._preempt(request)
        self._seen = {} if self._seen is None else self._seen
        state = (
            tuple((r.index, r.computed, r.goal, r.blocks) for r in self.running),
            self.waiting(),
            request.index,
        )
        self._seen[state] = self._seen.get(state, 0) + 1
        to_come = any(np.isfinite(later.arrival) for later in self.coming)
        if self._seen[state] >= REPEATS and not to_come:
            raise Endless


def small(result: SimulationResult) -> bool:
    """Whether the plain engine does this replay in a fraction of a second."""
    looked_at = result.column("running") + len(result.trace) / 5
    return float((result.column("rounds") * looked_at).sum()) <= PLAIN_WORK


def by_plain_engine(case: Case) -> Told | None:
    """Replay `case` once more, step by step; None if it never ends.

    Raises
    ------
    PolicyError
        The policy proposed what the plain engine cannot do.
    """
    plain = Watched(
        case.served, case.hardware, case.policy, case.config, case.seen(), case.concurrency
    )
    try:
        plain.run()
    except Endless:
        return None
    except PolicyError as error:
        raise PolicyError(f"the plain engine: {error}") from error
    return Told(
        np.array([request.arrival for request in plain.requests]),
        np.array([request.admitted for request in plain.requests]),
        [np.array(request.tokens_at) for request in plain.requests],
    )


def by_step_table(result: SimulationResult, engines: Sequence[SimulationResult]) -> Told:
    """Walk the steps of a replay without preemptions; nothing else of it but who began when.

    `engines` are the parts of it that one engine did each.
    """
    times: dict[str, Times] = {}
    for part in engines:
        done = part.of(np.flatnonzero(part.status == COMPLETED))
        times |= dict(zip(done.trace.id, _tokens(done, _round_ends(part)), strict=True))
    served = result.of(np.flatnonzero(result.status == COMPLETED))
    return Told(served.arrival, served.admitted, [times[name] for name in served.trace.id])


def _tokens(result: SimulationResult, ends: Times) -> Iterator[Times]:
    joined = np.searchsorted(ends, result.first_token + _same(result.first_token), side="right")
    further = (result.emitted - 1).tolist()
    for first, at, left in zip(result.first_token.tolist(), joined.tolist(), further, strict=True):
        yield np.concatenate(([first], ends[at : at + left]))


def _round_ends(result: SimulationResult) -> Times:
    """Return when each decode round ended, one by one."""
    step_time, ends = result.hardware.step_time, []
    names = ("start_s", "duration_s", "rounds", "decode_seqs", "kv_tokens")
    for start, seconds, rounds, seqs, kv in zip(
        *(result.column(name).tolist() for name in names), strict=True
    ):
        if rounds == 1 and seqs:
            ends.append(start + seconds)
            continue
        at = start
        for i in range(int(rounds) if seqs else 0):
            at += step_time.step(0, 0, 0, int(seqs), int(kv + i * seqs))
            ends.append(at)
    return np.array(ends)


def _same(times: Times) -> Times:
    """Return how far two statements of the same instant may lie apart."""
    return 1e-9 * np.maximum(1.0, np.abs(times))


def row(told: Told) -> dict[str, float]:
    """Return every latency's mean and percentiles in milliseconds, under the names of a result."""
    first = np.array([tokens[0] for tokens in told.tokens])
    last = np.array([tokens[-1] for tokens in told.tokens])
    further = np.array([len(tokens) - 1 for tokens in told.tokens])
    several = further > 0
    samples = {
        "queue": told.admitted - told.arrival,
        "ttft": first - told.arrival,
        "tpot": (last - first)[several] / further[several],
        "e2el": last - told.arrival,
        "itl": np.concatenate([np.diff(tokens) for tokens in told.tokens]),
    }
    values: dict[str, float] = {}
    for name, seconds in samples.items():
        values[f"mean_{name}_ms"] = float(seconds.mean() * 1e3) if len(seconds) else np.nan
        for stat, percent in (("median", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
            known = float(np.percentile(seconds, percent) * 1e3) if len(seconds) else np.nan
            values[f"{stat}_{name}_ms"] = known
    return values
