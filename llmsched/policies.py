"""Named policies: an order (who is next) and a batching rule (what is next)."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.batching import BatchingRule
from llmsched.orders import Order


@dataclass(frozen=True)
class Policy:
    """A queue discipline together with a batching rule."""

    name: str
    order: Order
    rule: BatchingRule
    summary: str = ""
