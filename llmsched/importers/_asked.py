"""A table that no format describes, described by whoever has it: ``--columns``."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple, get_args

from llmsched.errors import InputError
from llmsched.importers._format import Format, Moment, Unit
from llmsched.importers._values import MISSING, UNITS, as_number, getter, is_date
from llmsched.schema import shown

Columns = str | dict[str, str]
"""Which column is what: ``arrival=created:ms,input=prompt_tokens,output=completion_tokens``."""

_NAMES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "id": "id",
    "class": "job_class",
    "predicted": "predicted",
    "timeout": "timeout",
    "priority": "priority",
    "model": "model",
    "session": "session",
    "turn": "turn",
    "hash_ids": "hash_ids",
    "block_size": "block_size",
}
"""Roles that are the name of a column alone, and the fields of a format that they fill."""

_TIMES = {
    "arrival": ("time", "any", "zero"),
    "delay": ("delay", "s", "arrival"),
    "ttft": ("first_token", "s", "arrival"),
    "latency": ("last_token", "s", "arrival"),
    "first_token": ("first_token", "any", "zero"),
    "last_token": ("last_token", "any", "zero"),
}
"""Roles that are times: the field, the unit where none is given, from when they count."""

_ROLES = tuple(dict.fromkeys(("arrival", "input", "output", "limit", *_NAMES, *_TIMES)))

_SPEC = re.compile(rf"(.+?)(?::({'|'.join(get_args(Unit))}))?", re.DOTALL)


class Column(NamedTuple):
    """A role, the column that has it, and the unit that was said of it, if it is a time."""

    role: str
    name: str
    unit: str | None = None


def asked(columns: Columns) -> Format:
    """Return the format of a table whose columns somebody names.

    Raises
    ------
    InputError
        A role is unknown, given twice or without a column, or there are no lengths.
    """
    fields: dict[str, object] = {"predicted": None}
    assumed = []
    for role, name, said in parsed(columns):
        if role not in _TIMES:
            fields |= {"limits": (name,)} if role == "limit" else {_NAMES[role]: name}
            continue
        field, usual, since = _TIMES[role]
        by_name = _unit_in(name)
        if said is None and by_name:
            assumed.append(f"{name} is read as {by_name}, by its name")
        elif said is None and usual == "s":
            assumed.append(f"{name} is read as s: --columns {role}={name}:ms for another unit")
        unit = said or by_name or usual
        if role == "arrival":
            fields |= {field: name, "unit": unit}
        else:
            fields[field] = Moment(name, unit, since)  # type: ignore[arg-type]  # of Unit
    for role in ("input", "output"):
        if _NAMES[role] not in fields:
            raise InputError(f"columns: expected {role}=COLUMN as well")
    return Format(
        name="columns",
        about="columns as they were named",
        kind="any",
        signatures=((str(fields["input_tokens"]), str(fields["output_tokens"])),),
        note="; ".join(assumed),
        **fields,  # type: ignore[arg-type]  # checked by the format
    )


def check_there(columns: Columns, seen: Sequence[Mapping[str, object]]) -> None:
    """Refuse a column that none of a file's first rows has: it is mistyped.

    Parameters
    ----------
    seen : sequence of mapping
        These rows, those of a table with the names as they are read.

    Raises
    ------
    InputError
        The role, and the nearest column that there is.
    """
    there = list(dict.fromkeys(name for row in seen for name in (*row, *dict(_flat(row)))))
    for role, name, _ in parsed(columns):
        if any(getter(name)(row) is not MISSING for row in seen):
            continue
        near = get_close_matches(name, there, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        stem, _, unit = name.rpartition(":")
        if role in _TIMES and stem in there:
            hint = f" (units are s, ms, us, ns and date, not {unit})"
        raise InputError(
            f"columns: {role}: expected one of {listed(there)}; got {shown(name)}{hint}"
        )


def parsed(columns: Columns) -> Iterator[Column]:
    """Yield what each column is.

    Raises
    ------
    InputError
        A role is unknown, given twice or without a column.
    """
    for role, spec in columns.items() if isinstance(columns, Mapping) else _pairs(columns):
        if role not in _ROLES:
            raise InputError(f"columns: expected one of {', '.join(_ROLES)}; got {shown(role)}")
        match = _SPEC.fullmatch(spec)
        if match is None:
            raise InputError(f"columns: {role}: expected the name of a column, got {shown(spec)}")
        yield Column(role, *match.groups()) if role in _TIMES else Column(role, spec)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield roles and columns; what holds a comma stands in quotes, as in a shell."""
    split = shlex.shlex(text, posix=True)
    split.whitespace, split.whitespace_split, split.commenters = ",", True, ""
    seen = set()
    for pair in _tokens(split):
        role, equals, name = pair.partition("=")
        role = role.strip()
        if not equals or not name:
            example = "arrival=created:ms,input=prompt_tokens,output=completion_tokens"
            raise InputError(f"columns: expected ROLE=COLUMN as in {example}; got {shown(pair)}")
        if role in seen:
            raise InputError(f"columns: {role}: expected once, got it twice")
        seen.add(role)
        yield role, name


