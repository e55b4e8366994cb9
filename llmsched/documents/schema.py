"""Documents held against their types: every complaint is one line with file, place and value.

A document's type is a `msgspec.Struct`; its JSON Schema, which editors complete and check by, comes
from the same type. What a type cannot say, its ``__post_init__`` refuses with an `InputError` that
begins with the field; the place before it is added here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import Annotated, Any, TypeVar, Union, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, inspect

from llmsched.errors import InputError

_T = TypeVar("_T")
_Place = list[str | int]
_Link = tuple["_Link", str | int] | None
"""A place from its end: steps and what is before them, which others share."""

Several = Union[_T, Annotated[list[_T], Meta(min_length=1)]]  # noqa: UP007 (of a type variable)
"""One value or a list of at least one."""

Named = Annotated[str, Meta(min_length=1)]

_MESSAGE = re.compile(
    r"(?P<says>.*?)(?: - at (?P<key>`key` in )?`(?P<place>[$].*)`)?",
    re.DOTALL,
)
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|\[(?P<some>\.\.\.)\]")
_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which UTF-8 does not have."""

_WORDS = {
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_MOST = 2**63
_SAID = 1e6
"""Upper limits above this are only said to who passes them: they keep sums finite."""


def checked(value: object, kind: type[_T], source: str = "") -> _T:
    """Return a document as its type.

    Parameters
    ----------
    value : object
        What a file holds: mappings, lists, texts, numbers, true, false and null.
    source : str
        The file, for messages.

    Raises
    ------
    InputError
        A key is unknown or missing, a value is of another type or out of its range, a number is
        not finite, or the type itself refuses it.
    """
    _check_plain(value, source)
    try:
        found = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error), value, kind, source) from error
    for link, leaf in _leaves(value):  # where no type has set a limit
        if isinstance(leaf, int) and abs(leaf) >= _MOST:
            what = f"expected a number below 2**63, got {shown(leaf)}"
            raise _error(source, _linked(link), what)
    return found


def check_fields(record: Any) -> None:
    """Hold each field of a dataclass or Struct against its annotation, however it was made.

    Raises
    ------
    InputError
        A value is not what its annotation says; the message names the field.
    """
    cls: Any = type(record)
    for name, kind in _hints(cls).items():
        checked(getattr(record, name), kind, name)


@contextmanager
def within(field: str) -> Iterator[None]:
    """Put the field before what is refused inside it; for a ``__post_init__``.

    Raises
    ------
    InputError
        As what is done inside, with the field before its message.
    """
    try:
        yield
    except InputError as error:
        separator = ": " if str(error).startswith("expected ") else "."
        raise InputError(f"{field}{separator}{error}") from error


def check_once(values: Iterable[object], place: str, what: str = "value") -> None:
    """Refuse a value that a list has twice.

    Raises
    ------
    InputError
        It has; the message begins with `place`.
    """
    seen: list[object] = []
    for value in values:
        if value in seen:
            raise InputError(f"{place}: expected each {what} once, got {shown(value)} twice")
        seen.append(value)


def several(given: Several[_T]) -> tuple[_T, ...]:
    """Return one value, or a list of them, as a tuple."""
    return tuple(given) if isinstance(given, list) else (given,)


def some_of(kind: type, *, several: bool = False, **others: Any) -> type[Struct]:
    """Return the type of a mapping that may have any of a dataclass's fields.

    Parameters
    ----------
    kind : type
        The dataclass, annotated with what its fields take.
    several : bool
        Whether a list of values is as good as one.
    **others
        Types of further keys, or other types of the same ones.
    """
    hints = _hints(kind) | others
    keys: list[tuple[str, Any, Any]] = []
    either: Any = Several
    for name, hint in hints.items():
        one = either[hint] if several else hint
        keys.append((name, Union[one, UnsetType], UNSET))  # noqa: UP007 (a type made here)
    return msgspec.defstruct(kind.__name__, keys, forbid_unknown_fields=True)


def keys_of(kind: type) -> Meta:
    """Return what tells editors the keys of a mapping that stays one, though `kind` checks it."""
    (_,), found = msgspec.json.schema_components([kind], ref_template="{name}")
    schema = found[kind.__name__]
    return Meta(
        extra_json_schema={k: v for k, v in schema.items() if k not in ("title", "required")}
    )


