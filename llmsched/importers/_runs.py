"""Results that hold a whole run as arrays, and requests that say that they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from llmsched.importers._format import Record
from llmsched.importers._source import Refusal, as_json


def failed_if(key: str) -> Callable[[Record], str | None]:
    """Return a `failure` that takes any value but null and "" under `key` for an error."""

    def failure(record: Record) -> str | None:
        return f"{key} says that the request failed" if record.get(key) else None

    return failure


def aligned(
    *names: str, optional: tuple[str, ...], needs: str, common: str = ""
) -> Callable[[Record], Iterator[Record]]:
    """Return an `expand` that reads the arrays `names` and `optional` of a run in step.

    `needs` is the option that makes the tool write the arrays, for the message where it did not;
    `common` names what the run says once for all requests.
    """

    def expand(run: Record) -> Iterator[Record]:
        columns = {name: _array(run, name, needs) for name in names}
        columns |= {
            name: _array(run, name, needs) for name in optional if run.get(name) is not None
        }
        size = len(columns[names[0]])
        for name, column in columns.items():
            if len(column) != size:
                raise Refusal(name, f"{size} items, as {names[0]} has", str(len(column)))
        shared = {common: run[common]} if common in run else {}
        for values in zip(*columns.values(), strict=True):
            yield {**shared, **dict(zip(columns, values, strict=True))}

    return expand


def _array(run: Record, name: str, needs: str) -> list[object]:
    value = run.get(name)
    if not isinstance(value, list):
        got = as_json(value) if name in run else "nothing (it is missing)"
        raise Refusal(name, f"an array, which the tool writes with {needs}", got)
    return value
