"""The flat rows as CSV."""

from __future__ import annotations

import csv
import io

from llmsched.compare.document import Document, cells_of
from llmsched.metric import METRICS


def render_csv(document: Document) -> str:
    """Return one line a cell and policy: the cell's labels, the policy, then its metrics."""
    cells = cells_of(document)
    labels = list(cells[0]["label"])
    present = dict.fromkeys(name for cell in cells for row in cell["results"] for name in row)
    known = [name for name in METRICS if name in present]
    others = [name for name in present if name not in METRICS and name != "policy"]
    columns = ["policy", *known, *others]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*labels, *columns])
    for cell in cells:
        for row in cell["results"]:
            values = [row.get(name) for name in columns]
            writer.writerow([*cell["label"].values(), *("" if v is None else v for v in values)])
    return stream.getvalue()
