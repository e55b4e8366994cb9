"""A queue of vLLM's kind that gives its requests out in an order of llmsched's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from llmsched.catalog import find
from llmsched.config import EngineConfig
from llmsched.contract import Jobs
from llmsched.errors import InputError
from llmsched.hardware import load_profile
from llmsched.kernel.known import ledger
from llmsched.orders.rank import Queue, RankQueue
from llmsched.serving.plans import planned_rank

Arrive = Callable[[Any], None]
"""Told of each request of vLLM's when it comes for the first time."""


class OrderedRequests:
    """Waiting requests by the order of llmsched's queue, with the methods of vLLM's queues.

    Requests are numbered as they come. One that was preempted, or passed over, has its old place
    again.

    Parameters
    ----------
    queue : Queue
        Of numbers.
    arrive : callable
        Makes a new request known to whoever ranks it.
    """

    def __init__(self, queue: Queue, arrive: Arrive) -> None:
        self._queue, self._arrive = queue, arrive
        self._number: dict[str, int] = {}
        self._request: dict[int, Any] = {}
        self._count = 0

    def add_request(self, request: Any) -> None:
        """Add one that has come, or comes back."""
        if request.request_id not in self._number:
            self._number[request.request_id] = self._count
            self._count += 1
            self._arrive(request)
        number = self._number[request.request_id]
        self._request[number] = request
        self._queue.push(number)

    def prepend_request(self, request: Any) -> None:
        """Add one that was preempted."""
        self.add_request(request)

    def prepend_requests(self, requests: Iterable[Any]) -> None:
        """Add those that were passed over."""
        for request in requests:
            self.add_request(request)

    def peek_request(self) -> Any:
        """Return the next one."""
        if not self._request:
            raise IndexError("peek from an empty queue")
        return self._request[self._queue.peek()]

    def pop_request(self) -> Any:
        """Take the next one out."""
        if not self._request:
            raise IndexError("pop from an empty queue")
        return self._request.pop(self._queue.pop())

    def remove_request(self, request: Any) -> None:
        """Take one out, whose client has left for instance."""
        number = self._number[request.request_id]
        del self._request[number]
        self._queue.remove(number)

    def remove_requests(self, requests: Iterable[Any]) -> None:
        """Take some out, those of them that are here."""
        for request in list(requests):
            if self._number.get(request.request_id) in self._request:
                self.remove_request(request)

    def __bool__(self) -> bool:
        return bool(self._request)

    def __len__(self) -> int:
        return len(self._request)

    def __iter__(self) -> Iterator[Any]:
        return iter([self._request[number] for number in self._queue.waiting()])


def by_plan(ranks: dict[str, int]) -> OrderedRequests:
    """Return a queue in planned order; what is not planned comes last, as it came."""
    places: list[float] = []

    def arrive(request: Any) -> None:
        rank = planned_rank(request.request_id, ranks)
        places.append(inf if rank is None else rank)

    return OrderedRequests(RankQueue(lambda number: places[number]), arrive)


def by_order(spec: str, max_num_seqs: int) -> OrderedRequests:
    """Return a queue by an order; a request's predicted output is its ``max_tokens``.

    Parameters
    ----------
    spec : str
        As for ``--policy``, of which only the order counts: ``ljf``, ``./mine.py:MyOrder``.

    Raises
    ------
    InputError
        There is no such order, or it follows the state of an engine, which is not at hand.
    """
    config, hardware = EngineConfig(max_num_seqs=max_num_seqs), load_profile("llama3-8b-a100")
    jobs = Jobs([], [], [], config, hardware)
    order: Any = find(spec).order
    try:
        queue = order.queue(jobs, None)
    except AttributeError as error:
        raise InputError(f"order {spec!r}: it follows an engine's state: {error}") from error
    if not isinstance(queue, Queue):
        raise InputError(f"order {spec!r}: it follows an engine's state; expected one by keys")
    if isinstance(queue, RankQueue):
        queue.later = lambda first: order.queue(jobs.part(first), None).keys
    known = ledger(jobs)

    def arrive(request: Any) -> None:
        most = request.max_tokens
        known.append(request.arrival_time, request.num_prompt_tokens, most, most)

    return OrderedRequests(queue, arrive)
