"""The Python door: names or objects in, frames out; what is wrong is said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from llmsched import Trace, compare, load_profile, simulate
from llmsched.arguments import trace_of
from llmsched.catalog import find
from llmsched.cli import main
from llmsched.errors import InputError

A100 = load_profile("llama3-8b-a100")
TRACE = Trace.from_columns(
    np.arange(40) * 0.2, np.full(40, 300), np.arange(10, 50), name="small", note="made up"
)
FRAME = pd.DataFrame(
    {"arrival": TRACE.arrival, "input_tokens": TRACE.input_tokens, "output_tokens": range(10, 50)}
)


def test_names_and_objects_give_the_same_replay(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    milliseconds = FRAME.arrival * 1e3
    named = FRAME.assign(timestamp=milliseconds).drop(columns="arrival")
    named = named.rename(columns={"input_tokens": "input_length", "output_tokens": "output_length"})
    named.to_json(path, orient="records", lines=True)
    whole = simulate(TRACE, A100, find("vllm"))
    for trace in (FRAME, named, path, str(path)):
        again = simulate(trace, "llama3-8b-a100", "vllm")
        assert again.finish.tolist() == pytest.approx(whole.finish.tolist())


def test_knobs_may_be_changed_by_name() -> None:
    few = simulate(TRACE, A100, "vllm", {"max_num_seqs": 1})
    assert few.config.max_num_seqs == 1
    assert few.config.block_size == A100.engine.block_size


def test_a_comparison_is_what_the_command_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compare("gsm8k-llama65b", "llama65b-8gpu-paper", ["fcfs", "ljf"])
    found.save(tmp_path / "mine.json")
    main(["report", str(tmp_path / "mine.json")])
    assert "fcfs" in capsys.readouterr().out
    out = str(tmp_path / "theirs.json")
    main(["compare", "gsm8k-llama65b", "--policies", "fcfs,ljf", "--output", out])
    mine, theirs = (json.loads((tmp_path / n).read_text()) for n in ("mine.json", "theirs.json"))
    assert mine["results"] == theirs["results"]


def test_a_comparison_has_frames_a_row_a_policy_and_a_row_a_request() -> None:
    found = compare(FRAME, policies=["vllm", "sjf+chunked"], slo={"ttft_ms": 100})
    assert found.frame.index.tolist() == ["vllm", "sjf+chunked"]
    assert found.requests.groupby("policy").size().to_dict() == {"vllm": 40, "sjf+chunked": 40}
    assert found.frame.makespan_s.min() >= found.bound["makespan_s"]
    assert found.metrics[0] == "request_goodput"
    assert len(repr(found).splitlines()) <= 5
    assert "vllm" in repr(found)
    page = found._repr_html_()
    assert "<table" in page
    assert "goodput req/s" in page


def test_all_policies_that_the_profile_prices_are_compared_by_default() -> None:
    found = compare(TRACE.take(np.arange(5)), "llama65b-8gpu-paper")
    assert "fcfs" in found.frame.index
    assert "vllm" not in found.frame.index
    assert found.document["baseline"] == "fcfs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trace": 3}, "trace: expected a Trace, a DataFrame, a name or a path, got 3"),
        ({"trace": FRAME[["arrival"]]}, "trace: expected a column input_tokens, got arrival"),
        (
            {"trace": FRAME.assign(arrival="soon")},
            "trace: arrival: expected numbers, got object",
        ),
        ({"hardware": None}, "hardware: expected a profile, a name or a path, got None"),
        ({"policies": "vllm"}, "policies: expected a list of names, got 'vllm'"),
        ({"policies": 5}, "policies: expected a list of names, got 5"),
        ({"by": 5}, "by: expected a text, got 5"),
        ({"lengths": 5}, "lengths: expected a text, got 5"),
        ({"concurrency": True}, "concurrency: expected an integer >= 1, got True"),
        ({"on_error": "x"}, "on_error: expected one of fail, skip; got 'x'"),
        (
            {"trace": FRAME.assign(arrival=pd.to_timedelta(FRAME.arrival, unit="s"))},
            "trace: arrival: expected numbers, got timedelta64[ns]",
        ),
        (
            {"trace": FRAME.assign(timestamp=0)},
            "trace: expected one of the columns arrival, timestamp, got both",
        ),
        ({"trace": FRAME.assign(timeout_ms="x")}, "trace: timeout: expected numbers, got object"),
        ({"policies": []}, "policies: expected a list of names, got []"),
        ({"policies": ["vllm", "vllm"]}, "policies: expected different names, got vllm, vllm"),
        ({"slo": 5}, "slo: expected limits in ms by name, got 5"),
        (
            {"slo": {"ttft": 5}},
            "slo: expected one of ttft_ms, tpot_ms, e2el_ms or a statistic like p99_ttft_ms, "
            "got 'ttft'",
        ),
        ({"slo": {"ttft_ms": "5"}}, "slo: ttft_ms: expected a number > 0, got '5'"),
        ({"config": 5}, "config: expected an EngineConfig or knobs by name, got 5"),
        ({"seed": -1}, "seed: expected an integer >= 0, got -1"),
        ({"baseline": "x"}, "baseline: expected one of vllm; got 'x'"),
    ],
)
def test_what_is_no_argument_is_an_input_error(arguments: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"trace": TRACE, "policies": ["vllm"]}
    with pytest.raises(InputError) as error:
        compare(**{**usual, **arguments})
    assert str(error.value) == message


def test_rows_of_a_frame_may_lack_a_priority() -> None:
    frame = FRAME.assign(priority=np.where(np.arange(40) % 2, np.nan, -3))
    assert trace_of(frame).priority.tolist() == [-3, 0] * 20  # type: ignore[union-attr]
    assert trace_of(FRAME.assign(priority=0)).priority is None
    with pytest.raises(InputError, match="trace: priority: expected numbers, got object"):
        trace_of(FRAME.assign(priority="high"))
    with pytest.raises(InputError, match="frame: priority: expected integers in -2147483647"):
        trace_of(FRAME.assign(priority=0.5))


def test_a_policy_that_is_none_is_an_input_error() -> None:
    with pytest.raises(InputError, match="policy: expected a Policy or a name, got 5"):
        simulate(TRACE, A100, 5)  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InputError, match="expected"):
        simulate(TRACE, A100, "vllm", {"max_num_seqs": "many"})


def test_rows_of_a_frame_may_lack_a_timeout_and_classes_are_words() -> None:
    patience = np.where(np.arange(40) % 2, np.nan, 5000.0)
    frame = FRAME.assign(timeout_ms=patience)
    frame["class"] = pd.Series(["a", 2] * 20, dtype=object)
    found = compare(frame, policies=["vllm"], by="class")
    assert [group["group"] for group in found.document["results"][0]["groups"]] == ["2", "a"]
    with pytest.raises(InputError, match="on_error: expected one of fail, skip"):
        simulate(FRAME, A100, "vllm", on_error="x")  # type: ignore[arg-type]  # that is the point


def test_a_frame_may_hold_sessions_and_a_table_of_requests_is_no_such_frame() -> None:
    frame = pd.DataFrame(
        {
            "arrival": [0.0, np.nan, 1.0],
            "input_tokens": [4, 9, 5],
            "output_tokens": [3, 2, 2],
            "session": ["a", "a", None],
            "delay_ms": [np.nan, 500.0, np.nan],
        }
    )
    result = simulate(frame, A100, "vllm")
    assert result.trace.previous.tolist() == [-1, 0, -1]
    assert result.arrival[1] == result.finish[0] + 0.5
    assert simulate(result.requests, A100, "vllm").trace.delay is None
