"""Fixed ranks in a heap."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.orders.rank import RankQueue


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
