"""``llmsched policies``: what there is to choose from."""

from __future__ import annotations

import textwrap

from llmsched.cli.output import emit


def policies() -> None:
    """List the policies, and the orders and batching rules that compose new ones."""
    from llmsched.catalog import needs, parts, summary
    from llmsched.policies import NAMED

    lines = ["policies (--policy NAME)"]
    for policy in NAMED.values():
        wanted = needs(policy)
        lines += _entry(policy.name, policy.summary + (f" [needs {wanted}]" if wanted else ""))
    for title, kind in (("orders: who is next", "orders"), ("rules: what is next", "batching")):
        lines += ["", f"{title} (--policy ORDER+RULE, parameters as :name=value)"]
        for name, part in parts(kind).items():
            lines += _entry(name, summary(part))
    lines += ["", "Your own: --policy ./file.py:Class, or an installed package's entry point in"]
    lines += ["llmsched.orders or llmsched.batching."]
    emit("\n".join(lines))


def _entry(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, 80, initial_indent=f"  {name:<14} ", subsequent_indent=" " * 17)
