"""The independent checker: it passes every replay, and finds every planted fault."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.latency_bounds import shared, with_cache
from llmsched.config import EngineConfig
from llmsched.contract import Policy
from llmsched.engine import SimulationResult
from llmsched.errors import InputError, PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.policies import NAMED
from llmsched.replay import simulate
from llmsched.report.tables import requests_csv, steps_csv
from llmsched.trace import Trace
from llmsched.verify.replay import Replay
from llmsched.verify.result import LAWS, Fault, faults
from llmsched.verify.tables import COMPLETED, REFUSED, read_requests, read_steps
from tests.cases import AnyStep, Case, cases


def evidence(case: Case, result: SimulationResult, folder: Path) -> Replay:
    """The tables by way of the files that a user would have."""
    requests, steps = folder / "requests.csv", folder / "steps.csv"
    requests.write_text(requests_csv(result))
    steps.write_text(steps_csv(result))
    return Replay(
        case.trace,
        read_requests(requests),
        read_steps(steps),
        result.config,
        case.hardware.step_time,
        case.concurrency,
        "fcfs" if result.policy in ("fcfs", "vllm", "orca") else "any",
    )


def faults_of(case: Case, policy: Policy, config: EngineConfig, folder: Path) -> list[Fault]:
    """Return what is found wrong with a replay; nothing with one that cannot be."""
    try:
        result = simulate(
            *(case.trace, case.hardware, policy, config),
            concurrency=case.concurrency,
            on_error="skip",
        )
    except (PolicyError, InputError):
        return []
    assume((result.column("duration_s") > 0).all())
    return faults(evidence(case, result, folder))


@given(data=st.data())
def test_every_replay_of_every_policy_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    any_rule = Policy("any", NAMED["sjf"].order, AnyStep(data.draw(st.integers(0, 99))))
    policy = data.draw(st.sampled_from([*NAMED.values(), any_rule]))
    case = data.draw(cases(mixed=True if policy.rule.mixed else None))
    try:
        result = case.replay(policy)
    except PolicyError:
        return
    assume((result.column("duration_s") > 0).all())
    assert faults(evidence(case, result, tmp_path_factory.getbasetemp())) == []


@given(data=st.data())
def test_every_replay_that_refuses_and_cuts_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    policy = data.draw(st.sampled_from(list(NAMED.values())))
    case = data.draw(cases(mixed=True if policy.rule.mixed else None))
    blocks = data.draw(st.sampled_from([case.config.num_gpu_blocks, 4, 9, 30]))
    config = dataclasses.replace(
        case.config,
        max_model_len=data.draw(st.sampled_from([None, 12, 40])),
        max_output_tokens=data.draw(st.sampled_from([None, 1, 5])),
        max_num_queued_reqs=data.draw(st.sampled_from([None, None, 3])),
        num_gpu_blocks=blocks,
        max_num_partial_prefills=1,
        max_long_partial_prefills=1,
    )
    declared = data.draw(st.sampled_from([None, 1, 7]))
    if declared is not None:
        limits = np.resize([declared, 0, 30], len(case.trace))
        case = dataclasses.replace(
            case, trace=dataclasses.replace(case.trace, max_output_tokens=limits)
        )
    assert faults_of(case, policy, config, tmp_path_factory.getbasetemp()) == []


@given(data=st.data())
def test_every_replay_with_a_prefix_cache_and_steps_scheduled_ahead_passes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    any_rule = Policy("any", NAMED["sjf"].order, AnyStep(data.draw(st.integers(0, 99))))
    policy = data.draw(st.sampled_from([*NAMED.values(), any_rule]))
    case = data.draw(cases(mixed=True if policy.rule.mixed else None))
    dice = random.Random(data.draw(st.integers(0, 2**20)))
    trace = case.trace if case.trace.delay is not None else shared(dice, case.trace)
    config = dataclasses.replace(
        with_cache(dice, case.config),
        enable_prefix_caching=data.draw(st.integers(0, 3)) > 0,
        max_num_queued_reqs=data.draw(st.sampled_from([None, None, 3])),
        max_model_len=None,
    )
    case = dataclasses.replace(case, trace=trace, config=config)
    assert faults_of(case, policy, config, tmp_path_factory.getbasetemp()) == []


@pytest.fixture(scope="module")
def ample(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """A mixed replay without preemption: 30 requests in two bursts, 8 slots, an idle gap."""
    return _replay(tmp_path_factory.mktemp("ample"), "vllm", EngineConfig(8, 32))


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The same in 30 blocks of 4, with preemptions."""
    config = EngineConfig(8, 32, block_size=4, num_gpu_blocks=31)
    replay = _replay(tmp_path_factory.mktemp("tight"), "vllm", config)
    assert replay.preempted
    return replay


