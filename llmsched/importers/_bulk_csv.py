"""Columns out of CSV rows, a block at a time, by NumPy on the bytes.

Read are rows that have as many separators as the header, no quote, no control character and nothing
beyond ASCII, and of which a count is up to 18 digits and nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from llmsched.ids import Ids
from llmsched.importers._doubt import doubt, in_range, in_time, moments
from llmsched.importers._format import Format, never
from llmsched.importers._table import Table
from llmsched.importers._values import label_of
from llmsched.trace import MOST_PRIORITY

_NEWLINE, _SPACE, _MINUS, _POINT, _ZERO = b"\n -.0"
_DIGITS = 18
"""Digits that no 64-bit integer overflows."""
_EXACT = 15
"""Digits that a float holds exactly."""
_ZONE = np.frombuffer(b"+00:00", np.uint8)

_Rows = NDArray[np.int64]


class CsvBlocks:
    """Adds blocks of rows below a header to a table."""

    def __init__(self, form: Format, unit: str, names: list[str], separator: str) -> None:
        self.table = Table()
        self._form, self._unit, self._separator = form, unit, ord(separator)
        self._place = {name: i for i, name in enumerate(names)}
        doubt(not set(form.needed) <= set(names) or form.time_may_be_missing)
        doubt(bool({form.hash_ids, form.timeout, *form.limits, *form.rare} & set(names)))
        doubt(form.failure is not never)

    def add(self, block: bytes) -> None:
        """Add rows that end with a line's end, but for the last of the file."""
        form, table = self._form, self.table
        text = block.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n"
        cells = _Cells(text, len(self._place), self._separator)
        numbers: range | _Rows = range(table.rows, table.rows + len(cells))
        table.rows += len(cells)
        output = cells.counts(self._place[form.output_tokens])
        if not output.all():
            kept = np.flatnonzero(output)
            table.dropped[f"{form.output_tokens} is 0"] += len(cells) - len(kept)
            cells.keep(kept)
            output, numbers = output[kept], numbers[0] + kept
        table.output_tokens.extend(in_range(output))
        table.input_tokens.extend(in_range(cells.counts(self._place[form.input_tokens])))
        if form.predicted in self._place:
            table.predicted.extend(in_range(cells.counts(self._place[form.predicted])))
        if form.time is not None:
            self._add_times(cells, self._place[form.time])
        if form.job_class in self._place:
            texts = cells.texts(self._place[form.job_class])
            table.job_class.extend([label_of(text, form.job_class) for text in texts])
        else:
            table.job_class.skip(len(cells))
        if form.model in self._place:
            table.models.update(dict.fromkeys(cells.texts(self._place[form.model])))
        if form.id in self._place:
            own = zip(cells.texts(self._place[form.id]), numbers, strict=True)
            table.id.extend(Ids.of(text or str(number) for text, number in own))
        else:
            table.id.extend(Ids(numbers))
        table.skip_rare(len(cells))
        table.limit.skip(len(cells))
        table.timeout.skip(len(cells))
        if form.priority in self._place:
            table.priority.extend(cells.integers(self._place[form.priority]).tolist())
        else:
            table.priority.skip(len(cells))

    def _add_times(self, cells: _Cells, column: int) -> None:
        date = self._unit == "date"
        times = cells.dates(column) if date else in_time(cells.decimals(column), self._unit)
        self.table.time.extend(times)


