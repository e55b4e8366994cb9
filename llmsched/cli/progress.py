"""How far a long run is."""

from __future__ import annotations

import sys
import time


class Progress:
    """How far a long run is, on stderr; silent where that is not a terminal."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._shown = sys.stderr.isatty()
        self._start = time.monotonic()
        self._first = 0
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Show that `done` of `total` are done, at most a few times a second."""
        now = time.monotonic()
        if not self._shown or (now - self._last < 0.2 and done < total):
            return
        self._first = self._first or done
        pace = (now - self._start) / max(1, done - self._first + 1)
        left = round(pace * (total - done))
        self._last = now
        text = f"{done}/{total} {self._unit}, {left // 60}:{left % 60:02d} left"
        sys.stderr.write(f"\r{text}\x1b[K" if done < total else "\r\x1b[K")
        sys.stderr.flush()
