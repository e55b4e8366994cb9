"""Which formats there are, and which one a file is of: told from its names alone."""

from __future__ import annotations

import importlib
import pkgutil
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import TypeVar

from llmsched.errors import InputError
from llmsched.importers._asked import listed, suggestion
from llmsched.importers._format import Format, Record, Run, never
from llmsched.importers._summaries import SUMMARIES
from llmsched.plugin import contained, installed
from llmsched.schema import checked, shown

_T = TypeVar("_T")

_OTHERS = (
    ({"custom_id", "body"}, "a batch to run: llmsched plan --input FILE"),
    ({"step_time"}, "a hardware profile: --hardware FILE"),
    ({"extends"}, "a hardware profile: --hardware FILE"),
    ({"schema_version", "slots"}, "a plan: llmsched simulate TRACE --plan FILE"),
    ({"schema_version", "results"}, "a result: llmsched report FILE"),
    ({"schema_version", "trace"}, "a scenario: llmsched compare FILE"),
)
"""Keys of files that other options and commands take."""


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

    def several(field: str, kind: type[_T], promised: str) -> Callable[[Record], list[_T]] | None:
        function: Callable[[Record], Iterable[_T]] | None = getattr(form, field)
        if function is None:
            return None

        def guarded(record: Record) -> list[_T]:
            with contained(f"{place}: {field}"):
                found = list(function(record))
                if not {kind}.issuperset(map(type, found)):
                    raise InputError(f"expected {promised}")
            return found

        return guarded

    return replace(
        form,
        failure=never if form.failure is never else failure,
        expand=several("expand", dict, "a mapping for each request"),
        runs=several("runs", Run, "a Run for each benchmark run"),
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


def _of_kind(kind: str) -> list[Format]:
    return [known for known in formats() if known.kind in (kind, "any")]


def detect(kind: str, names: Collection[str], *, timed: bool = True) -> Format | None:
    """Return the format of kind `kind` whose signature explains most of `names`, or None.

    The largest signature wins, so a format that adds names to another one's is told from it
    without any order of trial. Of equal ones this package's own wins: what a file means must not
    depend on what else is installed. The case of a table's header does not matter.

    Parameters
    ----------
    timed : bool
        Whether arrival times are asked for; where they are not, they may be missing.
    """
    found = []
    for known in _of_kind(kind):
        have = set(known.spelled(list(names)) if kind == "csv" else names)
        score = known.matches(have)
        if not timed and not score:
            known = known.untimed()
            score = known.matches(have)
        found.append((score, known))
    best = max((score for score, _ in found), default=0)
    equal = [known for score, known in found if score == best]
    own = {form.name for form in own_formats()}
    winners = [known for known in equal if known.name in own] or equal
    return winners[0] if best and len(winners) == 1 else None


def unknown(kind: str, record: Mapping[str, object]) -> str:
    """Say for an error message that a record belongs to no format, and what would help.

    Parameters
    ----------
    record : mapping
        The first row by its names; of a table perhaps only these.
    """
    names = list(record)
    for summary in SUMMARIES:
        if summary.is_seen(record):
            return f"expected requests, got a summary: {summary.about}; {summary.instead}"
    for keys, other in _OTHERS:
        if keys <= record.keys():
            return f"expected a trace, got {other}"
    known = _of_kind(kind)
    shares = [(len(set(s) & {*names}), one, s) for one in known for s in one.signatures]
    share, nearest, signature = max(shares, key=lambda each: (each[0], -len(each[2])))
    lacking = [name for name in signature if name not in record]
    hints = []
    if share and lacking == [nearest.output_tokens]:
        hints = [f"there are no output lengths under the name of {nearest.name}, {lacking[0]}"]
    elif share and lacking == [nearest.time]:
        hints = ["it has no arrival times: --offline lets all arrive at 0"]
    elif share > 1 and lacking:
        hints = [f"{nearest.name} also has {', '.join(lacking)}"]
    if columns := suggestion(record):
        hints.append(f"or say which is which: --columns {shlex.quote(columns)}")
    what = "header" if kind == "csv" else "keys"
    return "; ".join(
        [f"{what}: expected those of a known format, got {listed(names) or 'none'}", *hints]
    )
