"""From the `step_time` section of a profile to the kind that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from llmsched.hardware.affine import Affine
from llmsched.hardware.section import Section
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime

_PER_SECOND = {"ms": 1000.0, "s": 1.0}


def read_step_time(section: Section) -> StepTime:
    """Return the step times that a section describes, in seconds.

    Raises
    ------
    InputError
        A key is missing, unknown or out of range, or decoding would take no time at all.
    """
    kind = section.text("kind")
    if kind not in KINDS:
        raise section.expected("kind", f"one of {', '.join(KINDS)}", repr(kind))
    unit = section.text("unit", "ms")
    if unit not in _PER_SECOND:
        raise section.expected("unit", f"one of {', '.join(_PER_SECOND)}", repr(unit))
    step_time = KINDS[kind](section, _PER_SECOND[unit])
    section.close()
    if step_time.base(0, 1) <= 0 and step_time.per_kv_token_decode <= 0:
        raise section.expected("kind", "a decode round that takes some time", "0 ms")
    return step_time


def _stages(section: Section, per_second: float) -> Stages:
    if section.flag("mixed", False):
        raise section.expected("mixed", "false (stages are prefill or decode)", "true")
    prefill = section.section("prefill")
    times = Stages(
        decode_round=section.number("decode_round", above=0.0) / per_second,
        per_stage=prefill.number("per_stage") / per_second,
        per_token=prefill.number("per_token") / per_second,
    )
    prefill.close()
    return times


def _affine(section: Section, per_second: float) -> Affine:
    return Affine(
        per_step=section.number("per_step", 0.0) / per_second,
        per_prefill_token=section.number("per_prefill_token", 0.0) / per_second,
        per_decode_seq=section.number("per_decode_seq", 0.0) / per_second,
        per_kv_token_decode=section.number("per_kv_token_decode", 0.0) / per_second,
        per_kv_token_mixed=section.number("per_kv_token_mixed", 0.0) / per_second,
        per_prefill_token_sq=section.number("per_prefill_token_sq", 0.0) / per_second,
        per_prefill_token_x_context=section.number("per_prefill_token_x_context", 0.0) / per_second,
        mixed=section.flag("mixed", True),
    )


KINDS: Mapping[str, Callable[[Section, float], StepTime]] = MappingProxyType(
    {"stages": _stages, "affine": _affine}
)
