"""Recorded schedules, and schedules nobody recorded, against policy vllm."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.vllm_workloads import drawn
from llmsched.errors import InputError
from llmsched.verify.golden import check
from tests.verify.plain_vllm import PlainVllm, read, replayed

RECORDED = (
    "code_small_budget",
    "conv_kv_pressure",
    "conv_online",
    "gsm8k_offline",
    "mooncake_long",
    "sharegpt_kv_bound",
)


@pytest.mark.parametrize("name", RECORDED)
def test_the_engine_schedules_as_the_real_one_was_recorded_to(recorded: Path, name: str) -> None:
    verdict = check(recorded / "vllm-golden" / f"{name}.json.gz")
    assert verdict.same, verdict.difference


@pytest.mark.parametrize("name", RECORDED)
def test_the_plain_rules_reproduce_the_recordings(recorded: Path, name: str) -> None:
    document = read(recorded / "vllm-golden" / f"{name}.json.gz")
    plain = replayed(document)
    assert plain["steps"] == document["steps"]
    assert plain["preemptions"] == document["preemptions"]
    assert plain["finish_s"] == pytest.approx(document["finish_s"], rel=1e-12)


FEATURES = (
    *("as_chat_kv_pressure", "as_code_burst", "pc_eviction", "pc_mooncake", "pc_multi_turn"),
    *("pc_shared_system", "pr_many_levels", "pr_three_classes", "knob_active", "knob_first_chunk"),
    *("knob_interval", "knob_prio", "knob_threshold", "knob_threshold_adaptive", "knob_watermark"),
)


@pytest.mark.parametrize("name", FEATURES)
def test_the_engine_schedules_as_the_real_one_with_its_features_on(
    recorded: Path, name: str
) -> None:
    verdict = check(recorded / "vllm-features" / f"{name}.json.gz")
    assert verdict.same, verdict.difference


@pytest.mark.parametrize("first", range(0, 320, 32))
def test_the_engine_follows_the_plain_rules_with_every_set_of_features(
    tmp_path: Path, first: int
) -> None:
    """Caching, steps ahead, priority and knobs, on or off by the bits of the seed."""
    for seed in range(first, first + 32):
        verdict = check(written(tmp_path / "drawn.json", replayed(drawn(seed))))
        assert verdict.same, f"seed {seed}: {verdict.difference}"


@st.composite
def schedules(draw: st.DrawFn) -> dict[str, Any]:
    """Schedules by the plain rules: bursts, ties, single tokens, KV from ample to thrashing."""
    prompt, output = draw(st.sampled_from([(3, 1), (8, 40), (60, 60), (300, 12), (5, 300)]))
    gap = st.sampled_from([0.0, 0.0, 0.0, 0.0081, 0.01, 0.35])
    rows = draw(
        st.lists(
            st.tuples(gap, st.integers(1, prompt), st.integers(1, output)), min_size=1, max_size=60
        )
    )
    time, requests = 0.0, []
    for wait, p, d in rows:
        time += wait
        requests.append((round(time, 6), p, d))
    size = draw(st.sampled_from([1, 4, 16]))
    need = max(-(-(p + d - 1) // size) for _, p, d in requests)
    slots = draw(st.sampled_from([1, 2, 8, 256]))
    budget = max(slots, draw(st.sampled_from([1, 7, 33, 128, 2048])))
    spare = draw(st.sampled_from([0, 1, need // 2, 2 * need, 20 * need]))
    return PlainVllm(requests, slots, budget, need + 1 + spare, size).record()


@given(schedules())
def test_the_engine_follows_the_plain_rules_where_nothing_was_recorded(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = written(tmp_path_factory.getbasetemp() / "plain.json", document)
    verdict = check(path)
    assert verdict.same, verdict.difference


def test_a_lone_last_token_of_a_recomputation_is_a_decode(tmp_path: Path) -> None:
    """The preempted request knows 5 tokens; a budget of 4 cuts them into a prefill and a decode."""
    document = PlainVllm([(0.0, 3, 6), (0.0, 3, 6)], 2, 4, 6, 2).record()
    assert document["preemptions"] == [0, 1]
    assert document["steps"][6:8] == [[4, 0, 0, 1, 0], [0, 1, 4, 1, 0]]
    assert check(written(tmp_path / "g.json", document)).same


@pytest.fixture
def document() -> dict[str, Any]:
    """A small schedule with preemptions."""
    requests = [(0.001 * i, 5 + i % 3, 9) for i in range(12)]
    recorded = PlainVllm(requests, 8, 16, 12, 4).record()
    assert sum(recorded["preemptions"]) > 0
    return recorded


def written(path: Path, document: dict[str, Any], compress: bool = False) -> Path:
    data = json.dumps(document).encode()
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_a_file_may_be_plain_or_compressed(
    tmp_path: Path, document: dict[str, Any], compress: bool
) -> None:
    verdict = check(written(tmp_path / "g", document, compress))
    assert verdict.same
    assert verdict.requests == 12
    assert verdict.preemptions == sum(document["preemptions"])


def test_requests_need_not_be_in_order_of_arrival(tmp_path: Path, document: dict[str, Any]) -> None:
    for name in ("requests", "first_token_s", "finish_s", "preemptions"):
        document[name].reverse()
    assert check(written(tmp_path / "g", document)).same


def _step(recorded: dict[str, Any]) -> None:
    recorded["steps"][7][2] += 1


def _waiting(recorded: dict[str, Any]) -> None:
    recorded["steps"][4][4] += 1


def _missing_step(recorded: dict[str, Any]) -> None:
    del recorded["steps"][-1]


def _preemption(recorded: dict[str, Any]) -> None:
    recorded["preemptions"][3] += 1


def _first_token(recorded: dict[str, Any]) -> None:
    recorded["first_token_s"][2] *= 1 + 3e-6


def _finish(recorded: dict[str, Any]) -> None:
    recorded["finish_s"][11] *= 1 - 3e-6


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_step, "step 7: recorded prefill_tokens"),
        (_waiting, "step 4: recorded"),
        (_missing_step, "number of steps: recorded"),
        (_preemption, "preemptions of request 3: recorded"),
        (_first_token, "first token of request 2: recorded"),
        (_finish, "finish of request 11: recorded"),
    ],
)
def test_the_first_difference_is_told_with_both_sides(
    tmp_path: Path,
    document: dict[str, Any],
    spoil: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    spoil(document)
    verdict = check(written(tmp_path / "g", document))
    assert not verdict.same
    assert verdict.difference.startswith(says)
    assert "; simulated " in verdict.difference


def _set(*keys: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(recorded: dict[str, Any]) -> None:
        inner: Any = recorded
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = to

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d.pop("steps"), "steps: expected a value, got nothing"),
        (lambda d: d["config"].pop("block_size"), "config.block_size: expected a value"),
        (
            _set("config", "block_size", to="16"),
            "config.block_size: expected an integer in 1..65536",
        ),
        (_set("config", "policy", to="sjf"), "config.policy: expected fcfs or priority, got 'sjf'"),
        (_set("config", "usable_blocks", to=3), "config.usable_blocks: expected 11"),
        (_set("config", "speculative", to=3), "config.speculative: expected one of"),
        (_set("requests", 3, 1, to=90), "request '3' can never fit"),
        (_set("step_time", "base_ms", to=-1), "step_time.base_ms: expected a number >= 0"),
        (_set("step_time", to=[]), "step_time.: expected a JSON object"),
        (_set("requests", to=[]), "requests: expected"),
        (_set("requests", 0, to=[0, 1]), "requests: expected 12 x 3 numbers"),
        (_set("requests", 0, 1, to=0), "requests: row 0: input_length: expected"),
        (_set("requests", 0, 1, to=1.5), "requests: expected whole numbers"),
        (_set("requests", 0, 0, to="now"), "requests: expected"),
        (_set("preemptions", to=[0]), "preemptions: expected 12 numbers"),
        (_set("steps_columns", to=["tokens"]), "steps_columns: expected prefill_tokens"),
        (_set("steps_columns", to=7), "steps_columns: expected prefill_tokens"),
        (_set("finish_s", 3, to=None), "finish_s: expected 12 numbers"),
    ],
)
def test_a_bad_file_is_refused_by_field(
    tmp_path: Path,
    document: dict[str, Any],
    spoil: Callable[[dict[str, Any]], None],
    says: str,
) -> None:
    document = copy.deepcopy(document)
    spoil(document)
    path = written(tmp_path / "g.json", document)
    with pytest.raises(InputError) as refused:
        check(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1]",
        b"\x1f\x8b\x08nothing",
        gzip.compress(b"x" * 99, mtime=0)[:-9],  # the same test name in every worker
        b"\xff\xfe",
    ],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "g.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"g\.json"):
        check(path)
