"""Prefill whenever a prompt fits, otherwise decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, PREFILL, Decide, Step, View


@dataclass(frozen=True)
class PrefillFirst:
    """Exclusive steps, prefill first: vLLM's v0 scheduler."""

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        def decide() -> Step:
            return PREFILL if view.can_prefill else DECODE

        return decide
