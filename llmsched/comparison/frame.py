"""A comparison's rows as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmsched.comparison.document import cells_of

if TYPE_CHECKING:
    import pandas as pd


def to_frame(document: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row a cell and policy, one column a metric.

    The index is the policy, and before it the axes of a matrix. A metric without samples is NaN.
    The rows of groups are not among them.

    Examples
    --------
    >>> import llmsched.comparison.document as saved  # doctest: +SKIP
    >>> to_frame(saved.read_document("result.json")).makespan_s  # doctest: +SKIP
    """
    import pandas as pd

    rows = [
        {**cell["label"], **{k: v for k, v in row.items() if not isinstance(v, list)}}
        for cell in cells_of(document)
        for row in cell["results"]
    ]
    axes = list(cells_of(document)[0]["label"])
    return pd.DataFrame(rows).set_index([*axes, "policy"])
