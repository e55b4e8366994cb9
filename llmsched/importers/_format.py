"""What a trace format is: the names it uses, and how to tell it from the others."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Literal

from msgspec import Meta

from llmsched.errors import InputError
from llmsched.plugin import contained, installed
from llmsched.schema import Named, check_fields, checked, shown

Record = dict[str, object]
"""One row: a JSON object, or the cells of a CSV line by column name."""


Failure = Callable[[Record], str | None]
Expand = Callable[[Record], Iterator[Record]]

_SOME = Meta(min_length=1)


def never(record: Record) -> str | None:
    return None


@dataclass(frozen=True)
class Format:
    """A foreign format, as data: where each column of a :class:`~llmsched.trace.Trace` is found.

    Attributes
    ----------
    name : str
        What ``--trace-format`` calls it.
    about : str
        One line for people.
    kind : {"csv", "json"}
        Text of the file: a CSV header with rows, or JSON (lines, an array, or one document).
    signatures : tuple of tuples of str
        Sets of names; the format is recognised if all names of one set are there.
    input_tokens, output_tokens : str
        Names of the two lengths. A dot descends into a nested object.
    time : str or None
        Name of the arrival time; None where the format has none.
    unit : {"s", "ms", "us", "ns", "date"}
        What the arrival time counts, or that it is a date.
    time_may_be_missing : bool
        Whether some versions of the format leave the arrival time out (of every row).
    id, job_class, predicted, hash_ids : str or None
        Names of optional columns.
    limits : tuple of str
        Names under which a request may declare its output limit; some rows may have none.
    model : str or None
        Name of the model that served a request, or is to.
    failure : callable
        Says of a record why its request failed, or None; failed requests are dropped and counted.
    expand : callable or None
        Turns a record that holds a whole run into one record a request.
    aliases : tuple of str
        Other names for ``--trace-format``.
    note : str
        What the import leaves out; told on stderr.
    """

    name: Named
    about: str
    kind: Literal["csv", "json"]
    signatures: Annotated[tuple[Annotated[tuple[Named, ...], _SOME], ...], _SOME]
    input_tokens: Named
    output_tokens: Named
    time: Named | None = None
    unit: Literal["s", "ms", "us", "ns", "date"] = "s"
    time_may_be_missing: bool = False
    id: Named | None = None
    job_class: Named | None = None
    predicted: Named | None = "predicted_output_length"
    hash_ids: Named | None = None
    timeout: Named | None = None
    limits: tuple[Named, ...] = ("max_output_tokens", "max_completion_tokens", "max_tokens")
    model: Named | None = None
    failure: Failure = never
    expand: Expand | None = None
    aliases: tuple[Named, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        check_fields(self, but=("failure", "expand"))
        for field, function in (("failure", self.failure), ("expand", self.expand or never)):
            if not callable(function):
                raise InputError(f"{field}: expected a function, got {shown(function)}")

    @property
    def needed(self) -> list[str]:
        """The names without which there is no request."""
        return [name for name in (self.time, self.input_tokens, self.output_tokens) if name]

    def matches(self, names: Collection[str]) -> int:
        """Return the size of the largest signature found among `names`, 0 for none."""
        return max((len(s) for s in self.signatures if all(n in names for n in s)), default=0)


@cache
def own_formats() -> tuple[Format, ...]:
    """Return the formats of this package: each module without an underscore defines one."""
    package = importlib.import_module(__package__)
    modules = sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")
    return tuple(importlib.import_module(f"{__package__}.{name}").FORMAT for name in modules)


@cache
def formats() -> tuple[Format, ...]:
    """Return every format; installed packages add theirs by the group ``llmsched.importers``."""
    found = {form.name: form for form in own_formats()}
    for name, place, form in installed("llmsched.importers", found.keys(), _accepted):
        found[name] = _guarded(form, place)
    return tuple(sorted(found.values(), key=lambda form: form.name))


def _accepted(name: str, offered: object) -> Format:
    if isinstance(offered, Format) and offered.name == name:
        return offered
    raise InputError(f"expected a Format of that name, got {offered!r}")


def _guarded(form: Format, place: str) -> Format:
    """Return a foreign format whose functions fail in one line, and return what they promise."""

    def failure(record: Record) -> str | None:
        with contained(f"{place}: failure"):
            return checked(form.failure(record), str | None)  # type: ignore[arg-type]  # a union

    def expand(record: Record) -> Iterator[Record]:
        assert form.expand is not None
        with contained(f"{place}: expand"):
            requests = list(form.expand(record))
            if not {dict}.issuperset(map(type, requests)):
                raise InputError("expected a mapping for each request")
        return iter(requests)

    return replace(
        form,
        failure=never if form.failure is never else failure,
        expand=None if form.expand is None else expand,
    )


def named(name: str) -> Format:
    """Return the format called `name`.

    Raises
    ------
    InputError
        There is none; the message lists those there are.
    """
    for known in formats():
        if name == known.name or name in known.aliases:
            return known
    names = ", ".join(known.name for known in formats())
    raise InputError(f"format: expected one of {names}; got {shown(name)}")


def detect(kind: str, names: Collection[str]) -> Format | None:
    """Return the format of kind `kind` whose signature explains most of `names`, or None.

    The largest signature wins, so a format that adds names to another one's is told from it
    without any order of trial. Of equal ones this package's own wins: what a file means must not
    depend on what else is installed.
    """
    have = set(names)
    found = [(known.matches(have), known) for known in formats() if known.kind == kind]
    best = max((score for score, _ in found), default=0)
    equal = [known for score, known in found if score == best]
    winners = [known for known in equal if known in own_formats()] or equal
    return winners[0] if best and len(winners) == 1 else None


def unknown(kind: str, names: Collection[str]) -> str:
    """Say for an error message that `names` belong to no format, and what the nearest lacks."""
    known = [one for one in formats() if one.kind == kind]
    have = set(names)
    shares = [(len(set(s) & have), one.name, s) for one in known for s in one.signatures]
    share, nearest, signature = max(shares)
    lacking = ", ".join(name for name in signature if name not in have)
    hint = f"; {nearest} also has {lacking}" if share and lacking else ""
    if {"custom_id", "body"} <= have:
        hint = "; this is a batch to run, not a trace of one: llmsched plan --input FILE"
    what = "header" if kind == "csv" else "keys"
    each = (f"{one.name}: {', '.join(one.needed)}" for one in known)
    expected = ", ".join(one.name for one in known) if share else "; ".join(each)
    return f"{what}: expected those of a format ({expected}); got {listed(names) or 'none'}{hint}"


def listed(names: Collection[str]) -> str:
    """Return names from a file on one line of moderate length."""
    text = ", ".join(itertools.islice(names, 80))
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 80 else text[:77] + "..."
