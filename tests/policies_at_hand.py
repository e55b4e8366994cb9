"""Every policy that can be had: the named ones, all compositions, the examples of the pages."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from llmsched.catalog import find, parts
from llmsched.contract import Policy
from llmsched.policies import NAMED

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"

WRITTEN = {
    name: find(f"{EXAMPLES / name}")
    for name in ("srpt.py:Srpt", "peak_kv.py:PeakKv", "kv_order.py:BestFit")
}
"""The policies of ``docs/examples``."""

COMPOSED = {
    spec: find(spec)
    for spec in ("+".join(pair) for pair in product(parts("orders"), parts("batching")))
}

EVERY: dict[str, Policy] = {**NAMED, **COMPOSED, **WRITTEN}
