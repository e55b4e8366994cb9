"""Documents held against their types: every complaint is one line with file, place and value.

A document's type is a `msgspec.Struct`; its JSON Schema, which editors complete and check by, comes
from the same type. What a type cannot say, its ``__post_init__`` refuses with an `InputError` that
begins with the field; the place before it is added here.
"""

from __future__ import annotations

import re
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from inspect import cleandoc
from math import isfinite
from typing import Annotated, Any, TypeVar, Union, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from llmsched.errors import InputError
from llmsched.schema.refusals import Place, complaint, refused, shown

__all__ = [
    "Named",
    "Several",
    "check_fields",
    "check_once",
    "checked",
    "json_schema",
    "keys_of",
    "several",
    "shown",
    "some_of",
    "within",
]

_T = TypeVar("_T")
_Link = tuple["_Link", str | int] | None
"""A place from its end: steps and what is before them, which others share."""

Several = Union[_T, Annotated[list[_T], Meta(min_length=1)]]  # noqa: UP007 (of a type variable)
"""One value or a list of at least one."""

Named = Annotated[str, Meta(min_length=1)]

_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which UTF-8 does not have."""

_MOST = 2**63


def checked(value: object, kind: type[_T], source: str = "", *, parsed: bool = False) -> _T:
    """Return a document as its type.

    Parameters
    ----------
    value : object
        What a file holds: mappings, lists, texts, numbers, true, false and null.
    source : str
        The file, for messages.
    parsed : bool
        Whether orjson has made it, so that only the type is left to hold it against: of many small
        documents, looking at every value takes most of the time.

    Raises
    ------
    InputError
        A key is unknown or missing, a value is of another type or out of its range, a number is
        not finite, or the type itself refuses it.
    """
    if not parsed:
        _check_plain(value, source)
    try:
        found = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise refused(str(error), value, kind, source) from error
    for link, leaf in () if parsed else _leaves(value):  # where no type has set a limit
        if isinstance(leaf, int) and abs(leaf) >= _MOST:
            what = f"expected a number below 2**63, got {shown(leaf)}"
            raise complaint(source, _linked(link), what)
    return found


def check_fields(record: Any, but: Container[str] = ()) -> None:
    """Hold each field of a dataclass or Struct against its annotation, however it was made.

    Fields in `but`, which no document can hold, are left to the caller.

    Raises
    ------
    InputError
        A value is not what its annotation says; the message names the field.
    """
    cls: Any = type(record)
    for name, kind in _hints(cls).items():
        if name not in but:
            with within(name):
                checked(getattr(record, name), kind)


@contextmanager
def within(field: str, then: str = ".") -> Iterator[None]:
    """Put the field, and `then`, before what is refused inside it; for a ``__post_init__``.

    Raises
    ------
    InputError
        As what is done inside, with the field before its message.
    """
    try:
        yield
    except InputError as error:
        said = str(error)
        separator = ": " if said.startswith("expected ") else "" if said.startswith("[") else then
        raise InputError(f"{field}{separator}{said}") from error


def check_once(values: Iterable[object], place: str, what: str = "value") -> None:
    """Refuse a value that a list has twice.

    Raises
    ------
    InputError
        It has; the message begins with `place`.
    """
    seen: set[object] = set()
    unhashable: list[object] = []
    for value in values:
        known: set[object] | list[object] = seen if isinstance(value, Hashable) else unhashable
        if value in known:
            raise InputError(f"{place}: expected each {what} once, got {shown(value)} twice")
        seen.add(value) if known is seen else unhashable.append(value)


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
    return Meta(extra_json_schema={key: schema[key] for key in schema if key != "title"})


def json_schema(title: str, *kinds: type) -> dict[str, Any]:
    """Return the JSON Schema of documents of a type, or of any of several."""
    roots, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    root = {"anyOf": [*roots]} if len(roots) > 1 else roots[0]
    for part in parts.values():  # versions of Python and msgspec differ in a docstring's indent
        if "description" in part:
            part["description"] = cleandoc(part["description"])
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**schema, **root, "$defs": parts}


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


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
        raise complaint(source, _linked(link), f"expected {what}, got {shown(leaf)}")


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


def _linked(link: _Link) -> Place:
    place: Place = []
    while link is not None:
        link, step = link
        place.append(step)
    return place[::-1]
