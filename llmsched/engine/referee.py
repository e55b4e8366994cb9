"""What a policy must keep to: the shape of a queue and of a step, and who is blamed if it fails.

Policies propose, the engine disposes. Whatever an order or a rule returns is checked before it is
obeyed, and what it raises ends the replay in one line that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, TypeGuard

from llmsched.contract import Policy, Step
from llmsched.engine.livelock import LivelockWatch
from llmsched.errors import LivelockError, LlmschedError, PolicyError
from llmsched.foreign import foreign_line, stdout_kept, told
from llmsched.hardware import HardwareProfile
from llmsched.kernel.blocks import UNBOUNDED
from llmsched.kernel.rules import Proposal
from llmsched.kernel.state import State


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


_NOBODY: tuple[int, ...] = ()

_MOST_NAMED = 1 << 24
"""Requests that a step can name; more would only take time."""


class Referee:
    """What the kernel asks where a policy's word cannot be taken for it.

    Parameters
    ----------
    names : callable
        Given a request's number, returns its id.
    """

    def __init__(
        self, policy: Policy, hardware: HardwareProfile, names: Callable[[int], object]
    ) -> None:
        self._who, self._hardware, self._name = f"policy {policy.name}", hardware, names
        self._livelock = LivelockWatch()

    def proposal(self, step: object) -> Proposal:
        """Return what a step amounts to.

        Raises
        ------
        PolicyError
            It is no `Step`, a flag is neither true nor false, a count is not an integer >= 1,
            requests are not integers, or the profile has no price for prefill beside decodes.
        """
        who = self._who
        if step.__class__ is not Step:
            raise PolicyError(f"{who}: expected a Step, got {step!r}")
        assert isinstance(step, Step)
        for name in ("prefill", "decode", "split", "shortest_first", "heed_arrivals"):
            flag = getattr(step, name)
            if flag.__class__ is not bool and type(flag).__name__ != "bool":  # NumPy's is one too
                raise PolicyError(f"{who}: Step: {name}: expected True or False, got {flag!r}")
        if step.prefill and step.decode and not self._hardware.step_time.mixed:
            raise PolicyError(
                f"{who}: it proposed prefill and decode in one step, which profile "
                f"{self._hardware.name} cannot price; a rule that may must say so: mixed = True"
            )
        found = Proposal(step, bool(step.prefill), bool(step.decode), bool(step.split))
        found.heeds = bool(step.heed_arrivals)
        found.shortest = bool(step.shortest_first)
        if found.shortest and not (found.split and step.skip is _NOBODY and step.chunks is None):
            raise PolicyError(f"{who}: Step: shortest_first: expected split, no skip, no chunks")
        if step.rounds is not None:
            found.rounds = self._count("rounds", step.rounds)
        if step.max_tokens is not None:
            found.budget = self._count("max_tokens", step.max_tokens)
        if step.max_new_seqs is not None:
            found.admissions = self._count("max_new_seqs", step.max_new_seqs)
        if step.preempt is not _NOBODY:
            found.preempt = self._requests("preempt", step.preempt)
        if step.skip is not _NOBODY:
            found.skip = frozenset(self._requests("skip", step.skip))
        if step.chunks is not None:
            found.chunks = self._chunks(step.chunks)
        named = (step.preempt, step.skip, step.chunks or ())
        found.lasting = all(isinstance(each, tuple | frozenset) for each in named)
        return found

    def _count(self, name: str, count: object) -> int:
        if not (_is_integer(count) and count >= 1):
            raise PolicyError(
                f"{self._who}: Step: {name}: expected an integer >= 1 or None, got {count!r}"
            )
        return min(int(count), UNBOUNDED)

    def _requests(self, name: str, requests: object) -> tuple[int, ...]:
        where = f"{self._who}: Step: {name}: expected numbers of requests, got"
        if not isinstance(requests, Collection):
            raise PolicyError(f"{where} {requests!r}")
        if len(requests) > _MOST_NAMED:
            raise PolicyError(f"{where} {len(requests)} of them")
        if not all(map(_is_integer, requests)):
            raise PolicyError(f"{where} {requests!r}")
        return tuple(_bounded(request) for request in requests)

    def _chunks(self, chunks: object) -> tuple[tuple[int, int], ...]:
        pairs = tuple(chunks) if isinstance(chunks, Collection) else (None,)
        for pair in pairs:
            right = isinstance(pair, tuple) and len(pair) == 2 and all(map(_is_integer, pair))
            if not right or pair[1] < 1:
                raise PolicyError(
                    f"{self._who}: Step: chunks: expected (request, tokens >= 1), got {pair!r}"
                )
        requests = [int(request) for request, _ in pairs]
        if len(set(requests)) < len(requests):
            raise PolicyError(f"{self._who}: Step: chunks: a request is named twice")
        return tuple((_bounded(request), _bounded(tokens)) for request, tokens in pairs)

    def offered(self, state: State, request: object) -> int:
        """Return the waiting request that a queue offers, as a plain integer; -1 for none.

        Raises
        ------
        PolicyError
            It is not an integer, or one that does not wait: not arrived, in a slot, finished.
        """
        where = f"{self._who}: queue: peek: expected a waiting request or -1, got"
        if not _is_integer(request):
            raise PolicyError(f"{where} {request!r}")
        if request < 0:
            return -1
        why = self._why_not_waiting(state, int(request))
        if why:
            raise PolicyError(f"{where} {why}")
        return int(request)

    def popped(self, state: State, popped: object, promised: int) -> None:
        """Refuse a queue that gives out another request than it promised.

        Raises
        ------
        PolicyError
            `pop` returned something else than `peek` just before it.
        """
        if not _is_integer(popped) or popped != promised:
            raise PolicyError(
                f"{self._who}: queue: pop: expected {promised}, which peek returned, got {popped!r}"
            )

    def in_order(self, state: State, queue: Any) -> list[int]:
        """Return the waiting requests in a queue's order.

        Raises
        ------
        PolicyError
            The queue has no methods `waiting` and `remove`, or returns what does not wait.
        """
        if not all(callable(getattr(queue, name, None)) for name in ("waiting", "remove")):
            raise PolicyError(
                f"{self._who}: this order's queue has no methods waiting and remove, so that a "
                "rule can neither see its order nor pass anybody over"
            )
        order = [
            self.offered(state, request)
            for request in queue.waiting()
            if not (_is_integer(request) and state.is_gone(_bounded(request)))
        ]
        if len(set(order)) != len(order) or -1 in order:
            raise PolicyError(
                f"{self._who}: queue: waiting: expected each waiting request once, got {order}"
            )
        return order

    def named(self, state: State, request: int, what: str) -> None:
        """Refuse a step that names a request that cannot be preempted, or computed.

        Raises
        ------
        PolicyError
            The one does not run, or the other neither waits nor has a prompt to go on with.
        """
        slot = state.slot(request)
        if slot >= 0 and (what == "preempt" or state.is_begun(slot)):
            return
        why = self._why_not_waiting(state, request)
        if what == "preempt" and not why:
            why = f"{self._name(request)!r}, which waits"
        if why:
            raise PolicyError(f"{self._who}: Step: {what}: got {why}")

    def _why_not_waiting(self, state: State, request: int) -> str:
        if not 0 <= request < state.arrived:
            return f"{request}, which has not arrived at {state.now:.6f} s"
        if state.is_waiting(request):
            return ""
        where = "is in a slot" if state.slot(request) >= 0 else "has finished"
        if state.is_gone(request):
            where = "was refused, or its client has left"
        return f"{self._name(request)!r}, which {where}"

    def idle(self, state: State, step: object) -> None:
        """Refuse a step that does nothing, whatever else is said of it.

        Raises
        ------
        PolicyError
            Always.
        """
        raise PolicyError(
            f"{self._who}: at {state.now:.6f} s it proposed {step}, which does nothing with "
            f"{state.running} running and {state.waiting} waiting"
        )

    def preempted(self, state: State, request: int) -> None:
        """Hear of a preemption after another, with neither a token nor an arrival in between.

        Raises
        ------
        LivelockError
            The same one comes back for ever.
        """
        running = state.sequences()
        held = tuple(state.held_tokens(slot) for _, slot in running if state.is_begun(slot))
        if self._livelock.sees(
            mark=(state.clock, state.prompts_done, state.arrived),
            situation=(tuple(request for request, _ in running), held, state.waiting),
            arrival_to_come=state.arrived < state.dated or bool(state.deadlines),
        ):
            raise LivelockError(
                f"{self._who}: livelock at {state.now:.6f} s: {self._name(request)!r} is "
                "preempted over and over, and no request gets a token"
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


def is_own(part: object) -> bool:
    """Whether an order or a rule is this package's."""
    return type(part).__module__.partition(".")[0] == __name__.partition(".")[0]


def _is_foreign(policy: Policy) -> bool:
    return not (is_own(policy.order) and is_own(policy.rule))


def _bounded(number: Any) -> int:
    """Return an integer that C can hold; beyond all requests and tokens where it was beyond."""
    return max(-1, min(int(number), UNBOUNDED))


def _is_integer(value: object) -> TypeGuard[int]:
    return value.__class__ is int or (isinstance(value, Integral) and not isinstance(value, bool))
