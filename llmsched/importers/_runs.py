"""Files that hold benchmark runs: which one is meant, and its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import isinf, nan
from typing import cast

from llmsched.errors import InputError
from llmsched.importers._format import Format, Record, Run
from llmsched.importers._source import Found
from llmsched.importers._values import Refusal, as_json, as_number


@dataclass(frozen=True)
class Chosen:
    """The run of a file that is read.

    Attributes
    ----------
    number, of : int
        Which one it is, from 1, and how many there are.
    left_out : int
        Requests of the others, where nobody chose between them.
    """

    where: str
    run: Run
    number: int
    of: int
    left_out: int = 0


def choose(
    rows: Iterable[Found], form: Format, path: str, wanted: int | None, *, skip: bool
) -> Chosen:
    """Return the run with that number; without one the only run, or the first if `skip`.

    Raises
    ------
    InputError
        There are several and none is wanted, or fewer than wanted, or no record is one.
    """
    assert form.runs is not None
    found: list[tuple[str, Run]] = []
    for where, record in rows:
        try:
            if isinstance(record, Refusal):
                raise record
            found += [(where, run) for run in form.runs(record)]
        except Refusal as refusal:
            if not skip:
                raise InputError(f"{path}:{where}: {refusal.message}") from None
    if not found:
        raise InputError(f"{path}:1: expected a benchmark run, got none")
    if wanted is None and len(found) > 1 and not skip:
        several = _listed(found, form)
        raise InputError(f"{path}:1: expected one run, got {several}: --run K picks one")
    if wanted is not None and wanted > len(found):
        raise InputError(f"{path}:1: run: expected one of {_listed(found, form)}; got {wanted}")
    number = wanted or 1
    others = found[1:] if wanted is None else []
    left_out = sum(_count(run, form) for _, run in others)
    return Chosen(*found[number - 1], number, len(found), left_out)


def _listed(found: Sequence[tuple[str, Run]], form: Format) -> str:
    each = (f"{i}: {run}, {_count(run, form)} requests" for i, (_, run) in enumerate(found, 1))
    return f"{len(found)} ({'; '.join(each)})"


def _count(run: Run, form: Format) -> int:
    with suppress(Refusal):
        return sum(1 for _ in requests_of(run.record, form))
    return 0


def joined(rows: Iterable[Found], name: str) -> Iterator[Found]:
    """Yield what is no record with a list of objects under a name; last, all of these in one."""
    items: list[Record] = []
    first = "1"
    for where, record in rows:
        try:
            if isinstance(record, Refusal):
                raise record
            found = objects_in(record, name)
        except Refusal as refusal:
            yield where, refusal
        else:
            first = first if items else where
            items += found
    yield first, {name: items}


def requests_of(record: Record, form: Format) -> Iterable[Record]:
    """Return one record a request."""
    return (record,) if form.expand is None else form.expand(record)


def objects_in(record: Record, name: str) -> list[Record]:
    """Return the objects under a name; none where it is not there.

    Raises
    ------
    Refusal
        It is something else than a list of objects.
    """
    value = record.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not {dict}.issuperset(map(type, value)):
        raise Refusal(name, "a list of objects", as_json(value))
    return value


def object_at(record: Record, path: str) -> Record:
    """Return the object at a path through dots; an empty one where there is none."""
    for key in path.split("."):
        value = record.get(key)
        if not isinstance(value, dict):
            return {}
        record = value
    return record


def first_of(record: Record, names: Sequence[str]) -> object:
    """Return the value of the first of some names that has one; None if none has."""
    return next((record[name] for name in names if record.get(name) is not None), None)


def reason_at(key: str) -> Callable[[Record], str | None]:
    """Return a `failure` that finds its reason under `key`, where an `expand` has put it."""

    def failure(record: Record) -> str | None:
        reason = record[key]
        return reason if isinstance(reason, str) else None

    return failure


def failed_if(key: str) -> Callable[[Record], str | None]:
    """Return a `failure` that takes any value but null and "" under `key` for an error."""

    def failure(record: Record) -> str | None:
        return f"{key} says that the request failed" if record.get(key) else None

    return failure


def one_run(record: Record) -> Iterator[Run]:
    """Yield a record that is a run, sent as vLLM's benchmark and those after it say it."""
    rate = as_number(record.get("request_rate"))
    if rate == "trace":
        rate = nan
    most = as_number(record.get("max_concurrency"))
    yield Run(
        record,
        float(rate) if isinstance(rate, int | float) and not isinf(rate) else None,
        most if isinstance(most, int) else None,
    )


def _with_latency(request: Record) -> Record:
    """Return a request with the seconds to its last token: to its first, and the gaps after it."""
    first, gaps = request.get("ttfts"), request.get("itls")
    numbers = isinstance(gaps, list) and all(type(gap) in (int, float) for gap in gaps)
    if type(first) not in (int, float) or not numbers:
        return request
    return {**request, "latency": first + sum(cast("list[float]", gaps))}  # type: ignore[operator]  # a number


_TIMES = ("ttfts", "itls")


def aligned(
    *names: str, optional: tuple[str, ...], needs: str, common: str = ""
) -> Callable[[Record], Iterator[Record]]:
    """Return an `expand` that reads the arrays `names` and `optional` of a run in step.

    Those with the times of tokens are read with them, where they are arrays.

    `needs` is the option that makes the tool write the arrays, for the message where it did not;
    `common` names what the run says once for all requests.
    """

    def expand(run: Record) -> Iterator[Record]:
        columns = {name: _array(run, name, needs) for name in names}
        columns |= {
            name: _array(run, name, needs) for name in optional if run.get(name) is not None
        }
        columns |= {name: times for name in _TIMES if isinstance(times := run.get(name), list)}
        size = len(columns[names[0]])
        for name, column in columns.items():
            if len(column) != size:
                raise Refusal(name, f"{size} items, as {names[0]} has", str(len(column)))
        shared = {common: run[common]} if common in run else {}
        for values in zip(*columns.values(), strict=True):
            yield _with_latency({**shared, **dict(zip(columns, values, strict=True))})

    return expand


def _array(run: Record, name: str, needs: str) -> list[object]:
    value = run.get(name)
    if not isinstance(value, list):
        got = as_json(value) if name in run else "nothing (it is missing)"
        raise Refusal(name, f"an array, which the tool writes with {needs}", got)
    return value
