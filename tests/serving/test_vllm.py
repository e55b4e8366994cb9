"""The scheduler for a server: read without vLLM, and with it the same schedule as simulated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.vllm_served import DRAWS, drawn, served
from llmsched.errors import InputError
from llmsched.real.installed import is_installed
from llmsched.serving import vllm

needs_vllm = pytest.mark.skipif(not is_installed(), reason="vLLM is not installed")


@pytest.fixture(autouse=True)
def _nothing_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLMSCHED_PLAN", "LLMSCHED_ORDER", "LLMSCHED_REPLICA"):
        monkeypatch.delenv(name, raising=False)


class Base:
    """As much of vLLM's scheduler as the other queue needs."""

    def __init__(self, vllm_config: Any) -> None:
        self.vllm_config = vllm_config
        self.waiting: Any = None


class Own(vllm._Planned, Base):
    """A scheduler with the other queue."""


def config(policy: str = "fcfs", **more: Any) -> Any:
    scheduler = SimpleNamespace(policy=policy, max_num_seqs=8)
    return SimpleNamespace(scheduler_config=scheduler, additional_config=more)


def order(scheduler: Own, limits: dict[str, int]) -> Iterator[str]:
    for name, limit in limits.items():
        scheduler.waiting.add_request(
            SimpleNamespace(
                request_id=name, max_tokens=limit, num_prompt_tokens=3, arrival_time=0.0
            )
        )
    while scheduler.waiting:
        yield scheduler.waiting.pop_request().request_id


def test_the_environment_names_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSCHED_ORDER", "ljf")
    assert list(order(Own(config()), {"a": 2, "b": 9})) == ["b", "a"]


def test_the_environment_names_a_plan_and_a_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"replicas": [{"requests": ["a"]}, {"requests": ["c", "b"]}]}))
    monkeypatch.setenv("LLMSCHED_PLAN", str(plan))
    monkeypatch.setenv("LLMSCHED_REPLICA", "1")
    assert list(order(Own(config()), {"a": 1, "b": 1, "c": 1})) == ["c", "b", "a"]


def test_additional_config_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMSCHED_ORDER", "ljf")
    assert list(order(Own(config(llmsched_order="sjf")), {"a": 2, "b": 9})) == ["a", "b"]


def test_neither_or_both_are_refused() -> None:
    for more in ({}, {"llmsched_order": "ljf", "llmsched_plan": "plan.json"}):
        with pytest.raises(InputError, match="expected either LLMSCHED_PLAN or LLMSCHED_ORDER"):
            Own(config(**more))


def test_a_server_s_own_priorities_are_not_mixed_with_a_plan() -> None:
    with pytest.raises(InputError, match="--scheduling-policy fcfs"):
        Own(config("priority", llmsched_order="ljf"))


def test_the_module_has_nothing_else_to_give() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Planned'"):
        vllm.Planned  # noqa: B018


@pytest.mark.skipif(is_installed(), reason="vLLM is installed")
def test_without_vllm_the_class_says_what_it_needs() -> None:
    with pytest.raises(InputError, match="needs vLLM"):
        vllm.PlannedScheduler  # noqa: B018


@needs_vllm
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("draw", DRAWS)
def test_a_server_schedules_as_simulated(
    draw: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert served(drawn(draw, seed), tmp_path) == ""