@pytest.fixture(scope="module")
def exclusive(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Prefill first."""
    return _replay(tmp_path_factory.mktemp("exclusive"), "fcfs", EngineConfig(8, 64))


def _replay(folder: Path, name: str, config: EngineConfig) -> Replay:
    arrival = np.repeat([0.0, 9.0], 15) + np.tile([0.0, 0.0, 0.013], 10)
    i = np.arange(30)
    trace = Trace.from_columns(arrival, 5 + i * 7 % 23, 4 + i * 5 % 17)
    price = Affine(
        per_step=0.01,
        per_prefill_token=0.001,
        per_kv_token_decode=1e-5,
        per_kv_token_mixed=1e-5,
        mixed=name == "vllm",
    )
    case = Case(trace, HardwareProfile("p", price), config, trace.output_tokens, None)
    replay = evidence(case, case.replay(NAMED[name]), folder)
    assert faults(replay) == []
    return replay


def _change(
    table: str, column: str, row: int | Callable[[Replay], int], by: float
) -> Callable[[Replay], Replay]:
    """Add `by` to one cell."""

    def plant(replay: Replay) -> Replay:
        old = getattr(replay, table)
        values = getattr(old, column).copy()
        values[row if isinstance(row, int) else row(replay)] += by
        return dataclasses.replace(replay, **{table: dataclasses.replace(old, **{column: values})})

    return plant


def _drop(table: str, row: int) -> Callable[[Replay], Replay]:
    def plant(replay: Replay) -> Replay:
        old = getattr(replay, table)
        kept: dict[str, Any] = {}
        for field in dataclasses.fields(old):
            values = getattr(old, field.name)
            if isinstance(values, tuple):
                kept[field.name] = values[:row] + values[row + 1 :]
            else:
                kept[field.name] = np.delete(values, row)
        return dataclasses.replace(replay, **{table: dataclasses.replace(old, **kept)})

    return plant


def _knob(**knobs: Any) -> Callable[[Replay], Replay]:
    return lambda replay: dataclasses.replace(
        replay, config=dataclasses.replace(replay.config, **knobs)
    )


def _longest_leap(replay: Replay) -> int:
    return int(replay.steps.rounds.argmax())


def _most_preempted(replay: Replay) -> int:
    return int(replay.requests.preemptions.argmax())


def _never_preempted(replay: Replay) -> int:
    return int(replay.requests.preemptions.argmin())


def _later(row: int, by: float) -> Callable[[Replay], Replay]:
    """Shift everything from a step on: a stolen pause."""

    def plant(replay: Replay) -> Replay:
        start = replay.steps.start_s.copy()
        at = start[row]
        start[row:] += by
        steps = dataclasses.replace(replay.steps, start_s=start)
        moved = {
            name: np.where(times > at + 1e-6, times + by, times)
            for name in ("admitted_s", "first_token_s", "finish_s")
            for times in (getattr(replay.requests, name),)
        }
        requests = dataclasses.replace(replay.requests, **moved)
        return dataclasses.replace(replay, steps=steps, requests=requests)

    return plant


def _patience(seconds: float) -> Callable[[Replay], Replay]:
    return lambda replay: dataclasses.replace(
        replay,
        trace=dataclasses.replace(replay.trace, timeout=np.full(len(replay.trace), seconds)),
    )


_SERVED = "everybody served or not"

PLANTED = {
    "a request got no token": (_change("requests", "emitted_tokens", 4, -99), _SERVED),
    "one more was refused": (_change("requests", "status", 4, 1), _SERVED),
    "an abort after the last token": (_change("requests", "status", 4, 2), _SERVED),
    "all were accepted beyond a cap": (_knob(max_num_queued_reqs=2), "caps"),
    "and the same of prompt tokens": (_knob(max_num_queued_tokens=9), "caps"),
    "clients have left long before": (_patience(0.02), "timeouts"),
    "a request is missing": (_drop("requests", 4), "same requests"),
    "a prompt has grown": (_change("requests", "input_tokens", 4, 1), "same requests"),
    "an output was cut": (_change("requests", "output_tokens", 4, -1), "same requests"),
    "an arrival was moved": (_change("requests", "arrival_s", 3, -1e-6), "arrivals"),
    "admitted before its arrival": (_change("requests", "admitted_s", 29, -5.0), "order of events"),
    "first token at admission": (_change("requests", "first_token_s", 0, -9.0), "order of events"),
    "last token before the first": (_change("requests", "finish_s", 7, -9.0), "order of events"),
    "two steps at once": (_change("steps", "duration_s", 2, 0.5), "steps in order"),
    "a step that takes no time": (_change("steps", "duration_s", 2, -9.0), "steps in order"),
    "a step without rounds": (_change("steps", "rounds", 5, -9), "rows that make sense"),
    "prefill tokens of nobody": (_change("steps", "prefill_seqs", 0, -9), "rows that make sense"),
    "more computed than running": (_change("steps", "running", 6, -7), "rows that make sense"),
    "a slot too many": (_knob(max_num_seqs=7), "slots"),
    "a budget overrun": (_knob(max_num_batched_tokens=31), "token budget"),
    "a step left out": (_drop("steps", 6), "work conserved"),
    "a stolen pause": (_later(9, 0.004), "work conserved"),
    "a phantom waiting request": (_change("steps", "waiting", 4, 1), "queue lengths"),
    "a finish between steps": (_change("requests", "finish_s", 5, 1e-4), "times on the time line"),
    "a first token one step late": (
        _change("requests", "first_token_s", 0, 0.01),
        "times on the time line",
    ),
    "a prompt token left out": (_change("steps", "prefill_tokens", 0, -1), "prompts conserved"),
    "a prompt token twice": (_change("steps", "prefill_tokens", -3, 1), "rows that make sense"),
    "a decode left out": (_change("steps", "decode_seqs", 8, -1), "decode batches"),
    "a round too many": (_change("steps", "rounds", _longest_leap, 1), "tokens conserved"),
    "context that is not there": (_change("steps", "kv_tokens", 8, 5), "decode batches"),
    "a step too cheap": (_change("steps", "duration_s", 3, -1e-4), "prices"),
    "blocks exceeded": (_knob(num_gpu_blocks=20, block_size=4), "kv capacity"),
    "a preemption without a limit": (_change("requests", "preemptions", 4, 1), "kv capacity"),
    "blocks reserved twice": (
        _knob(reserve="max_output", max_output_tokens=40, num_gpu_blocks=17),
        "reserved blocks",
    ),
    "a preemption that cost nothing": (
        _change("requests", "preemptions", 0, 1),
        "preemptions accounted for",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(ample: Replay, name: str) -> None:
    plant, law = PLANTED[name]
    found = faults(plant(ample))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (_knob(num_gpu_blocks=20), "kv capacity"),
        (_change("steps", "running", 3, 1), "queue lengths"),
        (_change("steps", "decode_seqs", 8, -3), "tokens conserved"),
        (_change("requests", "preemptions", 0, -1), "tokens conserved"),
        (_change("requests", "preemptions", _most_preempted, -1), "preemptions accounted for"),
        (_change("requests", "preemptions", _never_preempted, 1), "preemptions accounted for"),
        (_change("steps", "kv_tokens", 1, 1), "decode batches"),
        (_change("requests", "preemptions", 9, 300), "tokens conserved"),
        (_change("steps", "prefill_tokens", -1, 1), "rows that make sense"),
    ],
)
def test_faults_are_found_among_preemptions(
    tight: Replay, plant: Callable[[Replay], Replay], law: str
) -> None:
    found = faults(plant(tight))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Sixteen prompts of two kinds, alike but for their last block: two, and then the others."""
    return _conversations(tmp_path_factory.mktemp("cached"), EngineConfig(4, 32, block_size=4))


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The same with steps scheduled ahead."""
    config = EngineConfig(4, 32, block_size=4, async_scheduling=True)
    return _conversations(tmp_path_factory.mktemp("ahead"), config)


def _conversations(folder: Path, config: EngineConfig) -> Replay:
    i = np.arange(16)
    ids = tuple((k % 2, k % 2 + 2, k % 2 + 4, k + 6) for k in i.tolist())
    arrival = np.where(i < 2, 0.0, 1.0)
    trace = Trace.from_columns(arrival, [16] * 16, 2 + i % 5, hash_ids=ids, hash_block_size=4)
    config = dataclasses.replace(config, enable_prefix_caching=True, num_gpu_blocks=60)
    replay = _skipping(folder, trace, config)
    assert replay.requests.cached_tokens.tolist() == [0, 0] + [12] * 14
    return replay


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (_change("requests", "cached_tokens", 4, 4), "prefix cache"),  # more than anybody has
        (_change("requests", "cached_tokens", 4, -1), "prefix cache"),  # no whole block
        (_change("requests", "cached_tokens", 4, -4), "tokens conserved"),
        (_change("requests", "cached_tokens", 4, -4), "prefix cache"),  # the steps say more
        (_change("steps", "cached_tokens", 0, 4), "prefix cache"),
        (_change("steps", "prefill_tokens", 0, -1), "prompts conserved"),
        (_knob(enable_prefix_caching=False), "prefix cache"),
        (_knob(num_gpu_blocks=7), "kv capacity"),
        (_knob(block_size=8), "prefix cache"),
    ],
)
def test_faults_are_found_among_what_prompts_found(
    cached: Replay, plant: Callable[[Replay], Replay], law: str
) -> None:
    found = faults(plant(cached))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


def test_tokens_found_that_nobody_computed_are_a_fault(cached: Replay) -> None:
    # Each may have found them, but somebody was the first; the steps are told to agree.
    first = 2 * [12] + 14 * [12]
    requests = dataclasses.replace(cached.requests, cached_tokens=np.array(first))
    steps = cached.steps
    prefill, found = steps.prefill_tokens.copy(), steps.cached_tokens.copy()
    found[0], prefill[0] = found[0] + 24, prefill[0] - 24
    steps = dataclasses.replace(steps, prefill_tokens=prefill, cached_tokens=found)
    told = dataclasses.replace(cached, requests=requests, steps=steps, step_time=None)
    assert [str(fault) for fault in faults(told)] == [
        f"prefix cache: {16 * 4} prompt tokens computed, "
        f"{16 * 4 + 24} are in nobody else's prompt before"
    ]


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (_change("steps", "waiting", 4, 3), "queue lengths"),
        (_change("steps", "running", 6, -3), "rows that make sense"),
        (_change("steps", "decode_seqs", 8, -1), "decode batches"),
        (_change("requests", "preemptions", 5, 30), "preemptions accounted for"),
        (_knob(async_scheduling=False), "queue lengths"),
    ],
)
def test_faults_are_found_among_steps_scheduled_ahead(
    ahead: Replay, plant: Callable[[Replay], Replay], law: str
) -> None:
    found = faults(plant(ahead))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


LONG, GREEDY, CUT_BY_OWN, CUT_BY_KNOB, CUT_BY_MODEL, CAPPED, LAST = range(7)
"""Requests of `limited`."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Of a model of 40 tokens: who is too long is refused, long answers are cut, one cap is met."""
    trace = Trace.from_columns(
        [0, 0, 0, 0, 0, 0, 9],
        [40, 30, 8, 9, 35, 7, 5],
        [1, 3, 9, 30, 12, 4, 2],
        max_output_tokens=[0, 11, 6, 0, 0, 0, 3],
    )
    config = EngineConfig(
        2,
        64,
        max_model_len=40,
        max_output_tokens=20,
        max_num_queued_reqs=3,
        num_gpu_blocks=21,
        block_size=4,
    )
    return _skipping(tmp_path_factory.mktemp("limited"), trace, config)


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """In 10 blocks of 4, limits reserved: the prompt of one never fits, the limit of another."""
    trace = Trace.from_columns(
        [0, 0, 0, 1], [41, 30, 30, 5], [1, 2, 2, 9], max_output_tokens=[0, 12, 11, 0]
    )
    config = EngineConfig(2, 64, block_size=4, num_gpu_blocks=11, reserve="max_output")
    return _skipping(tmp_path_factory.mktemp("squeezed"), trace, config)


def _skipping(folder: Path, trace: Trace, config: EngineConfig) -> Replay:
    case = Case(trace, MIXED, config, trace.output_tokens, None)
    result = simulate(trace, MIXED, NAMED["vllm"], config, on_error="skip")
    replay = evidence(case, result, folder)
    assert faults(replay) == []
    return replay


MIXED = HardwareProfile("p", Affine(per_step=0.01, per_prefill_token=0.001))


def test_the_hand_cases_refuse_and_cut_whom_they_say(limited: Replay, squeezed: Replay) -> None:
    assert limited.requests.status.tolist() == [1, 1, 0, 0, 0, 1, 0]
    assert limited.requests.emitted_tokens.tolist() == [0, 0, 6, 20, 5, 0, 2]
    assert squeezed.requests.status.tolist() == [1, 1, 0, 0]


def _declared(row: int, limit: int) -> Callable[[Replay], Replay]:
    """Let one request have declared another limit."""

    def plant(replay: Replay) -> Replay:
        assert replay.trace.max_output_tokens is not None
        limits = replay.trace.max_output_tokens.copy()
        limits[row] = limit
        trace = dataclasses.replace(replay.trace, max_output_tokens=limits)
        return dataclasses.replace(replay, trace=trace)

    return plant


def _prompt(row: int, tokens: int) -> Callable[[Replay], Replay]:
    """Let the prompt of one request have had another length."""

    def plant(replay: Replay) -> Replay:
        prompts = replay.trace.input_tokens.copy()
        prompts[row] = tokens
        return dataclasses.replace(
            replay,
            trace=dataclasses.replace(replay.trace, input_tokens=prompts),
            requests=dataclasses.replace(replay.requests, input_tokens=prompts),
        )

    return plant


def _forgotten(row: int, status: int) -> Callable[[Replay], Replay]:
    """Let nothing of one request have been done."""

    def plant(replay: Replay) -> Replay:
        old = replay.requests
        columns: dict[str, Any] = {}
        for name in ("admitted_s", "first_token_s", "finish_s", "emitted_tokens", "status"):
            columns[name] = getattr(old, name).copy()
            columns[name][row] = {"status": status, "emitted_tokens": 0}.get(name, np.nan)
        return dataclasses.replace(replay, requests=dataclasses.replace(old, **columns))

    return plant


_BEYOND = "nobody beyond the limits"

PLANTED_LIMITS = {
    "a prompt that fits was refused": (_prompt(LONG, 39), "caps"),
    "a declared limit that fits was refused": (_declared(GREEDY, 10), "caps"),
    "a prompt beyond the model was taken": (_knob(max_model_len=35), _BEYOND),
    "a declared limit beyond the model was taken": (_declared(LAST, 36), _BEYOND),
    "somebody who never fits was taken": (_knob(num_gpu_blocks=10), _BEYOND),
    "one who was refused for its length counts as served": (_forgotten(LONG, COMPLETED), _SERVED),
    "one who was refused got a token": (_change("requests", "emitted_tokens", LONG, 1), _SERVED),
    "who was served was said to be refused": (_forgotten(LAST, REFUSED), "work conserved"),
    "and he was refused below the cap": (_forgotten(LAST, REFUSED), "caps"),
    "an answer beyond its declared limit": (
        _change("requests", "emitted_tokens", CUT_BY_OWN, 1),
        _SERVED,
    ),
    "another declared limit": (_declared(CUT_BY_OWN, 7), _SERVED),
    "an answer beyond the knob": (_change("requests", "emitted_tokens", CUT_BY_KNOB, 1), _SERVED),
    "another knob": (_knob(max_output_tokens=21), _SERVED),
    "no knob": (_knob(max_output_tokens=None), _SERVED),
    "an answer cut too soon": (_change("requests", "emitted_tokens", CUT_BY_MODEL, -1), _SERVED),
    "an answer that was not cut": (_change("requests", "emitted_tokens", CUT_BY_MODEL, 7), _SERVED),
    "another model": (_knob(max_model_len=39), _SERVED),
    "no model": (_knob(max_model_len=None), _SERVED),
    "a cap that is not reached": (_knob(max_num_queued_reqs=4), "caps"),
    "no cap": (_knob(max_num_queued_reqs=None), "caps"),
    "a cap that is reached sooner": (_knob(max_num_queued_reqs=2), "caps"),
    "the length of a cut answer": (
        _change("requests", "output_tokens", CUT_BY_MODEL, -7),
        "same requests",
    ),
    "a round for a token that was cut": (
        _change("steps", "rounds", _longest_leap, 1),
        "tokens conserved",
    ),
    "a finish that came with the uncut answer": (
        _change("requests", "finish_s", CUT_BY_KNOB, 0.01),
        "times on the time line",
    ),
}


@pytest.mark.parametrize("name", PLANTED_LIMITS)
def test_faults_are_found_among_refusals_and_cuts(limited: Replay, name: str) -> None:
    plant, law = PLANTED_LIMITS[name]
    found = faults(plant(limited))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (_knob(num_gpu_blocks=12), "caps"),  # the prompt would fit
        (_declared(1, 11), "caps"),  # the limit would
        (_declared(2, 12), _BEYOND),
        (_knob(reserve="none"), "caps"),
    ],
)
def test_faults_are_found_among_those_that_never_fit(
    squeezed: Replay, plant: Callable[[Replay], Replay], law: str
) -> None:
    found = faults(plant(squeezed))
    assert law in {fault.law for fault in found}, [str(fault) for fault in found]


