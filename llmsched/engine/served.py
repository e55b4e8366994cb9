"""Laws of who is served: nobody is refused below a cap, or stays beyond its deadline.

They hold whatever a policy does, and are read off the times of the requests alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.engine.laws import Names
from llmsched.engine.result import ABORTED, COMPLETED, REFUSED
from llmsched.errors import Defect

_SLACK_S = 2e-9
"""Instants no further apart may be one; see `llmsched.kernel.state.TOLERANCE_S`."""


@dataclass(frozen=True, eq=False)
class Served:
    """What became of the requests of one engine; arrays of shape (n,), in order of arrival.

    `left` is when each was completed, refused or aborted; `first_token` is NaN where none came.
    """

    prompt: NDArray[np.int64]
    output: NDArray[np.int64]
    timeout: NDArray[np.float64] | None
    arrival: NDArray[np.float64]
    first_token: NDArray[np.float64]
    left: NDArray[np.float64]
    status: NDArray[np.int8]
    emitted: NDArray[np.int64]


def check_served(
    who: str,
    id_of: Names,
    config: EngineConfig,
    served: Served,
    ends: NDArray[np.float64],
    ahead: bool = False,
) -> None:
    """Return if each request met the fate that caps and timeouts have for it.

    Parameters
    ----------
    ends : float64, shape (rows,)
        When steps end, rising.
    ahead : bool
        Whether a step is scheduled while the one before it is computed: who leaves is in one more.

    Raises
    ------
    Defect
        A law is broken; the message names the first request.
    """
    laws = chain(_tokens(served), _caps(config, served), _deadlines(served, ends, ahead))
    for bad, what in laws:
        if bad.any():
            raise Defect(f"{who}: request {id_of(int(bad.argmax()))!r} {what}")


def _tokens(served: Served) -> Iterator[tuple[NDArray[np.bool_], str]]:
    status, emitted, first = served.status, served.emitted, served.first_token
    yield (status == COMPLETED) & (emitted > served.output), "got more tokens than it has"
    yield (status == REFUSED) & (emitted > 0), "was refused and got tokens"
    yield (status == ABORTED) & (emitted >= served.output), "was aborted with its last token"
    yield (emitted > 0) != np.isfinite(first), "has a first token and none, or none and some"


def _caps(config: EngineConfig, served: Served) -> Iterator[tuple[NDArray[np.bool_], str]]:
    caps = (config.max_num_queued_reqs, config.max_num_queued_tokens)
    refused = served.status == REFUSED
    if caps == (None, None):
        yield refused, "was refused, and there is no cap"
        return
    begun = np.where(np.isfinite(served.first_token), served.first_token, served.left)
    most, least = (np.zeros(len(refused), np.bool_) for _ in range(2))
    counts = (np.ones_like(served.prompt), served.left), (served.prompt, begun)
    for cap, (each, until) in zip(caps, counts, strict=True):
        if cap is not None:
            most |= _there(served, each, until, -_SLACK_S) >= cap
            least |= _there(served, each, until, _SLACK_S) >= cap
    yield refused & ~most, "was refused below the cap"
    yield ~refused & least, "was taken beyond the cap"


def _there(
    served: Served, each: NDArray[np.int64], until: NDArray[np.float64], slack: float
) -> NDArray[np.int64]:
    """Return what was there of `each` as requests arrived, if what ends by the slack is gone."""
    accepted = np.where(served.status == REFUSED, 0, each)
    came = np.cumsum(accepted) - accepted
    order = np.argsort(until, kind="stable")
    gone = np.concatenate(([0], np.cumsum(accepted[order])))
    left: NDArray[np.int64] = came - gone[np.searchsorted(until[order], served.arrival + slack)]
    return left


def _deadlines(
    served: Served, ends: NDArray[np.float64], ahead: bool
) -> Iterator[tuple[NDArray[np.bool_], str]]:
    aborted = served.status == ABORTED
    if served.timeout is None:
        yield aborted, "was aborted, and has no timeout"
        return
    deadline = served.arrival + served.timeout
    yield aborted & (served.left < deadline - _SLACK_S), "was aborted before its deadline"
    first = np.searchsorted(ends, deadline + _SLACK_S)  # the step in flight
    in_flight = np.concatenate((ends, [np.inf, np.inf]))[first + ahead]
    late = (served.status != REFUSED) & (served.left > in_flight)
    yield late, "stayed longer than the step in which its client left"
