"""Strict reading of one mapping: every complaint is one line with file, key and value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from typing import TypeGuard

from llmsched.errors import InputError


class Section:
    """One mapping of a document, read key by key; `close` refuses the keys nobody asked for.

    Parameters
    ----------
    source : str
        The file, for messages.
    path : str
        Dotted path of this mapping in the document; empty at the top.
    values : mapping
        What the file holds.
    """

    def __init__(self, source: str, path: str, values: Mapping[str, object]) -> None:
        self.source = source
        self.path = path
        self._values = values
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        self._known.append(key)
        return key in self._values

    def expected(self, key: str, what: str, got: str) -> InputError:
        """Return the error for a key whose value is not `what`."""
        where = f"{self.path}.{key}" if self.path else key
        return InputError(f"{self.source}: {where}: expected {what}, got {got}")

    def get(self, key: str, what: str) -> object:
        """Return a value that must be there."""
        if key not in self:
            near = get_close_matches(key, self._values.keys() - set(self._known), n=1, cutoff=0.75)
            hint = f" (did you mean it by {near[0]}?)" if near else ""
            raise self.expected(key, what, f"nothing{hint}")
        return self._values[key]

    def number(
        self, key: str, default: float | None = None, *, above: float | None = None
    ) -> float:
        """Return a finite number >= 0 (or > `above`); a missing key is `default` unless None."""
        what = "a number >= 0" if above is None else f"a number > {above:g}"
        if default is not None and key not in self:
            return default
        value = self.get(key, what)
        if not _is_number(value) or value < 0 or (above is not None and value <= above):
            raise self.expected(key, what, shown(value))
        return float(value)

    def number_or_none(self, key: str, *, above: float | None = None) -> float | None:
        """Return a number as `number` does, or None where the key is missing or null."""
        if key not in self or self._values[key] is None:
            return None
        return self.number(key, above=above)

    def numbers(self, key: str) -> list[float]:
        """Return a list of at least one finite number >= 0."""
        what = "a list of numbers >= 0"
        values = self.get(key, what)
        if not isinstance(values, Sequence) or isinstance(values, str) or not values:
            raise self.expected(key, what, shown(values))
        for i, value in enumerate(values):
            if not _is_number(value) or value < 0:
                raise self.expected(f"{key}[{i}]", "a number >= 0", shown(value))
        return [float(value) for value in values]

    def integer(self, key: str, default: int | None = None, *, least: int = 0) -> int:
        """Return an integer >= `least`; a missing key is `default` unless that is None."""
        what = f"an integer >= {least}"
        if default is not None and key not in self:
            return default
        value = self.get(key, what)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.expected(key, what, shown(value))
        return value

    def integer_or_none(self, key: str, *, least: int = 0) -> int | None:
        """Return an integer as `integer` does, or None where the key is missing or null."""
        if key not in self or self._values[key] is None:
            return None
        return self.integer(key, least=least)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a non-empty text; a missing key is `default` unless that is None."""
        if default is not None and key not in self:
            return default
        value = self.get(key, "a text")
        if not isinstance(value, str) or not value:
            raise self.expected(key, "a text", shown(value))
        return value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._values[key] if key in self else default
        if not isinstance(value, bool):
            raise self.expected(key, "true or false", shown(value))
        return value

    def section(self, key: str, *, required: bool = False) -> Section:
        """Return a nested mapping; a missing one that is not required is empty."""
        value = self.get(key, "a mapping") if required or key in self else {}
        if not isinstance(value, Mapping):
            raise self.expected(key, "a mapping", shown(value))
        return Section(self.source, f"{self.path}.{key}" if self.path else key, value)

    def close(self) -> None:
        """Refuse keys that were never asked for, naming the nearest known one."""
        known = sorted(set(self._known))
        for key in self._values:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                raise self.expected(key, f"one of {', '.join(known)}", f"an unknown key{hint}")


def shown(value: object) -> str:
    """Return a value as a message shows it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def _is_number(value: object) -> TypeGuard[int | float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) if isinstance(value, float) else abs(value) < 2**63
