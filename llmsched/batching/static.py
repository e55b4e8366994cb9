"""Static batching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, PREFILL, Decide, Step, View


@dataclass(frozen=True)
class Static:
    """Fill the slots, decode until the whole batch has finished, fill them again.

    The batch is closed by its first decode round; finished sequences leave their slots idle.
    """

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        filling = True

        def decide() -> Step:
            nonlocal filling
            filling = filling or view.running == 0
            if view.prefilling or (filling and view.can_prefill):
                return PREFILL
            filling = False
            return DECODE

        return decide
