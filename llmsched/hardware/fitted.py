"""The range of steps that a profile was fitted to, and who leaves it.

A profile says it in its provenance, where it is known: ``fitted: {tokens: [1, 4096]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeGuard

from llmsched.documents.section import Section, shown

if TYPE_CHECKING:
    from llmsched.config import EngineConfig
    from llmsched.hardware.profile import HardwareProfile

RANGES = ("tokens", "prefill_tokens", "sequences", "kv_tokens")
"""What a step holds: tokens computed, those of prompts, decode sequences, context tokens read."""

_NOT_PRICES = {"kind", "unit", "mixed", "overhead"}


def read_fitted(provenance: Section) -> dict[str, tuple[int, int]]:
    """Return the ranges that a profile's provenance states.

    Raises
    ------
    InputError
        An unknown range, or one that is not two integers, the least first.
    """
    if "fitted" not in provenance:
        return {}
    section = provenance.section("fitted")
    ranges = {}
    for name in RANGES:
        if name in section:
            ends = section.get(name, "two integers")
            if not _is_range(ends):
                raise section.expected(name, "two integers >= 0, the least first", shown(ends))
            ranges[name] = (ends[0], ends[1])
    section.close()
    return ranges


def inherited_fit(provenance: object, changes: Mapping[str, object]) -> dict[str, object]:
    """Return what a profile with other fields keeps of its base's provenance: the fitted ranges.

    Where prices were changed there is nothing to keep.
    """
    step_time = changes.get("step_time", {})
    if not isinstance(provenance, Mapping) or "fitted" not in provenance:
        return {}
    kept = isinstance(step_time, Mapping) and step_time.keys() <= _NOT_PRICES
    return {"fitted": provenance["fitted"]} if kept else {}


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
    ranges = read_fitted(Section(profile.name, "provenance", profile.provenance))
    if "tokens" in ranges:
        low, high = ranges["tokens"]
        budget = config.max_num_batched_tokens
        if budget is None or budget > high:
            yield (
                f"max_num_batched_tokens {'without a limit' if budget is None else budget}: "
                f"{profile.name} was fitted on steps of {low:,} to {high:,} tokens; "
                "times beyond are extrapolated"
            )
    running = min(config.max_num_seqs, sequences or config.max_num_seqs)
    # A decoding sequence computes one token a step, so a range of tokens says something as well.
    low, high = ranges.get("sequences", ranges.get("tokens", (0, running)))
    if running > high:
        what = "sequences" if "sequences" in ranges else "tokens"
        yield (
            f"max_num_seqs {config.max_num_seqs}: {profile.name} was fitted on steps of {low:,} "
            f"to {high:,} {what}; times beyond are extrapolated"
        )


def _is_range(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(end, int) and not isinstance(end, bool) for end in value)
        and 0 <= value[0] <= value[1]
    )
