"""Plain text in columns, and colours that follow the marks in it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from llmsched.hardware.profile import ASSUMED

BETTER, WORSE, UNDECIDED = "✓", "✗", "~"

_GREEN, _RED, _BOLD, _END = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"


def align(rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Return lines with the first column to the left and all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def width_of(rows: Sequence[Sequence[str]], gap: int = 2) -> int:
    """Return the width of these rows once they are aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + gap * (len(widths) - 1)


def cut(rows: Sequence[Sequence[str]], width: int) -> list[Sequence[str]]:
    """Return the rows without the last columns if they do not fit; the first two always stay."""
    count = len(rows[0])
    while count > 2 and width_of([row[:count] for row in rows]) > width:
        count -= 1
    return [row[:count] for row in rows]


def hardware_of(cell: Mapping[str, Any]) -> str:
    """Return the profile's name, and that nobody chose it where that is so."""
    name = str(cell["hardware"].get("name", ""))
    return f"{name}{ASSUMED}" if cell.get("hardware_assumed") else name


def slots_of(cell: Mapping[str, Any]) -> str:
    """Return the slots, with the replicas or the users of a closed loop if there are any."""
    slots, trace = f"{cell['engine']['max_num_seqs']} slots", cell["trace"]
    if "replicas" in trace:
        return f"{trace['replicas']} replicas of {slots}"
    return f"{slots}, {trace['concurrency']} users" if "concurrency" in trace else slots


def output_limits_of(cell: Mapping[str, Any]) -> str:
    """Return where the output limits that were reserved for come from; empty if none were."""
    return str(cell["trace"].get("output_limits", ""))


def shortened(text: str, limit: int) -> str:
    """Return the text with its middle cut out if it is longer than `limit`."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def policy_label(spec: str, limit: int) -> str:
    """Return a policy's name without the files its parts come from, shortened to `limit`."""
    return shortened("+".join(part.rpartition(".py:")[2] for part in spec.split("+")), limit)


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Return a paragraph as lines of at most `width`."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def paint(text: str) -> str:
    """Colour what carries a mark: a line that begins with one, or the number after one."""
    for mark, color in ((BETTER, _GREEN), (WORSE, _RED)):
        marked = rf"^ *{mark} (?!better|worse).*$|{mark} [-+][^ ]+"
        text = re.sub(marked, rf"{color}\g<0>{_END}", text, flags=re.MULTILINE)
    first, newline, rest = text.partition("\n")
    return f"{_BOLD}{first}{_END}{newline}{rest}"
