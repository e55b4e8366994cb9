"""What there is to choose from: policies, orders and batching rules."""

from __future__ import annotations

from llmsched.catalog import needs, parts, summary
from llmsched.policies import NAMED
from llmsched.report.console import PLAIN_WIDTH, Grid, page
from llmsched.report.layout import wrapped

_OWN = (
    "Your own: --policy ./file.py:Class, or an installed package's entry point in "
    "llmsched.orders or llmsched.batching."
)


def policy_list(*, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return a line a policy, order and rule: its name, what it does, what it needs."""
    rows, notes = [], {0: ["policies (--policy NAME)"]}
    for policy in NAMED.values():
        wanted = needs(policy)
        rows.append((f"  {policy.name}", policy.summary + (f" [needs {wanted}]" if wanted else "")))
    for title, kind in (("orders: who is next", "orders"), ("rules: what is next", "batching")):
        notes[len(rows)] = ["", f"{title} (--policy ORDER+RULE, parameters as :name=value)"]
        rows += ((f"  {name}", summary(part)) for name, part in parts(kind).items())
    grid = Grid(rows, notes=notes, text=True)
    return page([grid, "", *wrapped(_OWN, width)], width=width, color=color)
