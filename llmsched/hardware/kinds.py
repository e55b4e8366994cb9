"""From the `step_time` section of a profile to the kind that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

from llmsched.documents.section import Section
from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.roofline import FAMILIES, Datasheet, Efficiencies, Roofline, Shape
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime

Facts = Mapping[str, Mapping[str, object]]
"""What the sections model, gpu and engine of the same document say."""

_ATTENTION = (
    "per_kv_token_decode",
    "per_kv_token_mixed",
    "per_prefill_token_sq",
    "per_prefill_token_x_context",
)


def read_step_time(section: Section, facts: Facts) -> StepTime:
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
    if unit != "ms":
        raise section.expected("unit", "ms", repr(unit))
    step_time = KINDS[kind](section, facts)
    section.close()
    if step_time.base(0, 1) <= 0 and step_time.per_kv_token_decode <= 0:
        raise section.expected("kind", "a decode round that takes some time", "0 ms")
    return step_time


def prices_mixed(step_time: Mapping[str, object]) -> bool:
    """Return `StepTime.mixed` of a valid section without reading the rest, as saved results do."""
    return step_time.get("kind") != "stages" and step_time.get("mixed", True) is True


def with_efficiencies(step_time: Mapping[str, object]) -> dict[str, object]:
    """Return a `step_time` section with the numbers of the family that it names, if any."""
    family = step_time.get("family")
    known = asdict(FAMILIES[family]) if isinstance(family, str) and family in FAMILIES else {}
    return {**step_time, **{key: value for key, value in known.items() if key not in step_time}}


def _stages(section: Section, facts: Facts) -> Stages:
    if section.flag("mixed", False):
        raise section.expected("mixed", "false (a stage is prefill or decode)", "true")
    section.number("decode_round", above=0.0)
    prefill = section.section("prefill", required=True)
    times = Stages(
        decode_round=_seconds(section, "decode_round", required=True),
        per_stage=_seconds(prefill, "per_stage", required=True),
        per_token=_seconds(prefill, "per_token", required=True),
        per_decode_seq=_seconds(section, "per_decode_seq"),
    )
    prefill.close()
    return times


def _affine(section: Section, facts: Facts) -> Affine:
    return Affine(
        per_step=_seconds(section, "per_step"),
        per_prefill_token=_seconds(section, "per_prefill_token"),
        per_decode_seq=_seconds(section, "per_decode_seq"),
        mixed=section.flag("mixed", True),
        **{key: _seconds(section, key) for key in _ATTENTION},
    )


def _piecewise(section: Section, facts: Facts) -> Piecewise:
    tokens, seconds = _token_table(section.section("token_table", required=True))
    per_step, per_seq = _overhead(section)
    _affine_fallback(section)
    return Piecewise(
        tokens=tokens,
        seconds=seconds,
        per_step=per_step,
        per_decode_seq=per_seq + _seconds(section, "per_decode_seq"),
        mixed=section.flag("mixed", True),
        **{key: _seconds(section, key) for key in _ATTENTION},
    )


def _roofline(section: Section, facts: Facts) -> Roofline:
    device = _needed(section, "gpu", facts["gpu"], ("peak_flops_bf16", "hbm_bandwidth"))
    ranks = cast(int, facts["engine"].get("tensor_parallel_size", 1))
    if ranks > 1:
        device |= _needed(section, "gpu", facts["gpu"], ("interconnect_bandwidth",))
    names = [field.name for field in fields(Shape)]
    shape = Shape(**_needed(section, "model", facts["model"], names))
    per_step, per_seq = _overhead(section)
    return Roofline.from_datasheet(
        shape,
        Datasheet(**device, tensor_parallel_size=ranks),
        _efficiencies(section),
        per_step=per_step,
        per_decode_seq=per_seq,
    )


KINDS: Mapping[str, Callable[[Section, Facts], StepTime]] = MappingProxyType(
    {"stages": _stages, "affine": _affine, "piecewise": _piecewise, "roofline": _roofline}
)


def _seconds(section: Section, key: str, *, required: bool = False) -> float:
    """Return a price given in ms; one that is not required is 0 when missing."""
    return section.number(key, None if required else 0.0) / 1000.0


def _token_table(table: Section) -> tuple[tuple[int, ...], tuple[float, ...]]:
    tokens, times = table.numbers("tokens"), table.numbers("ms")
    if len(tokens) != len(times):
        raise table.expected("ms", f"{len(tokens)} numbers, one a knot", str(len(times)))
    for i, value in enumerate(tokens):
        if value != int(value) or value <= (tokens[i - 1] if i else 0):
            raise table.expected(f"tokens[{i}]", "an integer above the one before", f"{value:g}")
    for i, (before, value) in enumerate(pairwise(times), start=1):
        if value < before:
            raise table.expected(f"ms[{i}]", f"at least {before:g}, the one before", f"{value:g}")
    if times[0] <= 0:
        raise table.expected("ms[0]", "a number > 0", f"{times[0]:g}")
    table.close()
    return tuple(int(value) for value in tokens), tuple(value / 1000.0 for value in times)


def _overhead(section: Section) -> tuple[float, float]:
    """Return the seconds of CPU overhead a step and a decode sequence."""
    overhead = section.section("overhead")
    both = _seconds(overhead, "per_step"), _seconds(overhead, "per_seq")
    overhead.close()
    return both


def _affine_fallback(section: Section) -> None:
    """Check the linear summary that a fitted profile may carry; nothing computes with it."""
    fallback = section.section("affine_fallback")
    for name, keys in (
        ("decode", ("base", "per_seq", "per_kv_token")),
        ("prefill", ("base", "per_token", "per_token_sq")),
    ):
        part = fallback.section(name)
        for key in keys:
            part.number(key, 0.0)
        part.close()
    fallback.close()


def _efficiencies(section: Section) -> Efficiencies:
    """Return the eight numbers, those not given from the named family."""
    family = section.text("family", "")
    if family and family not in FAMILIES:
        raise section.expected("family", f"one of {', '.join(FAMILIES)}", repr(family))
    known = asdict(FAMILIES[family]) if family else {}
    values = {}
    for field in fields(Efficiencies):
        is_share = field.name.endswith(("mfu", "efficiency"))
        value = section.number(field.name, known.get(field.name), above=0.0 if is_share else None)
        if is_share and value > 1:
            raise section.expected(field.name, "a number in (0, 1]", f"{value:g}")
        values[field.name] = value
    return Efficiencies(**values)


def _needed(
    section: Section, owner: str, facts: Mapping[str, object], keys: tuple[str, ...] | list[str]
) -> dict[str, Any]:
    for key in keys:
        if key not in facts:
            where = f"{section.source}: {owner}.{key}"
            raise InputError(f"{where}: expected a number (a roofline needs it), got nothing")
    return {key: facts[key] for key in keys}
