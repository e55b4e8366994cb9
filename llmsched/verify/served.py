"""Laws of who is served: limits of lengths, caps on the queue, and clients that leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from llmsched.verify.lengths import TAKEN, WHY, answers, never_taken
from llmsched.verify.replay import Replay, named, slack, wrong
from llmsched.verify.tables import ABORTED, COMPLETED, REFUSED

_SAME_S = 2e-9
"""Instants no further apart may be one to the engine."""


def everybody_served_or_not(replay: Replay) -> Iterator[str]:
    """A request is completed with all tokens it may have, refused without any, or left with some.

    An answer ends where its limit, or the model's length, cuts it.
    """
    r, whole = replay.requests, answers(replay.trace, replay.config)
    who, never = named(r), np.isnan(r.first_token_s)
    bad = (r.status == COMPLETED) & (r.emitted_tokens != whole)
    yield from wrong(
        bad, who, lambda i: f"completed with {r.emitted_tokens[i]} tokens, expected {whole[i]}"
    )
    refused = r.status == REFUSED
    came = ~(np.isnan(r.admitted_s) & never & np.isnan(r.finish_s)) | (r.emitted_tokens > 0)
    yield from wrong(refused & came, who, "refused, and something of it was done")
    aborted = r.status == ABORTED
    bad = (r.emitted_tokens >= whole) | ((r.emitted_tokens > 0) == never)
    bad |= np.isnan(r.finish_s) | (r.finish_s < np.fmax(r.first_token_s, r.arrival_s))
    yield from wrong(aborted & bad, who, lambda i: f"aborted with {r.emitted_tokens[i]} tokens")


def nobody_beyond_the_limits(replay: Replay) -> Iterator[str]:
    """Whoever is too long for the model or the KV cache is refused."""
    verdict, r = never_taken(replay.trace, replay.config), replay.requests
    bad = (verdict != TAKEN) & (r.status != REFUSED)
    yield from wrong(bad, named(r), lambda i: f"was taken, but {WHY[verdict[i]]}")


def caps(replay: Replay) -> Iterator[str]:
    """Whoever is short enough is refused where the caps are reached, and only there."""
    r, config = replay.requests, replay.config
    refused, short = r.status == REFUSED, never_taken(replay.trace, config) == TAKEN
    if config.max_num_queued_reqs is None and config.max_num_queued_tokens is None:
        yield from wrong(refused & short, named(r), "refused, and there is no cap")
        return
    line = np.argsort(r.arrival_s, kind="stable")  # turns of sessions come when others have ended
    tokens, gone, lacks = r.input_tokens[line], r.finish_s[line], refused[line]
    begun = np.where(np.isnan(r.first_token_s), r.finish_s, r.first_token_s)[line]
    full = np.zeros((2, len(refused)), np.bool_)  # at least, and at most
    for i, arrival in enumerate(r.arrival_s[line].tolist()):
        for which, margin in enumerate((_SAME_S, -_SAME_S)):
            there = ~lacks[:i] & (gone[:i] > arrival + margin)
            waits = ~lacks[:i] & (begun[:i] > arrival + margin)
            full[which, line[i]] = there.sum() >= (config.max_num_queued_reqs or np.inf)
            owed = int(tokens[:i][waits].sum())
            full[which, line[i]] |= owed >= (config.max_num_queued_tokens or np.inf)
    yield from wrong(refused & short & ~full[1], named(r), "refused below the cap")
    yield from wrong(~refused & short & full[0], named(r), "accepted beyond the cap")


def timeouts(replay: Replay) -> Iterator[str]:
    """A client leaves at the end of the step in which its patience ends, and never before."""
    r, s, timeout = replay.requests, replay.steps, replay.trace.timeout
    who, aborted = named(r), r.status == ABORTED
    if timeout is None:
        yield from wrong(aborted, who, "aborted, and its client does not leave")
        return
    deadline = r.arrival_s + timeout
    yield from wrong(aborted & (r.finish_s < deadline - _SAME_S), who, "aborted too early")
    row = np.minimum(np.searchsorted(s.end_s, deadline + _SAME_S), len(s.end_s) - 1)
    late = r.finish_s > np.maximum(s.end_s[row], deadline) + slack(s.end_s[row])
    yield from wrong(late, who, "still there a step after its client has left")
