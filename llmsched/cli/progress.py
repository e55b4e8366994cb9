"""How far a command is, on stderr: a bar on a terminal, elsewhere a line every ten seconds.

Nothing is shown of what takes less than a second. Another thread does the showing: the work only
says how far it is, and need not even do that, as a search for a proof cannot.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING

from llmsched.notes import is_terminal, say

if TYPE_CHECKING:
    from rich.progress import Progress, Task

SILENT_S = 1.0
"""Seconds before a phase is shown at all."""
LINE_S = 10
"""Seconds between two lines where stderr is not a terminal."""
_SAMPLE_S, _REFRESH_S = 1.0, 0.2


class Phase:
    """One phase of a command: its name, and how far it is in counts or in words."""

    def __init__(self, name: str, unit: str = "") -> None:
        self.name, self.unit = name, unit
        self._finished = self._total = 0
        self._words = ""

    def __call__(self, finished: int, total: int) -> None:
        """Say that `finished` of `total` are done."""
        self._finished, self._total = finished, total

    def read(self, rows: int, finished: int, total: int) -> None:
        """Say how many rows have been read, and how many bytes of a file (of a pipe: 0 of 0)."""
        self.unit = "MB"
        self(round(finished / 1e6), round(total / 1e6))
        self.tell(f"{rows:,} rows")

    def tell(self, words: str) -> None:
        """Say in words where it stands."""
        self._words = words

    def show(self, over: Event) -> None:
        """Show the phase until it is over; that its reader has left stops only the showing."""
        if not over.wait(SILENT_S):
            with suppress(OSError, ValueError):
                self._show(over, is_terminal(sys.stderr))

    def _show(self, over: Event, watched: bool) -> None:
        with _bar(watched) as bar:
            task = bar.add_task(self.name, total=None, state="")
            for samples in count(1):
                bar.update(task, completed=self._finished, total=self._total or None)
                state = self._state(bar.tasks[0])
                if watched:
                    bar.update(task, state=state, refresh=True)
                elif samples % LINE_S == 0:
                    say(f"llmsched: {self.name}: {state}")
                if over.wait(_REFRESH_S if watched else _SAMPLE_S):
                    return

    def _state(self, task: Task) -> str:
        """Return how far the phase is, and the time left, or until now if unknown."""
        left, so_far = task.time_remaining, (task.elapsed or 0.0) + SILENT_S
        time_ = f"{_clock(so_far)} so far" if left is None else f"{_clock(left)} left"
        done = f"{self._finished:,} of {self._total:,} {self.unit}" if self._total else ""
        return ", ".join(filter(None, (done, self._words, time_)))


@contextmanager
def phase(name: str, unit: str = "") -> Iterator[Phase]:
    """Show on stderr that a phase of the command runs, as long as the block does."""
    running, over = Phase(name, unit), Event()
    shower = Thread(target=running.show, args=(over,), daemon=True)
    shower.start()
    try:
        yield running
    finally:
        over.set()
        shower.join()


def _bar(watched: bool) -> Progress:
    """Return rich's progress display on stderr; it only measures where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    return Progress(
        SpinnerColumn("line"),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
        TextColumn("{task.fields[state]}", markup=False),
        console=Console(file=sys.stderr),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        disable=not watched,
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
