"""Every single fault of a document: each value at each place, and each place left out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

from llmsched.errors import InputError

_ODD: tuple[object, ...] = (
    *(float("nan"), float("inf"), True, None, "", [], {}, [1], [1, 2], ["a", "a"], [[[]]]),
    *(-1, 0, 1, 2**30, 2**60, 2**63, 10**400, 1e-308, 1e9, 1e30, 1e308),
    *("x" * 5000, "\ud800", "a\nb", "auto", date(2026, 1, 1), b"x", {"a": 1}, {1: 2}),
)

Place = tuple[str | int, ...]


def places(document: Any, place: Place = ()) -> Iterator[Place]:
    keys = list(document) if isinstance(document, dict) else range(len(document))
    for key in keys:
        yield (*place, key)
        if isinstance(document[key], dict | list):
            yield from places(document[key], (*place, key))


def faulty(document: dict[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    for place in places(document):
        for value in (..., *_ODD):
            changed = copy.deepcopy(document)
            inside: Any = changed
            for step in place[:-1]:
                inside = inside[step]
            if value is ...:
                del inside[place[-1]]
            else:
                inside[place[-1]] = value
            yield place, changed


def unclear_refusals(
    document: dict[str, Any], read: Callable[[dict[str, Any]], object]
) -> set[str]:
    """Return what is wrong with how faults are refused: crashes, several lines, no file, length."""
    wrong, refused = set(), 0
    for place, changed in faulty(document):
        try:
            read(changed)
        except InputError as error:
            refused += 1
            message = str(error)
            if not message.startswith("f.yaml: ") or "\n" in message or len(message) > 1500:
                wrong.add(f"{place}: {message[:200]}")
        except Exception as error:
            wrong.add(f"{place}: {type(error).__name__}: {error}"[:200])
    return wrong if refused > 10 else {"almost nothing is refused"}
