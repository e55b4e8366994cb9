"""Pages for a reader: lines and tables, laid out at a given width and rendered by rich.

No number is cut and no column is dropped: what does not fit goes on beneath, beside the names once
more. rich is imported when a page is rendered, not before; what it renders depends on nothing but
the page, its width and whether it may use colours: not on the environment, not on the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import TYPE_CHECKING, TypeAlias

from llmsched.notes import printable
from llmsched.report.clean import cleaned
from llmsched.report.layout import BETTER, WORSE, wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

PLAIN_WIDTH = 80
"""Columns of a page that nobody said a width for."""

_LEAST_NAME = 12
_LEAST_TEXT = 20
_AMPLE = 100_000  # rich is given this width and never cuts: the layout is made here

_STYLES = tuple(
    (rf"^ *{mark}( (?!better|worse).*)?$|{mark} [-+][^ ]+", style)
    for mark, style in ((BETTER, "green"), (WORSE, "red"))
)
"""What carries a mark is coloured: a text that begins with one, or the number after one."""


@dataclass(frozen=True)
class Grid:
    """A table: words to the left, numbers to the right.

    Attributes
    ----------
    rows : sequence of sequences of str
        The cells of each, as many as there are columns.
    titles : sequence of sequences of str
        Lines of titles above the rows.
    lead : int
        Leading columns that say which row it is: they come again where the table goes on beneath.
        The last of them is a name, which may be folded over several lines.
    words : int
        Leading columns that are flush left.
    text : bool
        Whether the last column holds texts, which are wrapped.
    notes : mapping
        Lines that stand before a row, by its index.
    names : int
        The most columns of a name where the table has to go on beneath anyway.
    indent, gap : int
        Columns before the table, and between two of its columns.
    """

    rows: Sequence[Sequence[str]]
    titles: Sequence[Sequence[str]] = ()
    lead: int = 1
    words: int = 1
    text: bool = False
    notes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    names: int = 20
    indent: int = 0
    gap: int = 2


Part: TypeAlias = str | Grid


def _clean(part: Part) -> Part:
    """Return a part without what a terminal would obey: names come from anybody's files."""
    if isinstance(part, str):
        return printable(part)
    rows, notes = (cleaned(texts, printable=True) for texts in (part.rows, part.notes))
    return replace(part, rows=rows, notes=notes)


def page(
    parts: Iterable[Part], *, title: str = "", width: int = PLAIN_WIDTH, color: bool = False
) -> str:
    """Return lines (as they are) and tables as text of `width` columns, under a title.

    A line is wider only where a single number or a given line is.
    """
    from rich.console import Console

    stream = StringIO()
    console = Console(
        file=stream,
        width=_AMPLE,
        height=25,
        force_terminal=color,
        color_system="standard" if color else None,
        no_color=not color,
        force_jupyter=False,
        legacy_windows=False,
    )
    for shown in [*_title(printable(title), width), *_shown(map(_clean, parts), width)]:
        console.print(shown)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().split("\n")[:-1])


def _title(title: str, width: int) -> Iterator[RenderableType]:
    from rich.text import Text

    for line in wrapped(title, width, "  "):
        yield Text(line, style="bold")


def _shown(parts: Iterable[Part], width: int) -> Iterator[RenderableType]:
    for part in parts:
        if isinstance(part, Grid):
            yield from _tables(part, width)
        else:
            yield _styled(part)


def _styled(text: str) -> Text:
    from rich.text import Text

    styled = Text(text)
    for pattern, style in _STYLES:
        styled.highlight_regex(pattern, style)
    return styled


def _tables(grid: Grid, width: int) -> Iterator[RenderableType]:
    """Yield the blocks of a table; rows with nothing to show in a later one are left out there."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    widths = _widths(grid, width - grid.indent)

    def begun(block: Sequence[int], titles: Sequence[Sequence[str]]) -> Table:
        table = Table.grid(padding=(0, grid.gap, 0, 0))
        for column in block:
            table.add_column(
                justify="left" if column < grid.words or _is_text(grid, column) else "right",
                width=widths[column],
                overflow="fold",
            )
        for line in titles:
            table.add_row(*(Text(line[column]) for column in block))
        return table

    for number, block in enumerate(_blocks(grid, widths, width - grid.indent)):
        if number:
            yield Text("")
        table = begun(block, grid.titles)
        notes: list[str] = []
        for index, row in enumerate(grid.rows):
            notes += grid.notes.get(index, ())
            if number and not any(row[column] for column in block[grid.lead :]):
                continue
            if notes:
                yield Padding.indent(table, grid.indent)
                yield from map(_styled, notes)
                table, notes = begun(block, ()), []
            table.add_row(*(_styled(row[column]) for column in block))
        yield Padding.indent(table, grid.indent)


def _widths(grid: Grid, width: int) -> list[int]:
    """Return the width of each column: what its cells need, but for names and texts."""
    from rich.cells import cell_len

    columns = zip(*grid.titles, *grid.rows, strict=True)
    widths = [max(map(cell_len, column)) for column in columns]
    if grid.text:
        rest = sum(widths[:-1]) + grid.gap * (len(widths) - 1)
        widths[-1] = min(widths[-1], max(_LEAST_TEXT, width - rest))
    name = grid.lead - 1
    room = width - sum(widths) + widths[name] - grid.gap * (len(widths) - 1)
    widths[name] = min(widths[name], room if room >= _LEAST_NAME else grid.names)
    return widths


def _is_text(grid: Grid, column: int) -> bool:
    return grid.text and column == len(grid.rows[0]) - 1


def _blocks(grid: Grid, widths: Sequence[int], width: int) -> Iterator[list[int]]:
    """Yield the columns of each block: the names, and as many others as fit, one at least."""
    block = lead = list(range(grid.lead))
    for column in range(grid.lead, len(widths)):
        longer = [*block, column]
        if block != lead and sum(widths[i] + grid.gap for i in longer) - grid.gap > width:
            yield block
            longer = [*lead, column]
        block = longer
    yield block