class _Cells:
    """Where the cells of a block are, whose every row ends with a line's end.

    Parameters
    ----------
    block : bytes
    width : int
        Cells of each row.
    separator : int
        The byte between them.
    """

    def __init__(self, block: bytes, width: int, separator: int) -> None:
        self._text = text = np.frombuffer(block, np.uint8)
        newlines = block.count(b"\n")
        doubt(not block.isascii() or b'"' in block or b"\x7f" in block)
        marks = text == separator
        doubt(np.count_nonzero((text < _SPACE) & ~marks) != newlines)
        ends = np.flatnonzero((text == _NEWLINE) | marks)
        doubt(len(ends) != newlines * width or (text[ends[width - 1 :: width]] != _NEWLINE).any())
        starts = np.concatenate([[0], ends[:-1] + 1])
        # A column each, side by side in memory.
        self._ends = np.ascontiguousarray(ends.reshape(-1, width).T)
        self._starts = np.ascontiguousarray(starts.reshape(-1, width).T)

    def __len__(self) -> int:
        return len(self._ends[0])

    def keep(self, rows: _Rows) -> None:
        """Forget all other rows."""
        self._ends, self._starts = self._ends[:, rows], self._starts[:, rows]

    def counts(self, column: int) -> NDArray[np.int64]:
        """Return cells that are digits as numbers."""
        start, end = self._starts[column], self._ends[column]
        doubt((end == start).any())
        return self._digits(start, end)

    def integers(self, column: int) -> NDArray[np.int64]:
        """Return cells that are priorities as numbers, 0 where they are empty."""
        start, end = self._starts[column], self._ends[column]
        is_less = (self._text[start] == _MINUS) & (end > start)
        doubt((is_less & (end == start + 1)).any())
        value = self._digits(start + is_less, end)
        doubt(bool(value.max(initial=0) > MOST_PRIORITY))
        return np.where(is_less, -value, value)

    def decimals(self, column: int) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return cells of digits, with a point or without, as numbers."""
        start, end = self._starts[column], self._ends[column]
        points = np.append(np.flatnonzero(self._text == _POINT), len(self._text))
        point = points[np.searchsorted(points, start)]
        has_point = point < end
        digits = end - start - has_point
        doubt((digits < 1).any())
        if not has_point.any():
            return self._digits(start, end)
        if digits.max() > _EXACT:
            texts = self.texts(column)
            doubt(bool("".join(texts).encode().translate(None, b"0123456789.")))  # 1e5, 1_0, nan
            return np.array(list(map(float, texts)))
        point = np.where(has_point, point, end)
        after = np.minimum(point + 1, end)
        scale = 10 ** (end - after)
        # Both are exact, so that their quotient is the float nearest to the decimal.
        mantissa = self._digits(start, point) * scale + self._digits(after, end)
        return np.asarray(mantissa / scale, np.float64)

    def dates(self, column: int) -> NDArray[np.int64]:
        """Return cells that are dates and times of day in UTC as Unix nanoseconds."""
        start, end = self._starts[column], self._ends[column]
        zone = np.maximum(end - len(_ZONE), 0)
        zoned = self._text[zone] == _ZONE[0]
        for at, mark in enumerate(_ZONE):
            doubt((self._text[zone[zoned] + at] != mark).any())
        width = np.where(zoned, zone, end) - start
        if not len(width):
            return np.zeros(0, np.int64)
        doubt(width.min() < 1 or width.min() != width.max())
        return moments(np.lib.stride_tricks.sliding_window_view(self._text, width[0])[start])

    def texts(self, column: int) -> list[str]:
        """Return cells as texts; doubt a space at an end, which is to be cut off."""
        start, end = self._starts[column], self._ends[column]
        doubt((self._text[start] == _SPACE).any() or (self._text[end - 1] == _SPACE).any())
        whole = self._text.tobytes().decode()
        return [whole[a:b] for a, b in zip(start.tolist(), end.tolist(), strict=True)]

    def _digits(self, start: _Rows, end: _Rows) -> NDArray[np.int64]:
        """Return the numbers between two places; 0 where there is nothing."""
        widest = int((end - start).max(initial=0))
        doubt(widest > _DIGITS)
        value = np.zeros(len(start), np.int64)
        for back in range(widest, 0, -1):
            at = end - back
            digit = np.where(at < start, 0, self._text[at] - np.uint8(_ZERO))
            doubt((digit > 9).any())
            value *= 10
            value += digit
        return value
