"""The `step_time` section of a profile: what each kind takes, in ms, and the times it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from itertools import pairwise
from typing import Annotated, Any, Literal, TypedDict

from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.errors import InputError
from llmsched.hardware.affine import Affine
from llmsched.hardware.piecewise import Piecewise
from llmsched.hardware.roofline import FAMILIES, Datasheet, Efficiencies, Roofline, Shape
from llmsched.hardware.stages import Stages
from llmsched.hardware.step_time import StepTime
from llmsched.schema import shown

MOST_MS = 1e9
"""Prices above this are refused: eleven days, and sums of any number of them stay finite."""

Price = Annotated[float, Meta(ge=0, le=MOST_MS)]
_Share = Annotated[float, Meta(ge=1e-6, le=1)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of a profile; unknown keys are refused."""


class Prices(Section, tag_field="kind", frozen=True, kw_only=True):
    """What all kinds share."""

    unit: Literal["ms"] = "ms"
    cuda_graph_padding: Annotated[
        bool,
        Meta(description="Whether decodes alone cost what the next batch with a CUDA graph does."),
    ] = False


class _Attention(Prices, frozen=True, kw_only=True):
    """What context costs, and whether steps that hold prefill and decode have a price."""

    per_kv_token_decode: Price = 0.0
    per_kv_token_mixed: Price = 0.0
    per_prefill_token_sq: Price = 0.0
    per_prefill_token_x_context: Price = 0.0
    mixed: bool = True


class _Stage(Section, frozen=True, kw_only=True):
    per_stage: Price
    per_token: Price


class StagesPrices(Prices, tag="stages", frozen=True, kw_only=True):
    """A decode round and a prefill stage; a step is one or the other."""

    decode_round: Annotated[float, Meta(gt=0, le=MOST_MS)]
    per_decode_seq: Price = 0.0
    prefill: _Stage
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.mixed:
            raise InputError("mixed: expected false (a stage is prefill or decode), got true")


class AffinePrices(_Attention, tag="affine", frozen=True, kw_only=True):
    """A price a step, a prefill token and a decode sequence."""

    per_step: Price = 0.0
    per_step_prefill: Price | None = None
    per_prefill_token: Price = 0.0
    per_decode_seq: Price = 0.0

    def __post_init__(self) -> None:
        _check_steps(self)


def _check_steps(prices: AffinePrices | _Overhead) -> None:
    """Refuse a step that a prefill makes cheaper."""
    own = prices.per_step_prefill
    if own is not None and own < prices.per_step:
        what = f"at least {prices.per_step:g}, the per_step whose place it takes"
        raise InputError(f"per_step_prefill: expected {what}, got {own:g}")


class _Table(Section, frozen=True, kw_only=True):
    tokens: Annotated[list[Annotated[float, Meta(ge=0, le=2**30)]], Meta(min_length=1)]
    ms: Annotated[list[Price], Meta(min_length=1)]

    def __post_init__(self) -> None:
        tokens, times = self.tokens, self.ms
        if len(tokens) != len(times):
            raise InputError(f"ms: expected {len(tokens)} numbers, one a knot, got {len(times)}")
        for i, (before, knot) in enumerate(pairwise([0.0, *tokens])):
            if knot != int(knot) or knot <= before:
                what = "an integer above the one before"
                raise InputError(f"tokens[{i}]: expected {what}, got {knot:g}")
        for i, (before, time) in enumerate(pairwise(times), start=1):
            if time < before:
                what = f"at least {before:g}, the one before"
                raise InputError(f"ms[{i}]: expected {what}, got {time:g}")
        if times[0] <= 0:
            raise InputError(f"ms[0]: expected a number > 0, got {times[0]:g}")


class _Overhead(Section, frozen=True, kw_only=True):
    """CPU time on top."""

    per_step: Price = 0.0
    per_step_prefill: Price | None = None
    per_seq: Price = 0.0

    def __post_init__(self) -> None:
        _check_steps(self)


class _LinearDecode(Section, frozen=True, kw_only=True):
    base: Price = 0.0
    per_seq: Price = 0.0
    per_kv_token: Price = 0.0


class _LinearPrefill(Section, frozen=True, kw_only=True):
    base: Price = 0.0
    per_token: Price = 0.0
    per_token_sq: Price = 0.0


class _Fallback(Section, frozen=True, kw_only=True):
    """The linear summary that a fitted profile may carry; nothing computes with it."""

    decode: _LinearDecode = _LinearDecode()
    prefill: _LinearPrefill = _LinearPrefill()


class PiecewisePrices(_Attention, tag="piecewise", frozen=True, kw_only=True):
    """A monotone table over the tokens of a step."""

    token_table: _Table
    per_decode_seq: Price = 0.0
    overhead: _Overhead = _Overhead()
    affine_fallback: _Fallback = _Fallback()


