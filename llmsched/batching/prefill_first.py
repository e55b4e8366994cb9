"""Prefill whenever a prompt fits, otherwise decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, PREFILL, Decide, View
from llmsched.kernel.rules import Rule


@dataclass(frozen=True)
class PrefillFirst:
    """Exclusive steps, prefill first: vLLM's v0 scheduler."""

    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        return Rule(view, PREFILL, DECODE)
