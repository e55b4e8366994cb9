"""The flat rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from llmsched.comparison.document import Document, cells_of
from llmsched.documents.row import Row
from llmsched.metric import METRICS


def render_csv(document: Document) -> str:
    """Return one line a cell, policy and group: labels of the cell, policy, group, metrics.

    The group is empty where a row is of all requests; without any groups there is no such column.
    """
    cells = cells_of(document)
    labels = list(cells[0]["label"])
    rows = [(cell, row) for cell in cells for whole in cell["results"] for row in _rows(whole)]
    present = dict.fromkeys(name for _, row in rows for name in row)
    known = [name for name in METRICS if name in present]
    others = [name for name in present if name not in METRICS and name not in ("policy", "group")]
    columns = ["policy", *(["group"] if "group" in present else []), *known, *others]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*labels, *columns])
    for cell, row in rows:
        values = [row.get(name) for name in columns]
        writer.writerow([*cell["label"].values(), *("" if v is None else v for v in values)])
    return stream.getvalue()


def _rows(whole: Row) -> Iterator[Row]:
    """Yield a row without what is listed in it, then those of its groups."""
    yield {name: value for name, value in whole.items() if not isinstance(value, list)}
    yield from ({"policy": whole["policy"], **group} for group in whole.get("groups", ()))
