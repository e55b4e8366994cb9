"""What the project's pages hold: code blocks, and the commands that a reader is to type."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*/README.md"),
        *ROOT.glob(".github/*.md"),
    ]
)

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("", "console")
_OPERATORS = ("|", "&&", ";", ">")


@dataclass(frozen=True)
class Command:
    """One call of llmsched: its arguments, and the file that its output is sent to, if any."""

    words: tuple[str, ...]
    target: str = ""

    def __str__(self) -> str:
        return " ".join(("llmsched", *self.words))


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of one language ("" for those that name none)."""
    return [body for marked, body in _FENCE.findall(text(page)) if marked == language]


def commands(page: Path) -> list[Command]:
    """Return the calls of llmsched in fenced and indented blocks, in the page's order."""
    indented = _FENCE.sub(lambda m: indent(m[2], "    ") if m[1] in SHELL else "", text(page))
    lines = re.findall(
        r"^    (?:\$ )?(.*\bllmsched .*)", indented.replace("\\\n", " "), re.MULTILINE
    )
    return [found for line in lines for found in _calls(line)]


def mentions(page: Path) -> list[Command]:
    """Return the calls of llmsched that stand inside a sentence or a table, perhaps cut short."""
    prose = _FENCE.sub("", text(page))
    found = re.findall(r"`(llmsched [^`]*)`", prose)
    return [call for line in found for call in _calls(re.sub(r"\[[^]]*\]", "X", line))]


def _calls(line: str) -> list[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words, calls = list(lexer), []
    while words:
        end = next((i for i, word in enumerate(words) if word in _OPERATORS), len(words))
        target = words[end + 1] if words[end : end + 1] == [">"] else ""
        if words[0] == "llmsched":
            calls.append(Command(tuple(words[1:end]), target))
        words = words[end + 1 :]
    return calls
