"""What a type says of a document: the value, or one line with file, place and expectation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft202012Validator, ValidationError
from msgspec import Meta, Struct

from llmsched.errors import InputError
from llmsched.schema import (
    Several,
    check_fields,
    check_once,
    checked,
    json_schema,
    keys_of,
    several,
    shown,
    some_of,
    within,
)


@dataclass(frozen=True)
class Knobs:
    slots: Annotated[int, Meta(ge=1, le=2**30)] = 256
    share: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    order: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        check_fields(self)


KNOBS = some_of(Knobs, several=True)


class Flat(Struct, tag_field="kind", tag="flat", forbid_unknown_fields=True):
    price: Annotated[float, Meta(ge=0, le=1e9)]


class Table(Struct, tag_field="kind", tag="table", forbid_unknown_fields=True):
    prices: Annotated[list[float], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if self.prices != sorted(self.prices):
            raise InputError(f"prices: expected them sorted, got {self.prices}")


class File(Struct, forbid_unknown_fields=True, kw_only=True):
    version: Literal[1]
    times: Flat | Table | None = None
    names: Several[str] = []
    limits: dict[Literal["ttft", "tpot"], Annotated[float, Meta(gt=0)]] = {}
    rates: dict[str, Annotated[float, Meta(gt=0)]] = {}
    count: Annotated[int, Meta(ge=1)] | None = None
    knobs: Annotated[dict[str, Any], keys_of(KNOBS)] = {}
    note: Any = None

    def __post_init__(self) -> None:
        with within("knobs"):
            checked(self.knobs, KNOBS)


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"version": 2}, "version: expected 1, got 2"),
    ({"times": {"kind": "none"}}, "times.kind: expected one of flat, table; got 'none'"),
    ({"times": {"kind": 7}}, "times.kind: expected one of flat, table; got 7"),
    ({"times": {}}, "times.kind: expected one of flat, table, got nothing"),
    ({"times": []}, "times: expected a mapping, got []"),
    ({"times": {"kind": "flat"}}, "times.price: expected a number >= 0, got nothing"),
    (
        {"times": {"kind": "flat", "prices": [1]}},
        "times.prices: expected one of kind, price, got an unknown key (did you mean price?)",
    ),
    ({"times": {"kind": "flat", "price": 1e308}}, "times.price: expected a number <= 1000000000,"),
    ({"times": {"kind": "flat", "price": True}}, "times.price: expected a number >= 0, got True"),
    ({"times": {"kind": "table", "prices": []}}, "times.prices: expected a list of at least one,"),
    ({"times": {"kind": "table", "prices": [1, "x"]}}, "times.prices[1]: expected a number, got"),
    ({"times": {"kind": "table", "prices": [2, 1]}}, "times.prices: expected them sorted, got"),
    ({"names": 3}, "names: expected a text or a list, got 3"),
    ({"names": []}, "names: expected a list of at least one, got []"),
    ({"limits": {"e2e": 1}}, "limits.e2e: expected one of tpot, ttft, got an unknown key"),
    ({"limits": {"ttft": 1, "tpot": 0}}, "limits.tpot: expected a number > 0, got 0"),
    ({"rates": {"a": 1, "b-c": 0}}, "rates.b-c: expected a number > 0, got 0"),
    ({"count": 0}, "count: expected an integer >= 1, got 0"),
    ({"count": "many"}, "count: expected an integer >= 1, got 'many'"),
    ({"count": 2**63}, "count: expected a number below 2**63, got 9223372036854775808"),
    ({"rates": {"a": 10**400}}, "rates.a: expected a finite number, got 1000"),
    ({"knobs": {"slots": [4, 2**30 + 1]}}, "knobs.slots[1]: expected an integer <= 1073741824,"),
    ({"knobs": {"share": 1}}, "knobs.share: expected a number in [0, 1), got 1"),
    ({"knobs": {"slot": 1}}, "knobs.slot: expected one of slots, share, order, got an unknown"),
    ({"note": [0, {"x": float("nan")}]}, "note[1].x: expected a finite number, got nan"),
    ({"note": float("inf")}, "note: expected a finite number, got inf"),
    ({"note": date(2026, 1, 1)}, "note: expected a text, number, list or mapping, got datetime"),
    ({"note": {"b": b"x"}}, "note.b: expected a text, number, list or mapping, got b'x'"),
]


@pytest.mark.parametrize(("fault", "message"), REFUSED)
def test_a_fault_is_one_line_with_file_and_place(fault: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        checked({"version": 1, **fault}, File, "f.yaml")
    assert str(refused.value).startswith(f"f.yaml: {message}")
    assert "\n" not in str(refused.value)


def test_a_missing_key_names_the_unknown_one_that_may_mean_it() -> None:
    class Loose(Struct):
        version: int

    with pytest.raises(InputError, match=r"^f: version: .*nothing .did you mean it by versoin\?.$"):
        checked({"versoin": 1}, Loose, "f")


def test_a_document_that_is_no_mapping_is_named_by_its_file() -> None:
    with pytest.raises(InputError, match=r"^f\.yaml: expected a mapping, got \[1\]$"):
        checked([1], File, "f.yaml")


def test_a_document_deeper_than_the_stack_is_no_crash() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match=r"^f: names\[0\]: expected a text, got a value of type"):
        checked({"version": 1, "names": deep}, File, "f")


def test_what_is_right_becomes_its_type() -> None:
    found = checked(
        {"version": 1, "times": {"kind": "table", "prices": [1, 2]}, "knobs": {"slots": [1, 2]}},
        File,
    )
    assert found.times == Table([1.0, 2.0])
    assert found.knobs == {"slots": [1, 2]}  # as it was given


def test_a_dataclass_is_held_against_its_annotations_however_it_is_made() -> None:
    assert Knobs(slots=8).slots == 8
    with pytest.raises(InputError, match=r"^slots: expected an integer >= 1, got 0$"):
        Knobs(slots=0)
    with pytest.raises(InputError, match=r"^order: expected one of first, last; got 'none'$"):
        Knobs(order="none")  # type: ignore[arg-type]  # the point of the test


def test_one_value_or_a_list_is_a_tuple() -> None:
    one: Several[str] = "a"
    two: Several[str] = ["a", "b"]
    assert (several(one), several(two)) == (("a",), ("a", "b"))


def test_a_value_twice_is_refused_also_where_it_cannot_be_hashed() -> None:
    check_once([{"a": 1}, {"a": 2}], "x")
    with pytest.raises(InputError, match=r"^x: expected each value once, got \{'a': 1\} twice$"):
        check_once([{"a": 1}, {"a": 1}], "x")


def test_inside_a_field_its_name_comes_first() -> None:
    with pytest.raises(InputError, match=r"^a\.b: expected c$"), within("a"):
        raise InputError("b: expected c")
    with pytest.raises(InputError, match=r"^a: expected c$"), within("a"):
        raise InputError("expected c")


@pytest.mark.parametrize("value", ["x" * 99, "a\nb" * 40, [10**5000], 10**5000], ids=range(4))
def test_a_value_is_shown_short_and_on_one_line(value: object) -> None:
    assert len(shown(value)) <= 60
    assert "\n" not in shown(value)


def test_an_editor_is_told_the_same_as_the_type_checks() -> None:
    schema = Draft202012Validator(json_schema("File", File))
    schema.validate({"version": 1, "names": ["a"], "knobs": {"slots": [1], "share": 0.5}})
    faults: list[dict[str, object]] = [
        {"knobs": {"slot": 1}},
        {"knobs": {"slots": 0}},
        {"names": []},
        {"tims": {}},
    ]
    for fault in faults:
        with pytest.raises(ValidationError):
            schema.validate({"version": 1, **fault})


def test_a_schema_of_several_types_takes_either() -> None:
    schema = Draft202012Validator(json_schema("Times", Flat, Table))
    schema.validate({"kind": "flat", "price": 1})
    schema.validate({"kind": "table", "prices": [1]})
    with pytest.raises(ValidationError):
        schema.validate({"kind": "table", "price": 1})
