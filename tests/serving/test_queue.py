"""The queue inside a server gives requests out in order, whatever the server does with them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.serving.queue import OrderedRequests, by_order, by_plan


@dataclass(frozen=True)
class Asked:
    """What the queue looks at of a server's request."""

    request_id: str
    max_tokens: int = 1
    num_prompt_tokens: int = 1
    arrival_time: float = 0.0


def taken(queue: OrderedRequests) -> list[str]:
    names = []
    while queue:
        assert queue.peek_request() is next(iter(queue))
        names.append(queue.pop_request().request_id)
    return names


def test_planned_requests_come_in_their_order_and_others_last() -> None:
    queue = by_plan({"c": 0, "a": 1, "b": 2})
    for name in ("x", "a", "b", "y", "c"):
        queue.add_request(Asked(f"chatcmpl-{name}-0a1b2c3d"))
    assert [name[9] for name in taken(queue)] == ["c", "a", "b", "x", "y"]


@pytest.mark.parametrize(
    ("spec", "order"),
    [("ljf", "bca"), ("sjf", "acb"), ("sif", "cba"), ("fcfs", "abc"), ("ljf+chunked", "bca")],
)
def test_an_order_takes_the_limit_for_the_length(spec: str, order: str) -> None:
    queue = by_order(spec, 4)
    for number, (limit, prompt) in enumerate([(5, 30), (20, 20), (10, 10)]):
        queue.add_request(Asked("abc"[number], limit, prompt, number / 10))
    assert "".join(taken(queue)) == order


def test_one_that_comes_back_has_its_old_place() -> None:
    queue = by_order("fcfs", 4)
    first, second, third = (Asked(name) for name in "abc")
    for request in (first, second, third):
        queue.add_request(request)
    assert queue.pop_request() is first
    assert queue.pop_request() is second
    queue.prepend_request(second)
    queue.prepend_requests([first])
    assert taken(queue) == ["a", "b", "c"]


def test_who_is_taken_out_is_gone_and_who_is_not_there_is_no_error() -> None:
    queue = by_order("ljf", 4)
    requests = [Asked(name, limit) for name, limit in zip("abcd", (1, 2, 3, 4), strict=True)]
    for request in requests[:3]:
        queue.add_request(request)
    queue.remove_requests({requests[1], requests[3]})
    assert len(queue) == 2
    assert taken(queue) == ["c", "a"]
    assert not queue
    for ask in (queue.peek_request, queue.pop_request):
        with pytest.raises(IndexError):
            ask()


def test_whatever_is_done_with_it_it_is_a_sorted_list() -> None:
    draw = random.Random(3)
    queue, model, out = by_order("ljf", 4), [], []
    for number in range(400):
        request = Asked(str(number), draw.randint(1, 9))
        queue.add_request(request)
        model.append((-request.max_tokens, number, request))
        model.sort()
        if draw.random() < 0.6:
            assert queue.pop_request() is model[0][2]
            out.append(model.pop(0))
        if out and draw.random() < 0.3:
            back = out.pop(draw.randrange(len(out)))
            queue.prepend_request(back[2])
            model.append(back)
            model.sort()
        assert len(queue) == len(model)
    assert list(queue) == [entry[2] for entry in model]


def test_an_order_that_follows_an_engine_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Own:\n"
        "    def queue(self, jobs, view):\n"
        "        return object()\n"
    )
    for spec in ("offline", f"{own}:Own"):
        with pytest.raises(InputError, match="follows an engine's state"):
            by_order(spec, 4)
