"""Documents held against their types: every complaint is one line with file, place and value.

A document's type is a `msgspec.Struct`; its JSON Schema, which editors complete and check by, comes
from the same type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from llmsched.errors import InputError

_T = TypeVar("_T")
_Place = list[str | int]

_MESSAGE = re.compile(r"(?P<says>.*?)(?: - at `(?P<place>[$].*)`)?", re.DOTALL)
_STEP = re.compile(r"\.(?P<key>\w+)|\[(?P<index>\d+)\]|\[(?P<some>\.\.\.)\]")
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


def checked(value: object, kind: type[_T], source: str) -> _T:
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
        A key is unknown or missing, a value is of another type or out of its range, or a number is
        not finite.
    """
    for place, number in _numbers(value, []):
        if not (isfinite(number) if isinstance(number, float) else abs(number) < _MOST):
            raise InputError(f"{_where(source, place)}: expected a finite number, got {number!r}")
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error), value, kind, source) from error


def json_schema(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema of a document's type."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**schema, **msgspec.json.schema(kind)}


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _refused(message: str, document: object, kind: type, source: str) -> InputError:
    """Return what msgspec says of a document in the words of every other message here."""
    found = _MESSAGE.fullmatch(message)
    assert found is not None
    says, place = found["says"], _parsed(found["place"] or "", document, kind, message)
    wanted = _type_at(inspect.type_info(kind), place)
    if says.startswith("Object contains unknown field"):
        key = says.split("`")[1]
        known = _fields(wanted)
        near = get_close_matches(key, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return InputError(
            f"{_where(source, [*place, key])}: expected one of {', '.join(known)}, "
            f"got an unknown key{hint}"
        )
    if says.startswith("Object missing required field"):
        key = says.split("`")[1]
        there = _at(document, place)
        others = there.keys() - set(_fields(wanted)) if isinstance(there, Mapping) else ()
        near = get_close_matches(key, sorted(others), n=1, cutoff=0.75)
        hint = f" (did you mean it by {near[0]}?)" if near else ""
        what = _in_words(_type_at(wanted, [key]))
        return InputError(f"{_where(source, [*place, key])}: expected {what}, got nothing{hint}")
    value = _at(document, place)
    if says.startswith(("Invalid value", "Invalid enum value")):
        what = _in_words(wanted)
    elif says.startswith("Expected"):
        what = _translated(says)
    else:  # a check of the type's own
        return InputError(f"{_where(source, place)}: {says}")
    return InputError(f"{_where(source, place)}: expected {what}, got {shown(value)}")


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
    for step in path:
        document = document[step]
    return document


def _type_at(kind: inspect.Type, path: _Place) -> inspect.Type:
    """Return the type at a place of a document of this type."""
    for step in path:
        for one in _alternatives(kind):
            if isinstance(one, inspect.StructType) and step in _fields(one):
                kind = next(field.type for field in one.fields if field.encode_name == step)
                break
            if isinstance(one, inspect.DictType) and isinstance(step, str):
                kind = one.value_type
                break
            if isinstance(one, inspect.ListType | inspect.VarTupleType) and isinstance(step, int):
                kind = one.item_type
                break
    return kind


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _alternatives(one)
    elif isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    else:
        yield kind


def _fields(kind: inspect.Type) -> list[str]:
    structs = [one for one in _alternatives(kind) if isinstance(one, inspect.StructType)]
    return [field.encode_name for one in structs for field in one.fields]


def _in_words(kind: inspect.Type) -> str:
    """Return what a value of this type is, for a message."""
    words = []
    for one in _alternatives(kind):
        if isinstance(one, inspect.LiteralType):
            words.append(f"one of {', '.join(map(str, one.values))}")
        elif isinstance(one, inspect.IntType | inspect.FloatType):
            name = _WORDS["int" if isinstance(one, inspect.IntType) else "float"]
            limits = (("ge", ">="), ("gt", ">"), ("le", "<="), ("lt", "<"))
            bounds = [
                f"{sign} {getattr(one, key):g}"
                for key, sign in limits
                if getattr(one, key) is not None
            ]
            words.append(" ".join([name, *bounds]))
        else:
            words.append(_WORDS.get(_KINDS.get(type(one), ""), "a mapping"))
    return " or ".join(dict.fromkeys(words))


_KINDS: Mapping[type, str] = {
    inspect.StrType: "str",
    inspect.BoolType: "bool",
    inspect.NoneType: "null",
    inspect.ListType: "array",
    inspect.VarTupleType: "array",
}


def _translated(says: str) -> str:
    """Return "Expected `int | null` >= 1, got `str`" as "an integer or null >= 1"."""
    wanted = says.removeprefix("Expected ").partition(", got ")[0]
    types, _, rest = wanted.removeprefix("`").partition("`")
    words = " or ".join(dict.fromkeys(_WORDS.get(name, name) for name in types.split(" | ")))
    if rest == " of length >= 1":
        return words if types == "str" else f"{words} of at least one"
    return f"{words}{rest}"


def _numbers(value: object, place: _Place) -> Iterator[tuple[_Place, int | float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, [*place, key])
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, [*place, index])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


def _where(source: str, place: _Place) -> str:
    """Return file and place as messages have it: ``file: engine.max_num_seqs``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return f"{source}: {text.removeprefix('.')}" if place else source
