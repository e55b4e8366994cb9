"""Why a request is not served: one number for each reason, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.ids import Ids

_NAMED = 3
"""Requests that are named; of more only the count is given."""


class Refusal(IntEnum):
    """A reason for which a server turns a request away; `NONE` where it does not."""

    NONE = 0
    PROMPT_TOO_LONG = 1
    LIMIT_TOO_LONG = 2
    NEVER_FITS = 3
    QUEUE_FULL = 4

    def words(self, config: EngineConfig) -> str:
        """Return the reason as reports give it, with the knob's value where one decides."""
        model = f"max_model_len {config.max_model_len or 0:,}"
        return {
            Refusal.NONE: "",
            Refusal.PROMPT_TOO_LONG: f"prompt beyond {model}",
            Refusal.LIMIT_TOO_LONG: f"prompt and declared limit beyond {model}",
            Refusal.NEVER_FITS: "can never fit into the KV cache",
            Refusal.QUEUE_FULL: _full(config),
        }[self]


def _full(config: EngineConfig) -> str:
    """Return which cap was reached."""
    caps = {
        "max_num_queued_reqs": config.max_num_queued_reqs,
        "max_num_queued_tokens": config.max_num_queued_tokens,
    }
    return " or ".join(f"{name} {cap:,} reached" for name, cap in caps.items() if cap is not None)


def describe_unserved(
    refusal: NDArray[np.int8], cut: int, ids: Ids | Sequence[str], config: EngineConfig
) -> str:
    """Say how many requests are refused and why, and how many answers are cut; "" if none.

    Parameters
    ----------
    refusal : int8, shape (n,)
        A `Refusal` for each request.
    cut : int
        Answers that end at a limit.
    ids : sequence of str
        Names of the requests.
    """
    parts = []
    for reason in Refusal:
        rows = np.flatnonzero(refusal == reason)
        if reason is Refusal.NONE or not len(rows):
            continue
        words = reason.words(config)
        if reason is Refusal.NEVER_FITS:  # the engine's sizes, not the request's own mistake
            names = [str(ids[row]) for row in rows[:_NAMED].tolist()]
            words += f": {', '.join(names)}{', ...' if len(rows) > _NAMED else ''}"
        parts.append(f"{len(rows):,} refused ({words})")
    if cut:
        parts.append(f"{cut:,} {'answer' if cut == 1 else 'answers'} cut at the limit")
    return ", ".join(parts)