class RooflinePrices(Prices, tag="roofline", frozen=True, kw_only=True):
    """Efficiencies, by family or one by one; shape and datasheet are other sections."""

    family: Annotated[str | UnsetType, Meta(extra_json_schema={"enum": [*FAMILIES]})] = UNSET
    mfu: _Share | UnsetType = UNSET
    weight_bw_efficiency: _Share | UnsetType = UNSET
    attention_mfu: _Share | UnsetType = UNSET
    kv_bw_efficiency: _Share | UnsetType = UNSET
    activation_traffic_factor: Annotated[float, Meta(ge=0, le=1e6)] | UnsetType = UNSET
    us_per_layer: Price | UnsetType = UNSET
    us_per_allreduce: Price | UnsetType = UNSET
    allreduce_bw_efficiency: _Share | UnsetType = UNSET
    overhead: _Overhead = _Overhead()

    def __post_init__(self) -> None:
        if self.family is not UNSET and self.family not in FAMILIES:
            names = ", ".join(FAMILIES)
            raise InputError(f"family: expected one of {names}; got {shown(self.family)}")
        for name, value in self.efficiencies.items():
            if value is UNSET:
                raise InputError(f"{name}: expected a number, or a family; got nothing")

    @property
    def efficiencies(self) -> dict[str, Any]:
        """The eight numbers, those not given from the named family."""
        known = {} if isinstance(self.family, UnsetType) else asdict(FAMILIES[self.family])
        given = {field.name: getattr(self, field.name) for field in fields(Efficiencies)}
        return {k: known.get(k, UNSET) if v is UNSET else v for k, v in given.items()}


StepTimes = StagesPrices | AffinePrices | PiecewisePrices | RooflinePrices


def step_time_of(
    prices: StepTimes,
    model: Mapping[str, object],
    gpu: Mapping[str, object],
    engine: Mapping[str, Any],
) -> StepTime:
    """Return the step times that a valid section means, in seconds.

    Raises
    ------
    InputError
        Decoding would take no time at all, or a roofline lacks a fact of the other sections.
    """
    match prices:
        case StagesPrices():
            times: StepTime = _stages(prices)
        case AffinePrices():
            names = ("per_prefill_token", "per_decode_seq")
            own: dict[str, Any] = {name: _seconds(getattr(prices, name)) for name in names}
            times = Affine(mixed=prices.mixed, **own, **_steps(prices), **_attention(prices))
        case PiecewisePrices():
            times = _piecewise(prices)
        case RooflinePrices():
            times = _roofline(prices, model, gpu, engine)
    if prices.cuda_graph_padding:
        times = replace(times, cuda_graph_padding=True)
    if times.base(0, 1) + times.per_kv_token_decode < 1e-9:
        raise InputError("step_time.kind: expected a decode round that takes some time, got 0 ms")
    return times


def prices_mixed(step_time: Mapping[str, object]) -> bool:
    """Return `StepTime.mixed` of a valid section without reading the rest, as saved results do."""
    return step_time.get("kind") != "stages" and step_time.get("mixed", True) is True


def with_efficiencies(step_time: Mapping[str, object]) -> dict[str, object]:
    """Return a `step_time` section with the numbers of the family that it names, if any."""
    family = step_time.get("family")
    known = asdict(FAMILIES[family]) if isinstance(family, str) and family in FAMILIES else {}
    return {**step_time, **{key: value for key, value in known.items() if key not in step_time}}


class _StepPrices(TypedDict):
    per_step: float
    per_step_prefill: float | None


def _seconds(price: float) -> float:
    return price / 1000.0


def _attention(prices: _Attention) -> dict[str, Any]:
    names = (name for name in _Attention.__struct_fields__ if name.startswith("per_"))
    return {name: _seconds(getattr(prices, name)) for name in names}


def _steps(prices: AffinePrices | _Overhead) -> _StepPrices:
    own = prices.per_step_prefill
    return {
        "per_step": _seconds(prices.per_step),
        "per_step_prefill": None if own is None else _seconds(own),
    }


def _stages(prices: StagesPrices) -> Stages:
    return Stages(
        decode_round=_seconds(prices.decode_round),
        per_stage=_seconds(prices.prefill.per_stage),
        per_token=_seconds(prices.prefill.per_token),
        per_decode_seq=_seconds(prices.per_decode_seq),
    )


def _piecewise(prices: PiecewisePrices) -> Piecewise:
    return Piecewise(
        tokens=tuple(int(knot) for knot in prices.token_table.tokens),
        seconds=tuple(_seconds(time) for time in prices.token_table.ms),
        per_decode_seq=_seconds(prices.overhead.per_seq) + _seconds(prices.per_decode_seq),
        mixed=prices.mixed,
        **_steps(prices.overhead),
        **_attention(prices),
    )


def _roofline(
    prices: RooflinePrices,
    model: Mapping[str, object],
    gpu: Mapping[str, object],
    engine: Mapping[str, Any],
) -> Roofline:
    ranks = engine.get("tensor_parallel_size", 1)
    link = () if ranks == 1 else ("interconnect_bandwidth",)
    device = _needed("gpu", gpu, ("peak_flops_bf16", "hbm_bandwidth", *link))
    shape = _needed("model", model, tuple(field.name for field in fields(Shape)))
    return Roofline.from_datasheet(
        Shape(**shape),
        Datasheet(**device, tensor_parallel_size=ranks),
        Efficiencies(**prices.efficiencies),
        per_decode_seq=_seconds(prices.overhead.per_seq),
        **_steps(prices.overhead),
    )


def _needed(section: str, facts: Mapping[str, object], names: tuple[str, ...]) -> dict[str, Any]:
    for name in names:
        if name not in facts:
            what = "a number (a roofline needs it)"
            raise InputError(f"{section}.{name}: expected {what}, got nothing")
    return {name: facts[name] for name in names}