def test_steps_of_which_every_request_was_refused_are_a_fault(limited: Replay) -> None:
    nobody = limited
    for row in range(len(limited.requests.id)):
        nobody = _forgotten(row, REFUSED)(nobody)
    assert "work conserved" in {fault.law for fault in faults(nobody)}


def test_a_mixed_step_without_a_price_is_a_fault(exclusive: Replay) -> None:
    row = int(np.flatnonzero(exclusive.steps.prefill_seqs > 0)[-1])
    found = faults(_change("steps", "decode_seqs", row, 1)(exclusive))
    assert "exclusive steps" in {fault.law for fault in found}


def test_a_running_request_that_is_said_to_wait_is_a_fault(exclusive: Replay) -> None:
    steps = exclusive.steps
    idle = (steps.prefill_seqs > 0) & (steps.running > steps.prefill_seqs)
    row = int(np.flatnonzero(idle)[0])
    waits = _change("steps", "waiting", row, 1)(exclusive)
    found = faults(_change("steps", "running", row, -1)(waits))
    assert [fault.law for fault in found] == ["queue lengths", "preemptions accounted for"]


def test_a_request_that_arrives_just_after_a_step_has_started_is_not_missed_by_it(
    tmp_path: Path,
) -> None:
    """Two nanoseconds at 9 s are more than the engine takes for one instant."""
    trace = Trace.from_columns([0.0, 9.0, 9.000000002], [5, 5, 5], [2, 2, 2])
    hardware = HardwareProfile("p", Affine(per_step=0.01, mixed=False))
    case = Case(trace, hardware, EngineConfig(4), trace.output_tokens, None)
    replay = evidence(case, case.replay(NAMED["fcfs"]), tmp_path)
    assert replay.steps.waiting[2] == 0
    assert faults(replay) == []
    found = faults(_change("steps", "waiting", 0, 1)(replay))
    assert [fault.law for fault in found] == ["queue lengths"]