def json_schema(kind: type, title: str, *others: type) -> dict[str, Any]:
    """Return the JSON Schema of documents of a type, or of any of several."""
    roots, parts = msgspec.json.schema_components([kind, *others], ref_template="#/$defs/{name}")
    root = {"anyOf": [*roots]} if others else roots[0]
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**schema, **root, "$defs": parts}


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # too many digits, too deep
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _refused(message: str, document: object, kind: type, source: str) -> InputError:
    """Return what msgspec says of a document in the words of every other message here."""
    found = _MESSAGE.fullmatch(message)
    assert found is not None
    says, place = found["says"], _parsed(found["place"] or "", document, kind, message)
    value = _at(document, place)
    wanted = _type_at(inspect.type_info(kind), place, document)
    if found["key"] and says.startswith("Expected"):
        return _error(source, place, f"expected texts as keys, got {shown(value)}")
    if found["key"]:
        keys = [one.key_type for one in wanted if isinstance(one, inspect.DictType)]
        what, key = _in_words(keys), says.split("'")[1]
        return _error(source, [*place, key], f"expected {what}, got an unknown key")
    if says.startswith("Object contains unknown field"):
        key, known = says.split("`")[1], _keys(wanted)
        near = get_close_matches(key, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        what = f"expected one of {', '.join(known)}, got an unknown key{hint}"
        return _error(source, [*place, key], what)
    if says.startswith("Object missing required field"):
        key = says.split("`")[1]
        others = value.keys() - set(_keys(wanted)) if isinstance(value, Mapping) else ()
        near = get_close_matches(key, sorted(others), n=1, cutoff=0.75)
        hint = f" (did you mean it by {near[0]}?)" if near else ""
        what = _in_words(_inside(wanted, key))
        return _error(source, [*place, key], f"expected {what}, got nothing{hint}")
    if says.startswith(("Invalid value", "Invalid enum value")):
        literals = [one for one in wanted if isinstance(one, inspect.LiteralType)]
        what = _in_words(literals or wanted)
    elif says.startswith("Number out of range"):
        what = "a finite number"
    elif says.startswith("Expected"):
        what = _translated(says, wanted)
    else:  # a check of the type's own, which begins with the field
        where = _where(source, place)
        return InputError(f"{where}{'.' if place else ': ' if where else ''}{says}")
    got = f"{';' if what.startswith('one of') else ','} got {shown(value)}"
    return _error(source, place, f"expected {what}{got}")


def _parsed(place: str, document: object, kind: type, message: str) -> _Place:
    """Return the keys and indices of a place; of a mapping's values it does not say which one."""
    path: _Place = []
    for step in _STEP.finditer(place):
        if step["some"] is None:
            path.append(step["key"] if step["key"] is not None else int(step["index"]))
        else:
            path.append(_culprit(path, document, kind, message))
    return path


def _culprit(path: _Place, document: object, kind: type, message: str) -> str | int:
    """Return the first key of a mapping whose value alone brings the message up."""
    entries: Any = _at(document, path)
    keys: _Place = list(entries if isinstance(entries, Mapping) else range(len(entries)))
    for key in keys:
        value = entries[key]
        alone = {key: value} if isinstance(entries, Mapping) else [value]
        try:
            msgspec.convert(_with(document, path, alone), kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return key
    return keys[0]


def _with(document: Any, path: _Place, value: object) -> object:
    """Return the document with another value at a place."""
    if not path:
        return value
    copy: Any = dict(document) if isinstance(document, Mapping) else list(document)
    copy[path[0]] = _with(document[path[0]], path[1:], value)
    return copy


def _at(document: Any, path: _Place) -> Any:
    """Return what is at a place; None where that is a key which is not there."""
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else document[step]
    return document


def _type_at(kind: inspect.Type, path: _Place, document: object) -> list[inspect.Type]:
    """Return what may be at a place of this document, by its type."""
    kinds = _possible([kind], document)
    for step in path:
        document = _at(document, [step])
        kinds = _possible(_inside(kinds, step), document)
    return kinds


def _inside(kinds: list[inspect.Type], step: str | int) -> list[inspect.Type]:
    """Return what a key or an index of one of these types takes."""
    found: list[inspect.Type] = []
    for one in kinds:
        if isinstance(one, inspect.StructType) and step == one.tag_field:
            found.append(inspect.LiteralType((one.tag,)))
        elif isinstance(one, inspect.StructType):
            found += [field.type for field in one.fields if field.encode_name == step]
        elif isinstance(one, inspect.DictType) and isinstance(step, str):
            found.append(one.value_type)
        elif isinstance(one, inspect.ListType | inspect.VarTupleType) and isinstance(step, int):
            found.append(one.item_type)
    return [alternative for kind in found for alternative in _alternatives(kind)]


def _possible(kinds: Iterable[inspect.Type], value: object) -> list[inspect.Type]:
    """Return the alternatives, and of tagged ones only that which the value names."""
    every = [one for kind in kinds for one in _alternatives(kind)]
    named: list[inspect.Type] = [
        one
        for one in every
        if isinstance(one, inspect.StructType)
        and one.tag_field is not None
        and isinstance(value, Mapping)
        and value.get(one.tag_field) == one.tag
    ]
    return named or every


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _alternatives(one)
    elif isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    else:
        yield kind


def _keys(kinds: list[inspect.Type]) -> list[str]:
    structs = [one for one in kinds if isinstance(one, inspect.StructType)]
    tags = [one.tag_field for one in structs if one.tag_field is not None]
    keys = [*tags, *(field.encode_name for one in structs for field in one.fields)]
    return list(dict.fromkeys(keys))


def _in_words(kinds: Iterable[inspect.Type], passed: str = "") -> str:
    """Return what a value of one of these types is; `passed` is the limit that one passes."""
    kinds = list(kinds)
    kinds = [one for one in kinds if not isinstance(one, inspect.NoneType)] or kinds
    literals = [one for one in kinds if isinstance(one, inspect.LiteralType)]
    choices = [str(value) for one in literals for value in one.values]
    words = [f"one of {', '.join(choices)}" if len(choices) > 1 else one for one in choices[:1]]
    for one in kinds:
        if isinstance(one, inspect.IntType | inspect.FloatType):
            words.append(f"{_WORDS[_name(one)]}{_limits(one, passed)}")
        elif not isinstance(one, inspect.LiteralType):
            words.append(_WORDS[_name(one)])
    words = list(dict.fromkeys(words))
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 2 else words)


def _limits(kind: inspect.IntType | inspect.FloatType, passed: str) -> str:
    """Return both ends of a range that is one to know, else the limit passed, else the lower."""
    low, high = (kind.gt, "(") if kind.gt is not None else (kind.ge, "["), (kind.lt, ")")
    end, bracket = high if kind.lt is not None else (kind.le, "]")
    start, opening = low
    if start is not None and end is not None and end <= _SAID:
        if isinstance(kind, inspect.IntType):
            return f" in {start}..{end}"
        return f" in {opening}{start:g}, {end:g}{bracket}"
    sign = ">" if opening == "(" else ">="
    return passed or ("" if start is None else f" {sign} {start:g}")


def _name(kind: inspect.Type) -> str:
    """Return what msgspec calls a type in messages."""
    if isinstance(kind, inspect.LiteralType):
        return "int" if isinstance(kind.values[0], int) else "str"
    return _NAMES.get(type(kind), "object")


_NAMES: Mapping[type, str] = {
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.StrType: "str",
    inspect.BoolType: "bool",
    inspect.NoneType: "null",
    inspect.ListType: "array",
    inspect.VarTupleType: "array",
}


def _translated(says: str, wanted: list[inspect.Type]) -> str:
    """Return "Expected `int | null` >= 1, got `str`" as "an integer >= 1 or null"."""
    says = says.removeprefix("Expected ").partition(", got ")[0]
    types, _, passed = says.removeprefix("`").partition("`")
    names = types.split(" | ")
    kinds = [one for one in wanted if _name(one) in names]
    if passed == " of length >= 1":
        return "a text" if types == "str" else "a list of at least one"
    if number := re.fullmatch(r" ([<>]=?) (\S+)", passed):
        passed = f" {number[1]} {number[2].removesuffix('.0')}"
    words = _in_words(kinds, passed) if kinds else ""
    return words or " or ".join(dict.fromkeys(_WORDS.get(name, name) for name in names))


def _check_plain(value: object, source: str) -> None:
    """Refuse a number that is not finite, and what no JSON holds."""
    for link, leaf in _leaves(value):
        if isinstance(leaf, float) and not isfinite(leaf):
            what = "a finite number"
        elif isinstance(leaf, str) and _HALVES.search(leaf):
            what = "a text of whole characters"
        elif not isinstance(leaf, str | int | float | Struct | None):
            what = "a text, number, list or mapping"
        else:
            continue
        raise _error(source, _linked(link), f"expected {what}, got {shown(leaf)}")


def _leaves(value: object) -> Iterator[tuple[_Link, object]]:
    """Yield keys, and what no mapping and no list is; a document may be deeper than our stack."""
    left: list[tuple[_Link, object]] = [(None, value)]
    while left:
        link, one = left.pop()
        if isinstance(one, Mapping):
            yield from ((link, key) for key in one)
            left += [((link, key), one[key]) for key in reversed(list(one))]
        elif isinstance(one, list | tuple):
            left += [((link, i), one[i]) for i in reversed(range(len(one)))]
        else:
            yield link, one


def _linked(link: _Link) -> _Place:
    place: _Place = []
    while link is not None:
        link, step = link
        place.append(step)
    return place[::-1]


def _where(source: str, place: _Place) -> str:
    """Return file and place as messages have it: ``file: engine.max_num_seqs``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return ": ".join(part for part in (source, text.removeprefix(".")) if part)


def _error(source: str, place: _Place, what: str) -> InputError:
    where = _where(source, place)
    return InputError(f"{where}: {what}" if where else what)
