"""The glossary of metrics, for a terminal and as the page docs/metrics.md."""

from __future__ import annotations

from llmsched.metric import METRICS, NEITHER, Metric
from llmsched.report.console import PLAIN_WIDTH, Grid, page

_INTRODUCTION = """\
# Metrics

Every metric of a row, in the order of reports: made by `llmsched metrics --format markdown` from
the one table of metrics (`llmsched/metric/entries.py`). One without samples is NaN, null in JSON,
never 0. Those marked \\* are of the whole replay alone: a group of its requests (`--by`) has none.
For those marked † a bound is proven ([bounds.md](bounds.md)).

| metric | unit | better | what it is | what it hides |
|---|---|---|---|---|
"""


def glossary(*, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return two lines a metric: its name, unit and direction, what it is and what it hides."""
    rows = []
    for metric in METRICS.values():
        facts = ", ".join(filter(None, (metric.unit, _direction(metric))))
        rows += [(metric.name, f"{metric.formula}{f' ({facts})' if facts else ''}")]
        rows += [("", f"hides: {metric.hides}")]
    return page([Grid(rows, text=True)], width=width, color=color)


def glossary_markdown() -> str:
    """Return the page of the documentation."""
    return _INTRODUCTION + "".join(map(_line, METRICS.values()))


def _line(metric: Metric) -> str:
    marks = ("\\*" if metric.whole_only else "") + ("†" if metric.bounded else "")
    cells = (
        f"`{metric.name}`{marks}",
        metric.unit,
        _direction(metric),
        metric.formula,
        metric.hides,
    )
    return f"| {' | '.join(cells)} |\n"


def _direction(metric: Metric) -> str:
    """Return which way is better, in a word; empty where neither is."""
    return "" if metric.better == NEITHER else metric.better
