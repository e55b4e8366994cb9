"""What a policy must keep to: the shape of a queue and of a step, and who is blamed if it fails.

Policies propose, the engine disposes. Whatever an order or a rule returns is checked before it is
obeyed, and what it raises ends the replay in one line that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import TypeGuard

from llmsched.contract import Policy, Step
from llmsched.engine.state import State
from llmsched.errors import LlmschedError, PolicyError
from llmsched.foreign import foreign_line, stdout_kept, told
from llmsched.hardware import HardwareProfile


def check_queue(policy: Policy, queue: object) -> None:
    """Refuse what an order returned instead of a `WaitingQueue`.

    Raises
    ------
    PolicyError
        It lacks a member of one.
    """
    members = ("push", "peek", "pop", "release")
    lacking = [name for name in members if not callable(getattr(queue, name, None))]
    if getattr(queue, "release", lacking) is None:  # it wants to be told of nothing
        lacking.remove("release")
    if lacking:
        raise PolicyError(
            f"policy {policy.name}: queue: expected a WaitingQueue, got {queue!r} "
            f"without {', '.join(lacking)}"
        )


def check_decide(policy: Policy, decide: object) -> None:
    """Refuse what a rule's `start` returned instead of a function.

    Raises
    ------
    PolicyError
        It cannot be called.
    """
    if not callable(decide):
        raise PolicyError(
            f"policy {policy.name}: start: expected a function that returns a Step, got {decide!r}"
        )


def check_step(policy: Policy, step: object, hardware: HardwareProfile) -> None:
    """Refuse what a rule proposed, unless it is a step with flags and counts in their range.

    Raises
    ------
    PolicyError
        It is no `Step`, a flag is neither true nor false, a count is not an integer >= 1, or the
        profile has no price for prefill beside decodes.
    """
    if step.__class__ is not Step:
        raise PolicyError(f"policy {policy.name}: expected a Step, got {step!r}")
    assert isinstance(step, Step)
    for name, flag in (("prefill", step.prefill), ("decode", step.decode), ("split", step.split)):
        if flag.__class__ is not bool and type(flag).__name__ != "bool":  # NumPy's is one as well
            raise PolicyError(
                f"policy {policy.name}: Step: {name}: expected True or False, got {flag!r}"
            )
    if step.prefill and step.decode and not hardware.step_time.mixed:
        raise PolicyError(
            f"policy {policy.name}: it proposed prefill and decode in one step, which profile "
            f"{hardware.name} cannot price; a rule that may must say so: mixed = True"
        )
    for name, count in (
        ("rounds", step.rounds),
        ("max_tokens", step.max_tokens),
        ("max_new_seqs", step.max_new_seqs),
    ):
        if count is not None and not (_is_integer(count) and count >= 1):
            raise PolicyError(
                f"policy {policy.name}: Step: {name}: expected an integer >= 1 or None, "
                f"got {count!r}"
            )


def check_next(state: State, request: object) -> int:
    """Return the waiting request that a queue offers, as a plain integer; -1 for none.

    Raises
    ------
    PolicyError
        It is not an integer, or one that does not wait: unknown, not arrived, in a slot, finished.
    """
    where = f"policy {state.policy.name}: queue: peek: expected a waiting request or -1, got"
    if not _is_integer(request):
        raise PolicyError(f"{where} {request!r}")
    if request < 0:
        return -1
    index = int(request)
    if index >= state.arrived:
        raise PolicyError(f"{where} {index}, which has not arrived at {state.now:.6f} s")
    where_it_is = "is in a slot" if index in state.running else "has finished"
    if index in state.running or state.has_finished(index):
        raise PolicyError(f"{where} {state.trace.id[index]!r}, which {where_it_is}")
    return index


def check_popped(state: State, popped: object, promised: int) -> None:
    """Refuse a queue that gives out another request than it promised.

    Raises
    ------
    PolicyError
        `pop` returned something else than `peek` just before it.
    """
    if not _is_integer(popped) or popped != promised:
        raise PolicyError(
            f"policy {state.policy.name}: queue: pop: expected {promised}, which peek returned, "
            f"got {popped!r}"
        )


@contextmanager
def blaming(policy: Policy) -> Iterator[None]:
    """Turn whatever a policy's code raises into a `PolicyError` that names policy, file and line.

    What this package raises itself passes as it is, unless a part of the policy is foreign: a
    method with other parameters than it is called with fails before any line of it runs. What the
    policy prints goes to stderr: stdout is the result's.
    """
    try:
        with stdout_kept():
            yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, PolicyError) and str(error).startswith(f"policy {policy.name}: "):
            raise
        ours = isinstance(error, LlmschedError) or not _is_foreign(policy)
        if ours and foreign_line(error) is None:
            raise
        raise PolicyError(told(f"policy {policy.name}", error)) from error


def _is_foreign(policy: Policy) -> bool:
    own = __name__.partition(".")[0]
    parts = (policy.order, policy.rule)
    return any(type(part).__module__.partition(".")[0] != own for part in parts)


def _is_integer(value: object) -> TypeGuard[int]:
    return value.__class__ is int or (isinstance(value, Integral) and not isinstance(value, bool))
