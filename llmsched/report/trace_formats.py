"""The formats of traces, for a terminal and as the page docs/formats.md."""

from __future__ import annotations

from llmsched.importers import Format, formats
from llmsched.report.console import PLAIN_WIDTH, Grid, page

_INTRODUCTION = """\
# Formats

Every format that is read, made by `llmsched trace formats --format markdown` from the modules of
`llmsched/importers/`. tests/fixtures/ has a sample of each, which a test reads with every number.
A table is text with a header (commas, semicolons or tabs) or Parquet. Times marked \\* may be
missing; those of tokens, where a format has them, are what `hardware calibrate` fits to. Block ids
and sessions tell what prompts share, which prefix caching needs. [How files are read](traces.md)
says the rest; `--columns` reads any other table.

| `--trace-format` | text | recognised by | arrival | tokens | more | known from |
|---|---|---|---|---|---|---|
"""

_KINDS = {"csv": "table", "json": "JSON", "any": "JSON, table"}
_UNITS = {"any": "dates or s", "date": "dates"}


def format_list(*, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return two lines a format: what it is, and where its names are known from."""
    rows = []
    for form in formats():
        names = ", ".join((form.name, *form.aliases))
        rows += [(names, form.about), ("", f"known from: {form.source or 'its package'}")]
    return page([Grid(rows, text=True)], width=width, color=color)


def format_page() -> str:
    """Return the page of the documentation."""
    return _INTRODUCTION + "".join(map(_line, formats()))


def _line(form: Format) -> str:
    aliases = f" (also {', '.join(f'`{name}`' for name in form.aliases)})" if form.aliases else ""
    signatures = "; or ".join(", ".join(names) for names in form.signatures)
    arrival = "none" if form.time is None else f"{form.time}, {_UNITS.get(form.unit, form.unit)}"
    more = {
        "block ids": form.hash_ids is not None,
        "sessions": form.delay is not None,
        "priority": form.priority is not None,
    }
    cells = (
        f"`{form.name}`{aliases}",
        _KINDS[form.kind],
        f"`{signatures}`",
        arrival + ("\\*" if form.time_may_be_missing or form.delay is not None else ""),
        "yes" if form.is_measured else "",
        ", ".join(name for name, is_there in more.items() if is_there),
        form.source,
    )
    return f"| {' | '.join(cells)} |\n"
