"""A scheduler for ``vllm serve`` that admits requests in a planned order.

    LLMSCHED_PLAN=plan.json vllm serve MODEL --scheduler-cls llmsched.serving.vllm.PlannedScheduler
    LLMSCHED_ORDER=ljf      vllm serve MODEL --scheduler-cls llmsched.serving.vllm.PlannedScheduler

Only who is next is replaced; what a step holds, KV blocks and preemption are the server's own. In
place of the environment, ``--additional-config '{"llmsched_plan": "plan.json"}'`` says the same;
`LLMSCHED_REPLICA` chooses the share of a plan for replicas.
"""

from __future__ import annotations

import os
from typing import Any

from llmsched.errors import InputError
from llmsched.real.installed import load
from llmsched.serving.plans import planned_ranks
from llmsched.serving.queue import OrderedRequests, by_order, by_plan


def __getattr__(name: str) -> Any:
    """Make the class when the server asks for it: without vLLM, this module can be imported too."""
    if name != "PlannedScheduler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base: Any = load("v1.core.sched.async_scheduler").AsyncScheduler
    made = type("PlannedScheduler", (_Planned, base), {"__module__": __name__})
    globals()[name] = made
    return made


class _Planned:
    """Before vLLM's asynchronous scheduler in a class: another queue for those who wait."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: Any = getattr(self, "vllm_config")  # noqa: B009 - it is the server's
        if config.scheduler_config.policy != "fcfs":
            raise InputError("a planned order needs --scheduling-policy fcfs, which is the default")
        self.waiting = _queue(config)


def _queue(config: Any) -> OrderedRequests:
    more = config.additional_config if isinstance(config.additional_config, dict) else {}
    asked = {name: _asked(name, more) for name in ("plan", "order", "replica")}
    if bool(asked["plan"]) == bool(asked["order"]):
        raise InputError("expected either LLMSCHED_PLAN or LLMSCHED_ORDER in the environment")
    if asked["order"]:
        return by_order(asked["order"], config.scheduler_config.max_num_seqs)
    return by_plan(planned_ranks(asked["plan"], int(asked["replica"] or 0)))


def _asked(name: str, more: dict[str, Any]) -> str:
    found = more.get(f"llmsched_{name}", os.environ.get(f"LLMSCHED_{name.upper()}", ""))
    return str(found)
