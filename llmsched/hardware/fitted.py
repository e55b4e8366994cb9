"""The range of steps that a profile was fitted to, and who leaves it.

A profile says it in its provenance, where it is known: ``fitted: {tokens: [1, 4096]}``.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmsched.config import EngineConfig
from llmsched.hardware.document import Fitted
from llmsched.hardware.profile import HardwareProfile
from llmsched.schema import checked

RANGES = Fitted.__struct_fields__
"""What a step holds: tokens computed, those of prompts, decode sequences, context tokens read."""


def beyond_fit(
    profile: HardwareProfile, config: EngineConfig, sequences: int | None = None
) -> list[str]:
    """Return one line for each knob with which steps may leave the range a profile was fitted to.

    Parameters
    ----------
    config : EngineConfig
        The engine's knobs, the user's included.
    sequences : int, optional
        How many requests there are to run at once, if that is fewer than slots.
    """
    return list(_beyond(profile, config, sequences))


def _beyond(profile: HardwareProfile, config: EngineConfig, sequences: int | None) -> Iterator[str]:
    fitted = checked(profile.provenance.get("fitted", {}), Fitted, f"{profile.name}: fitted")
    if fitted.tokens is not None:
        low, high = fitted.tokens
        budget = config.max_num_batched_tokens
        if budget is None or budget > high:
            yield (
                f"max_num_batched_tokens {'without a limit' if budget is None else budget}: "
                f"{profile.name} was fitted on steps of {low:,} to {high:,} tokens; "
                "times beyond are extrapolated"
            )
    running = min(config.max_num_seqs, sequences or config.max_num_seqs)
    # A decoding sequence computes one token a step, so a range of tokens says something as well.
    low, high = fitted.sequences or fitted.tokens or (0, running)
    if running > high:
        what = "sequences" if fitted.sequences else "tokens"
        yield (
            f"max_num_seqs {config.max_num_seqs}: {profile.name} was fitted on steps of {low:,} "
            f"to {high:,} {what}; times beyond are extrapolated"
        )