def test_a_queue_jumper_is_a_fault_only_where_the_order_is_claimed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("ljf")
    replay = _replay(folder, "ljf", EngineConfig(2, 64))
    found = faults(dataclasses.replace(replay, order="fcfs"))
    assert [fault.law for fault in found] == ["first come first served"]


def test_short_prompts_that_pass_a_long_one_are_no_fault_where_prefills_are_shared(
    tmp_path: Path,
) -> None:
    trace = Trace.from_columns([0.0] * 3, [50, 50, 2], [2, 2, 2])
    hardware = HardwareProfile("p", Affine(per_step=0.01))
    knobs = EngineConfig(4, 8, max_num_partial_prefills=2, long_prefill_token_threshold=9)
    case = Case(trace, hardware, knobs, trace.output_tokens, None)
    replay = evidence(case, case.replay(NAMED["vllm"]), tmp_path)
    assert replay.requests.admitted_s[2] < replay.requests.admitted_s[1]
    assert faults(replay) == []
    alone = dataclasses.replace(replay, config=EngineConfig(4, 8))
    assert [fault.law for fault in faults(alone)] == ["first come first served"]


def test_each_law_is_broken_by_some_planted_fault() -> None:
    elsewhere = {"exclusive steps", "first come first served", "prefix cache", _BEYOND}
    assert {law for _, law in PLANTED.values()} | elsewhere == set(LAWS)


