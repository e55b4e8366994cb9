"""Fixed ranks in a heap."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.batching.chunked import Chunked
from llmsched.contract import Jobs, Policy, View
from llmsched.errors import PolicyError
from llmsched.orders.rank import RankQueue
from tests.cases import AnyStep, Case, cases


def test_the_lowest_key_is_next_and_ties_go_by_position() -> None:
    queue = RankQueue([5, 3, 5, 3])
    for request in (3, 2, 1, 0):
        queue.push(request)
    assert len(queue) == 4
    assert [queue.pop() for _ in range(4)] == [1, 3, 0, 2]
    assert len(queue) == 0


def test_peek_leaves_the_request_where_it_is() -> None:
    queue = RankQueue(np.array([2.5, 0.5]))
    queue.push(0)
    assert (queue.peek(), len(queue)) == (0, 1)
    queue.push(1)
    assert (queue.peek(), queue.pop(), queue.pop()) == (1, 1, 0)


def test_an_empty_queue_has_nobody_next() -> None:
    assert RankQueue([1]).peek() == -1
    assert RankQueue([1]).release is None


def test_a_preempted_request_takes_its_old_place_again() -> None:
    queue = RankQueue([0, 1, 2])
    for request in (0, 1, 2):
        queue.push(request)
    assert queue.pop() == 0
    queue.push(0)
    assert [queue.pop() for _ in range(3)] == [0, 1, 2]


@given(st.lists(st.integers(-5, 5), min_size=1), st.randoms(use_true_random=False))
def test_whatever_the_order_of_pushes_requests_come_out_sorted(
    keys: list[int], random: Random
) -> None:
    pushes = list(range(len(keys)))
    random.shuffle(pushes)
    queue = RankQueue(keys)
    for request in pushes:
        queue.push(request)
    popped = [queue.pop() for _ in keys]
    assert popped == sorted(range(len(keys)), key=lambda i: (keys[i], i))


def test_popping_from_an_empty_queue_is_an_error() -> None:
    with pytest.raises(IndexError):
        RankQueue([1]).pop()


@dataclass(frozen=True)
class ByPrompt:
    """Shortest prompt first, by an array of keys or by a function of one request."""

    array: bool

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        if self.array:
            return RankQueue(jobs.input_tokens)
        return RankQueue(lambda request: float(jobs.input_tokens[request]))


@given(cases(mixed=True), st.integers(0, 2**32))
def test_an_array_and_a_function_of_the_same_keys_give_the_same_schedule(
    case: Case, seed: int
) -> None:
    for rule in (Chunked(), AnyStep(seed)):
        try:
            one = case.replay(Policy("function", ByPrompt(array=False), rule))
        except PolicyError:
            with pytest.raises(PolicyError):
                case.replay(Policy("array", ByPrompt(array=True), rule))
            continue
        other = case.replay(Policy("array", ByPrompt(array=True), rule))
        assert one.finish.tolist() == other.finish.tolist()
        assert one.step_rows.tobytes() == other.step_rows.tobytes()


def asked(known: int) -> tuple[RankQueue, list[int]]:
    """Return a queue with keys for some requests, and when it asks for more: 9, 8, 7 and so on."""
    queue, times = RankQueue([9 - i for i in range(known)]), list[int]()

    def later(first: int) -> list[float]:
        times.append(first)
        return [float(9 - i) for i in range(first, 9)]

    queue.later = later
    return queue, times


def test_who_waits_alone_is_next_without_a_key() -> None:
    queue, times = asked(1)
    for request in (1, 2):
        queue.push(request)
        assert (queue.peek(), len(queue), queue.pop(), len(queue)) == (request, 1, request, 0)
    assert (queue.peek(), times) == (-1, [])


@pytest.mark.parametrize("known", [0, 1])
def test_keys_are_asked_for_once_where_several_wait(known: int) -> None:
    queue, times = asked(known)
    for request in range(4):
        queue.push(request)
    assert [queue.pop() for _ in range(4)] == [3, 2, 1, 0]
    assert times == [known]


def test_requests_without_a_key_are_in_order_and_can_be_taken_by_name() -> None:
    queue, _ = asked(1)
    for request in range(4):
        queue.push(request)
    assert queue.waiting() == [3, 2, 1, 0]
    queue.remove(2)
    assert (len(queue), queue.waiting()) == (3, [3, 1, 0])
