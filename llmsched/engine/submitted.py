"""What one engine has been given, by number of request."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from llmsched.engine.limits import Intake
from llmsched.trace import Trace


class Submitted:
    """What has been submitted, by number of request.

    Apart from the session: one that handed out its own methods would hold itself, and its memory
    outlive its use.
    """

    def __init__(self) -> None:
        self.intakes: list[Intake] = []
        self.rows: NDArray[np.int64] | None = None  # by number of request, where they differ
        self._starts = [0]  # number of each submission's first request, and of the one to come

    def add(self, intake: Intake) -> None:
        self.intakes.append(intake)
        self._starts.append(self._starts[-1] + len(intake.trace))

    def place(self, request: int) -> tuple[Trace, int]:
        """Return the trace that a request came with, and its row there."""
        row = request if self.rows is None else int(self.rows[request])
        at = bisect_right(self._starts, row) - 1
        return self.intakes[at].trace, row - self._starts[at]

    def id_of(self, request: int) -> object:
        trace, row = self.place(request)
        return trace.id[row]


class Names:
    """The ids of requests, read only when somebody asks for them."""

    def __init__(self, submitted: Submitted) -> None:
        self._submitted = submitted

    def __getitem__(self, request: int) -> object:
        return self._submitted.id_of(request)


class Classes:
    """The classes of requests, read only when somebody asks for them."""

    def __init__(self, submitted: Submitted) -> None:
        self._submitted = submitted

    def __bool__(self) -> bool:
        return any(intake.trace.job_class is not None for intake in self._submitted.intakes)

    def __getitem__(self, request: int) -> str:
        trace, row = self._submitted.place(request)
        return "" if trace.job_class is None else str(trace.job_class[row])
