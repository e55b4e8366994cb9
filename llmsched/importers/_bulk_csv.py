"""Columns out of CSV rows, a block at a time: numpy checks the text, pandas parses it.

What pandas would read otherwise than `llmsched.importers._table` never reaches it: every row has
as many separators as the header, a count is up to 18 digits and nothing else, and no cell has a
quote, a control character, a byte beyond ASCII, or a space at its end.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from llmsched.importers._doubt import check_times, dates, doubt, in_range
from llmsched.importers._format import Format, never
from llmsched.importers._table import Table

if TYPE_CHECKING:
    import pandas as pd

_NEWLINE, _SPACE, _QUOTE, _COMMA, _ZERO, _NINE, _DELETE = b'\n ",09\x7f'
_DIGITS = 18
"""Digits that no 64-bit integer overflows."""


class CsvBlocks:
    """Adds blocks of CSV rows to a table."""

    def __init__(self, form: Format, unit: str, names: list[str]) -> None:
        self.table = Table()
        self._form, self._unit, self._names = form, unit, names
        counts = [form.output_tokens, form.input_tokens]
        doubt(not {*counts, form.time or counts[0]} <= set(names))
        if form.predicted is not None and form.predicted in names:
            counts.append(form.predicted)
        texts = [name for name in (form.job_class, form.model, form.time) if name in names]
        doubt(bool({form.id, form.hash_ids, *form.limits} & set(names)))
        doubt(bool(set(counts) & set(texts)) or form.time_may_be_missing)
        doubt(form.failure is not never or form.expand is not None)
        self._counts = [names.index(name) for name in counts]
        self._types: dict[str, str] = dict.fromkeys(counts, "int64") | dict.fromkeys(texts, "str")

    def add(self, block: bytes) -> None:
        """Add rows that end with a line's end, but for the last of the file."""
        block = block.replace(b"\r\n", b"\n")
        rows = _check_text(block.removesuffix(b"\n") + b"\n", len(self._names), self._counts)
        frame = self._frame(block)
        doubt(len(frame) != rows)
        form, table = self._form, self.table
        number = np.arange(table.rows, table.rows + rows)
        table.rows += rows
        empty = frame[form.output_tokens].to_numpy() == 0
        if empty.any():
            table.dropped[f"{form.output_tokens} is 0"] += int(empty.sum())
            frame, number = frame[~empty], number[~empty]
        table.id.extend(map(str, number.tolist()))
        table.limit.extend([0] * len(frame))
        for name, target in (
            (form.output_tokens, table.output_tokens),
            (form.input_tokens, table.input_tokens),
            (form.predicted, table.predicted),
        ):
            if name in self._types:
                target.extend(in_range(frame[name].to_numpy()).tolist())
        self._add_times(frame)
        if form.job_class is not None:
            absent = form.job_class not in self._names
            table.job_class.extend([""] * len(frame) if absent else frame[form.job_class].tolist())
        if form.model in self._names:
            table.models.update(dict.fromkeys(frame[form.model].unique().tolist()))

    def _add_times(self, frame: pd.DataFrame) -> None:
        if self._form.time is None:
            return
        text = frame[self._form.time].tolist()
        if self._unit == "date":
            self.table.time.extend(dates(text))
            return
        doubt(not set("0123456789.").issuperset("".join(text)))  # Python takes more for a number
        times = list(map(int if all(map(str.isdigit, text)) else float, text))
        check_times(times, self._unit)
        self.table.time.extend(times)

    def _frame(self, block: bytes) -> pd.DataFrame:
        import pandas as pd

        return pd.read_csv(
            io.BytesIO(block),
            header=None,
            names=self._names,
            usecols=list(self._types),
            dtype=cast(Any, self._types),
            keep_default_na=False,
            na_filter=False,
            index_col=False,
        )


def _check_text(block: bytes, width: int, counts: list[int]) -> int:
    """Return how many rows of `width` cells a block has, which are digits in columns `counts`."""
    text = np.frombuffer(block, np.uint8)
    newline, comma = text == _NEWLINE, text == _COMMA
    doubt(((text < _SPACE) & ~newline).any() or (text >= _DELETE).any() or (text == _QUOTE).any())
    ends = np.flatnonzero(newline | comma)
    doubt(len(ends) % width != 0)
    grid = ends.reshape(-1, width)
    doubt(newline[grid[:, :-1]].any() or comma[grid[:, -1]].any())
    starts = np.concatenate([[0], ends[:-1] + 1])
    doubt((text[starts] == _SPACE).any() or (text[ends - 1] == _SPACE).any())
    other = ((text < _ZERO) | (text > _NINE)).astype(np.int32)
    others = np.add.reduceat(other, starts).reshape(-1, width)[:, counts]  # with the separator
    lengths = (ends - starts).reshape(-1, width)[:, counts]
    doubt((others != 1).any() or (lengths < 1).any() or (lengths > _DIGITS).any())
    return len(grid)
