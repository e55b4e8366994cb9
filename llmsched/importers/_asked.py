"""A table that no format describes, described by whoever has it: ``--columns``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import get_args

from llmsched.errors import InputError
from llmsched.importers._format import Format, Moment, Unit
from llmsched.importers._values import UNITS, as_number, is_date
from llmsched.schema import shown

Columns = str | dict[str, str]
"""Which column is what: ``arrival=created:ms,input=prompt_tokens,output=completion_tokens``."""

_NAMES = {
    "id": "id",
    "class": "job_class",
    "predicted": "predicted",
    "timeout": "timeout",
    "model": "model",
    "session": "session",
    "turn": "turn",
    "hash_ids": "hash_ids",
    "block_size": "block_size",
}
"""Roles that are the name of a column alone, and the fields of a format that they fill."""

_MOMENTS = {
    "delay": ("delay", "s", "arrival"),
    "ttft": ("first_token", "s", "arrival"),
    "latency": ("last_token", "s", "arrival"),
    "first_token": ("first_token", "any", "zero"),
    "last_token": ("last_token", "any", "zero"),
}
"""Roles that are times: the field, the unit where none is given, from when they count."""

ROLES = ("arrival", "input", "output", "limit", *_NAMES, *_MOMENTS)

_SPEC = re.compile(rf"(.+?)(?::({'|'.join(get_args(Unit))}))?", re.DOTALL)


def asked(columns: Columns) -> Format:
    """Return the format of a table whose columns somebody names.

    Raises
    ------
    InputError
        A role is unknown, given twice or without a column, or there are no lengths.
    """
    given = columns if isinstance(columns, Mapping) else dict(_pairs(columns))
    fields: dict[str, object] = {}
    for role, spec in given.items():
        if role not in ROLES:
            raise InputError(f"columns: expected one of {', '.join(ROLES)}; got {shown(role)}")
        match = _SPEC.fullmatch(spec) if isinstance(spec, str) else None
        if match is None:
            raise InputError(f"columns: {role}: expected the name of a column, got {shown(spec)}")
        name, unit = match.groups()
        if role == "arrival":
            fields |= {"time": name, "unit": unit or "any"}
        elif role in _MOMENTS:
            field, usual, since = _MOMENTS[role]
            fields[field] = Moment(name, unit or usual, since)  # type: ignore[arg-type]  # of Unit
        else:
            fields |= _named(role, spec)
    for role in ("input", "output"):
        if role not in given:
            raise InputError(f"columns: expected {role}=COLUMN as well")
    return Format(
        name="columns",
        about="columns as they were named",
        kind="any",
        signatures=((str(fields["input_tokens"]), str(fields["output_tokens"])),),
        **{"predicted": None, **fields},  # type: ignore[arg-type]  # checked by the format
    )


def _named(role: str, name: str) -> dict[str, object]:
    if role == "limit":
        return {"limits": (name,)}
    if role in ("input", "output"):
        return {f"{role}_tokens": name}
    return {_NAMES[role]: name}


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield roles and columns; a pair with a comma stands in quotes, as a cell of a CSV file."""
    seen = set()
    for pair in next(csv.reader([text], skipinitialspace=True), []):
        role, equals, name = pair.partition("=")
        role = role.strip()
        if not equals or not name:
            example = "arrival=created:ms,input=prompt_tokens,output=completion_tokens"
            raise InputError(f"columns: expected ROLE=COLUMN as in {example}; got {shown(pair)}")
        if role in seen:
            raise InputError(f"columns: {role}: expected once, got it twice")
        seen.add(role)
        yield role, name


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
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(
        f"{role}={name or '?'}" for role, name in [parts[2], *parts[:2]]
    )
    return text.getvalue()


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
    last = [word.lower() for word in _WORDS.findall(name)][-1:]
    if last and last[0] in UNITS:
        return f":{last[0]}"
    number = as_number(value)
    if isinstance(number, int | float):
        for unit in ("ns", "us", "ms"):
            if 1e9 <= number * UNITS[unit] / 1e9 < 4e9 and number > 4e9:
                return f":{unit}"
    return ""
