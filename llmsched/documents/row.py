"""A row of metrics in a document: its type follows from their entries."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Union

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from llmsched.errors import InputError
from llmsched.metric import COUNT, METRICS, RECORDED, Metric
from llmsched.schema import Named, check_once, checked, keys_of, within


def _number(metric: Metric, whole: bool) -> Any:
    """Return the type of a metric's value; a mean of counts is not whole."""
    if whole and metric.kind == COUNT:
        return Annotated[int, Meta(ge=0, le=int(metric.greatest))]
    if metric.name == "makespan_s":
        return Annotated[float, Meta(gt=0, le=metric.greatest)]
    return Annotated[float, Meta(ge=0, le=metric.greatest)]


class Held(Struct, forbid_unknown_fields=True):
    """What a row says of a limit on a statistic: see `objective.held`."""

    objective: Named
    limit: float
    value: float | None
    met: bool


@cache
def _row_type(whole: bool) -> type[Struct]:
    numbers = {metric.name: _number(metric, whole) for metric in RECORDED}
    total = numbers.pop("makespan_s")
    said = "A row a group: its name under `group`, and each metric."
    groups = Annotated[list[dict[str, Any]], Meta(description=said)]
    fields: list[Any] = [
        ("policy", Named),
        ("makespan_s", total),
        *_optional(numbers),
        ("groups", Union[groups, UnsetType], UNSET),  # noqa: UP007 (types made here)
        ("objectives", Union[list[dict[str, Any]], UnsetType], UNSET),  # noqa: UP007
    ]
    return defstruct("Row", fields, forbid_unknown_fields=True)


@cache
def _group_type(whole: bool) -> type[Struct]:
    numbers = {metric.name: _number(metric, whole) for metric in RECORDED}
    fields: list[Any] = [("group", Named), *_optional(numbers)]
    return defstruct("Group", fields, forbid_unknown_fields=True)


def _optional(numbers: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    return [
        (name, Union[number, None, UnsetType], UNSET)  # noqa: UP007 (types made here)
        for name, number in numbers.items()
    ]


_FIGURES = defstruct(
    "Figures",
    [
        (metric.name, Union[_number(metric, whole=False), UnsetType], UNSET)  # noqa: UP007
        for metric in RECORDED
    ],
    forbid_unknown_fields=True,
)

Row = Annotated[
    dict[str, Any],
    Meta(description="Each metric is a number, or null where it has no samples."),
    keys_of(_row_type(whole=False)),
]
Figures = Annotated[dict[str, float], keys_of(_FIGURES)]


def check_figures(figures: Mapping[str, float]) -> None:
    """Refuse what is no metric, and numbers that none has.

    Raises
    ------
    InputError
        The message names the metric.
    """
    checked(figures, _FIGURES)


def check_row(row: Mapping[str, Any], place: str, *, whole: bool) -> None:
    """Refuse a row of metrics, out of a document that orjson made, which no replay has.

    Parameters
    ----------
    place : str
        What messages call the row.
    whole : bool
        Whether it is one replay, whose counts are whole, or a mean of several.

    Raises
    ------
    InputError
        It lacks policy or total time, has a metric that does not exist, or a value is none that its
        metric takes.
    """
    with within(place):
        checked(row, _row_type(whole), parsed=True)
        for i, group in enumerate(row.get("groups", ())):
            with within(f"groups[{i}]"):
                checked(group, _group_type(whole), parsed=True)
        if "groups" in row:
            check_once((group["group"] for group in row["groups"]), "groups", "group")
        if "objectives" in row:
            with within("objectives"):
                checked(row["objectives"], list[Held], parsed=True)


def check_all_there(row: Mapping[str, Any], place: str) -> None:
    """Refuse a row that lacks a metric of this version.

    Raises
    ------
    InputError
        The message names the first.
    """
    if lacking := [name for name in METRICS if name not in row]:
        raise InputError(f"{place}.{lacking[0]}: expected a number or null, got nothing")
