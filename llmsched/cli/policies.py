"""``llmsched policies``: what there is to choose from."""

from __future__ import annotations

from llmsched.cli.output import emit
from llmsched.cli.streams import terminal


def policies() -> None:
    """List the policies, and the orders and batching rules that compose new ones."""
    from llmsched.report.policies import policy_list

    emit(policy_list(**terminal()))