REQUESTS = "id,arrival_s,input_tokens,output_tokens,admitted_s,first_token_s,finish_s,preemptions\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ":2: expected at least one row"),
        (REQUESTS, ":2: expected at least one row"),
        (REQUESTS + "a,0,1,1,0,1\n", ":2: expected 8 cells, got 6"),
        (REQUESTS + "a,0,1,1,0,nan,1,0\n", ":2: first_token_s: expected a finite number"),
        (REQUESTS + "a,0,1,1,0,,1,0\n", ":2: first_token_s: expected a finite number, got ''"),
        (REQUESTS + "a,0,1.5,1,0,1,1,0\n", ":2: input_tokens: expected an integer >= 0"),
        (REQUESTS + "a,0,1,1,0,1,1,-1\n", ":2: preemptions: expected an integer >= 0"),
        ("id,arrival_s\na,0\n", ":1: header: expected one column"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "requests.csv"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_requests(path)
    assert f"{path}{says}" in str(refused.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_steps(tmp_path / "none.csv")


SESSIONS = Trace.from_columns(
    [0, np.nan, 1.0, np.nan],
    [4, 5, 6, 7],
    [3, 2, 5, 4],
    session=["a", "a", "b", "b"],
    delay=[0, 2.0, 0, 0.5],
)


@pytest.mark.parametrize("users", [None, 1, 2])
def test_a_turn_that_comes_before_its_time_is_found(users: int | None, tmp_path: Path) -> None:
    hardware = HardwareProfile("hand", Affine(per_step=1.0, per_prefill_token=0.25))
    case = Case(SESSIONS, hardware, EngineConfig(2), SESSIONS.output_tokens, users)
    replay = evidence(case, case.replay(NAMED["vllm"]), tmp_path)
    assert faults(replay) == []
    late = replay.requests.arrival_s.copy()
    turn = int(np.flatnonzero(SESSIONS.previous >= 0)[0])
    late[turn] -= 0.25
    moved = dataclasses.replace(
        replay, requests=dataclasses.replace(replay.requests, arrival_s=late)
    )
    said = [str(fault) for fault in faults(moved)]
    arrived = f"arrived at {late[turn]:.9g} s, expected {late[turn] + 0.25:.9g} s"
    assert f"arrivals: request {SESSIONS.id[turn]}: {arrived}" in said
