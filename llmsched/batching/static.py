"""Static batching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, PREFILL, Decide, View
from llmsched.kernel.rules import Refill


@dataclass(frozen=True)
class Static:
    """Fill the slots, decode until the whole batch has finished, fill them again.

    The batch is closed by its first decode round; finished sequences leave their slots idle.
    """

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        return Refill(view, PREFILL, DECODE)