def _tokens(split: shlex.shlex) -> list[str]:
    try:
        return [pair.strip() for pair in split]
    except ValueError as error:
        raise InputError(f"columns: expected quotes that end: {error}") from error


_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_MEANT = {
    "arrival": ("arrival arrived arrive timestamp created sent launch start started begin queued "
                "received date time ts t at"),
    "input": "input inputs prompt prompts context prefill request req query isl in it",
    "output": ("output outputs completion completions generated generation gen response resp "
               "reply answer decode osl out ot"),
}  # fmt: skip
_RANKS = {role: {word: -i for i, word in enumerate(text.split())} for role, text in _MEANT.items()}
_OTHER = {
    "arrival": {"end", "ended", "finish", "finished", "completed", "token", "first", "last", "id",
                "ttft", "generation", "processing", "latency", "duration", "elapsed", "timezone"},
    "input": {"time", "id", "type", "ms", "s", "cached", "cost", "ratio", "throughput", "start",
              "timestamp", "latency", "rate", "at", "text", "cache"},
    "output": {"time", "id", "type", "ms", "s", "cost", "ratio", "throughput", "latency", "rate",
               "at", "text", "start", "timestamp"},
}  # fmt: skip
"""Words that say a column is something else."""

_DEPTH = 4


def suggestion(record: Mapping[str, object]) -> str:
    """Return ``--columns`` with the best guesses at what the columns of a row are.

    A guess is by the words of a name, and by whether the value can be a number or a date; nothing
    is read by it. Empty if there is nothing to guess from.
    """
    flat = dict(_flat(record))
    taken: set[str] = set()
    parts = []
    for role in ("input", "output", "arrival"):
        name = _best(role, flat, taken)
        taken.add(name)
        parts.append((role, name + (_unit_of(name, flat.get(name)) if role == "arrival" else "")))
    if not parts[0][1] and not parts[1][1]:
        return ""
    return ",".join(_quoted(f"{role}={name or '?'}") for role, name in [parts[2], *parts[:2]])


def _quoted(pair: str) -> str:
    """Return a role and its column as `_pairs` takes them."""
    if not set(pair) & set(",\\\"'"):
        return pair
    escaped = pair.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _flat(
    record: Mapping[str, object], above: str = "", depth: int = 1
) -> Iterator[tuple[str, object]]:
    for key, value in record.items():
        if not key.isprintable():
            continue  # nobody types it
        if isinstance(value, dict) and depth < _DEPTH:
            yield from _flat(value, f"{above}{key}.", depth + 1)
        elif not isinstance(value, list):
            yield f"{above}{key}", value


def _best(role: str, flat: Mapping[str, object], taken: set[str]) -> str:
    best, score = "", -99
    for name, value in flat.items():
        words = [word.lower() for word in _WORDS.findall(name)]
        fits = value is None or type(as_number(value)) in (int, float)
        fits |= role == "arrival" and is_date(value)
        if name in taken or not fits or _OTHER[role] & set(words):
            continue
        ranks = [_RANKS[role][word] for word in words if word in _RANKS[role]]
        tokens = any(word in ("token", "tokens", "toks", "tok", "length", "len") for word in words)
        found = max(ranks, default=-99) + (20 if tokens and ranks and role != "arrival" else 0)
        if found > score:
            best, score = name, found
    return best


def _unit_of(name: str, value: object) -> str:
    """Return the unit that a name ends in, or that the size of a Unix time tells."""
    if by_name := _unit_in(name):
        return f":{by_name}"
    number = as_number(value)
    if isinstance(number, int | float):
        for unit in ("ns", "us", "ms"):
            if 1e9 <= number * UNITS[unit] / 1e9 < 4e9 and number > 4e9:
                return f":{unit}"
    return ""


def _unit_in(name: str) -> str:
    """Return the unit that a name ends in; empty if it ends in none."""
    words = [word.lower() for word in _WORDS.findall(name)]
    return words[-1] if len(words) > 1 and words[-1] in UNITS else ""


def listed(names: Collection[str]) -> str:
    """Return names from a file on one line of moderate length."""
    text = ", ".join(itertools.islice(names, 80))
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 80 else text[:77] + "..."
