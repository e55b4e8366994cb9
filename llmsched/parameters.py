"""NAME=VALUE for the parameters of a class: its constructor says which, their types say how."""

from __future__ import annotations

import inspect
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from llmsched.errors import InputError

_TRUTH = {"true": True, "false": False}


class _Unread(Exception):
    """The text is not what was expected; the argument says what that is."""


def read_parameters(part: type, texts: Sequence[str], place: str) -> dict[str, object]:
    """Return the arguments for a class that ``NAME=VALUE`` texts say.

    A text without "=" continues the value before it, after the colon that separated them.

    Raises
    ------
    InputError
        A parameter is unknown, given twice or missing, or its value is not one of its type; the
        message begins with `place`.
    """
    known = _known(part)
    values: dict[str, object] = {}
    for name, text in _pairs(texts, place):
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InputError(f"{place}: unknown parameter {name!r} (parameters: {listed})")
        if name in values:
            raise InputError(f"{place}: parameter {name!r} is given twice")
        try:
            values[name] = _read(text, _type(part, name, known[name].default))
        except _Unread as wanted:
            raise InputError(f"{place}: {name}: expected {wanted}, got {text!r}") from None
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in values:
            raise InputError(f"{place}: parameter {name!r} must be given: {name}=VALUE")
    return values


def _pairs(texts: Sequence[str], place: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if equals:
            pairs.append((name, value))
        elif pairs:
            pairs[-1] = (pairs[-1][0], f"{pairs[-1][1]}:{text}")
        else:
            raise InputError(f"{place}: expected NAME=VALUE after the colon, got {text!r}")
    return pairs


def _known(part: type) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a class's constructor that can be given by name."""
    try:
        parameters = inspect.signature(part).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {one.name: one for one in parameters if one.kind in named}


def _type(part: type, name: str, default: object) -> object:
    """Return the type that a parameter is annotated with, else that of its default."""
    for owner in part.__mro__:
        for source in (owner, owner.__dict__.get("__init__")):
            if inspect.isclass(source) or inspect.isfunction(source):
                kind = _resolved(inspect.get_annotations(source).get(name), owner)
                if kind not in (None, Any, object):
                    return kind
    return type(default) if isinstance(default, bool | int | float | str) else None


def _resolved(annotation: object, owner: type) -> object:
    """Return what an annotation means; None if it names what only type checkers import."""
    holder = type("Holder", (), {"__annotations__": {"it": annotation}})
    scope = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    try:
        kind = get_type_hints(holder, scope, dict(vars(owner)), include_extras=True)["it"]
    except Exception:  # an annotation may be any expression
        return None
    return None if kind is types.NoneType else kind


def _read(text: str, kind: object) -> object:
    """Return `text` as a value of `kind`.

    Raises
    ------
    _Unread
    """
    kind = _plain(kind)
    if kind in _READERS:
        return _READERS[kind](text)
    if get_origin(kind) is Literal:
        return _choice(text, {_spelled(value): value for value in get_args(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice(text, {one.name: one for one in kind} | {str(o.value): o for o in kind})
    if get_origin(kind) in (Union, types.UnionType):
        return _any_of(text, get_args(kind))
    if kind is None:
        raise _Unread("a parameter whose annotation says its type")
    shown = kind.__name__ if inspect.isclass(kind) and get_origin(kind) is None else str(kind)
    raise _Unread(f"a parameter of text, number, true or false, none or choices, not {shown}")


def _plain(kind: object) -> object:
    """Return a type without what says nothing about its values: InitVar, Final, NewType ..."""
    while True:
        if isinstance(kind, InitVar):
            kind = kind.type
        elif get_origin(kind) in (Final, Annotated):
            kind = get_args(kind)[0]
        elif isinstance(kind, NewType):
            kind = kind.__supertype__
        else:
            return kind


def _any_of(text: str, kinds: tuple[object, ...]) -> object:
    """Read as the first of the types that takes the text; text itself is the last resort."""
    wanted = []
    for kind in sorted(kinds, key=lambda kind: _RANK.get(_plain(kind), -1)):
        try:
            return _read(text, kind)
        except _Unread as unread:
            wanted.append(str(unread))
    raise _Unread(" or ".join(wanted))


def _choice(text: str, choices: Mapping[str, object]) -> object:
    if text not in choices:
        raise _Unread(f"one of {', '.join(choices)}")
    return choices[text]


def _spelled(value: object) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _boolean(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise _Unread("true or false")
    return _TRUTH[text.lower()]


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _Unread("an integer") from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise _Unread("a number")
    return value


def _nothing(text: str) -> None:
    if text.lower() != "none":
        raise _Unread("none")


_READERS: Mapping[object, Callable[[str], object]] = {
    types.NoneType: _nothing,
    bool: _boolean,
    int: _integer,
    float: _number,
    Path: Path,
    str: str,
}
_RANK = {kind: rank for rank, kind in enumerate(_READERS)}
"""Order of trial where a parameter takes several types: the strictest first."""
