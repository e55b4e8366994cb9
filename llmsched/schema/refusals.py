"""What the schema library says of a document, in the words of every other message here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
from msgspec import inspect

from llmsched.errors import InputError

Place = list[str | int]
"""Keys and indices that lead to a value."""

_MESSAGE = re.compile(
    r"(?P<says>.*?)(?: - at (?P<key>`key` in )?`(?P<place>[$].*)`)?",
    re.DOTALL,
)
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
_LISTED = 20
"""More names than these are not listed beside the one that was probably meant."""

_SAID = 1e6
"""Upper limits above this are only said to who passes them: they keep sums finite."""


def complaint(source: str, place: Place, what: str) -> InputError:
    """Return an error that names file and place; what says what is wrong there."""
    where = _where(source, place)
    return InputError(f"{where}: {what}" if where else what)


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line."""
    try:
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # too many digits, too deep
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def refused(message: str, document: object, kind: type, source: str) -> InputError:
    """Return what msgspec says of a document in the words of every other message here."""
    found = _MESSAGE.fullmatch(message)
    assert found is not None
    says, place = found["says"], _parsed(found["place"] or "", document, kind, message)
    value = _at(document, place)
    wanted = _type_at(inspect.type_info(kind), place, document)
    if found["key"] and says.startswith("Expected"):
        return complaint(source, place, f"expected texts as keys, got {shown(value)}")
    if found["key"]:
        keys = [one.key_type for one in wanted if isinstance(one, inspect.DictType)]
        what, key = _in_words(keys), says[says.index("'") + 1 : says.rindex("'")]
        return complaint(source, [*place, key], f"expected {what}, got an unknown key")
    if says.startswith("Object contains unknown field"):
        key, known = _between_ticks(says), _keys(wanted)
        near = get_close_matches(key, known, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        these = f"one of {len(known)} keys" if near and len(known) > _LISTED else _one_of(known)
        return complaint(source, [*place, key], f"expected {these}, got an unknown key{hint}")
    if says.startswith("Object missing required field"):
        key = _between_ticks(says)
        others = set(map(str, value)) - set(_keys(wanted)) if isinstance(value, Mapping) else set()
        near = get_close_matches(key, sorted(others), n=1, cutoff=0.75)
        hint = f" (did you mean it by {near[0]}?)" if near else ""
        what = _in_words(_inside(wanted, key))
        return complaint(source, [*place, key], f"expected {what}, got nothing{hint}")
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
    return complaint(source, place, f"expected {what}{got}")


def _between_ticks(says: str) -> str:
    return says[says.index("`") + 1 : says.rindex("`")]


def _one_of(names: Iterable[str]) -> str:
    return f"one of {', '.join(names)}"


def _parsed(place: str, document: object, kind: type, message: str) -> Place:
    """Return the keys and indices of a place; of a mapping's values it does not say which one."""
    path: Place = []
    for step in _STEP.finditer(place):
        if step["some"] is None:
            path.append(step["key"] if step["key"] is not None else int(step["index"]))
        else:
            path.append(_culprit(path, document, kind, message))
    return path


def _culprit(path: Place, document: object, kind: type, message: str) -> str | int:
    """Return the first key of a mapping whose value alone brings the message up."""
    entries: Any = _at(document, path)
    keys: Place = list(entries if isinstance(entries, Mapping) else range(len(entries)))
    for key in keys:
        value = entries[key]
        alone = {key: value} if isinstance(entries, Mapping) else [value]
        try:
            msgspec.convert(_with(document, path, alone), kind)
        except msgspec.ValidationError as error:
            if str(error) == message:
                return key
    return keys[0]


def _with(document: Any, path: Place, value: object) -> object:
    """Return the document with another value at a place."""
    if not path:
        return value
    copy: Any = dict(document) if isinstance(document, Mapping) else list(document)
    copy[path[0]] = _with(document[path[0]], path[1:], value)
    return copy


def _at(document: Any, path: Place) -> Any:
    """Return what is at a place; None where that is a key which is not there."""
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else document[step]
    return document


def _type_at(kind: inspect.Type, path: Place, document: object) -> list[inspect.Type]:
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
        return "a text that is not empty" if types == "str" else "a list of at least one"
    if pattern := re.fullmatch(r" matching regex '\^\((.*)\)\$'", passed):
        return f"a text that matches {pattern[1]}"
    if number := re.fullmatch(r" ([<>]=?) (\S+)", passed):
        passed = f" {number[1]} {number[2].removesuffix('.0')}"
    words = _in_words(kinds, passed) if kinds else ""
    return words or " or ".join(dict.fromkeys(_WORDS.get(name, name) for name in names))


def _where(source: str, place: Place) -> str:
    """Return file and place as messages have it: ``file: engine.max_num_seqs``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return ": ".join(part for part in (source, text.removeprefix(".")) if part)
