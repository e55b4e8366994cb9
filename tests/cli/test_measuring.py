"""Of which requests the metrics are: --by, --warmup, --window, limits of classes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]

PROFILE = """\
schema_version: 1
name: hand
engine: {max_num_seqs: 64, max_num_batched_tokens: 4096}
step_time: {kind: affine, unit: ms, per_step: 10, per_prefill_token: 0.1}
"""


def line(id: str, at: int, prompt: int, output: int, of: str) -> str:
    fields = {"id": id, "timestamp": at, "input_length": prompt, "output_length": output}
    return json.dumps({**fields, "class": of}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A long prompt of 419.6 ms a chunk and two short ones behind it; `a:b=c` is a class."""
    text = line("long", 0, 4096 * 2, 2, "long")
    text += line("s0", 10, 100, 10, "a:b=c") + line("s1", 10, 100, 10, "a:b=c")
    (tmp_path / "t.jsonl").write_text(text)
    (tmp_path / "hand.yaml").write_text(PROFILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


HAND = ("t.jsonl", "--hardware", "hand.yaml")
VLLM = (*HAND, "--policy", "vllm")
# Two chunks of 4,096 tokens end at 839.2 ms; the next step has both short prompts and a round of
# the long one: 10 + 20 ms.
LONG, SHORT = 839.2, 839.2 + 30 - 10


def simulated(llmsched: Run, *options: object) -> dict[str, Any]:
    outcome = llmsched("simulate", *VLLM, *options, "--format", "json")
    assert outcome.code == 0, outcome.err
    return dict(json.loads(outcome.out))


def test_each_class_has_a_row_of_its_own(llmsched: Run, folder: Path) -> None:
    document = simulated(llmsched, "--by", "class")
    (row,) = document["results"]
    found = {group["group"]: group["mean_ttft_ms"] for group in row["groups"]}
    assert found == pytest.approx({"a:b=c": SHORT, "long": LONG}, rel=1e-12)
    assert document["by"] == "class"
    assert row["groups"][0]["makespan_s"] is None


def test_without_the_option_a_document_has_nothing_of_it(llmsched: Run, folder: Path) -> None:
    document = simulated(llmsched)
    assert not {"by", "warmup", "window"} & document.keys()
    assert not {"groups", "objectives"} & document["results"][0].keys()
    same = simulated(llmsched, "--warmup", 0)
    assert same == document


def test_the_table_has_a_second_one_by_length_of_prompt(llmsched: Run, folder: Path) -> None:
    outcome = llmsched("simulate", *VLLM, "--by", "input:512")
    rows = [text.split() for text in outcome.out.splitlines()]
    assert ["vllm", "1-511", "2", "859", "859", "10.00", "10.00", "949", "949"] in rows
    assert ["512+", "1", "839", "839", "30.00", "30.00", "869", "869"] in rows
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_limits_of_a_class_whose_name_has_colons(llmsched: Run, folder: Path) -> None:
    slo = "ttft_ms=100,a:b=c:ttft_ms=1000,a:b=c:p99_ttft_ms=500,long:p99_ttft_ms=900"
    (row,) = simulated(llmsched, "--slo", slo)["results"]
    assert row["slo_attainment"] == 2 / 3
    assert [group["slo_attainment"] for group in row["groups"]] == [1.0, 0.0]
    assert [(one["objective"], one["met"]) for one in row["objectives"]] == [
        ("a:b=c:p99_ttft_ms", False),
        ("long:p99_ttft_ms", True),
    ]
    shown = llmsched("simulate", *VLLM, "--slo", slo).out
    assert "✗ missed vllm: a:b=c:p99_ttft_ms <= 500, 859.2 ms\n" in shown


@pytest.mark.parametrize("command", ["simulate", "compare"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--slo", "x:ttft_ms=1"), "--slo: class: expected one of a:b=c, long; got 'x'"),
        (("--slo", "ttft_ms=0"), "--slo: expected ttft_ms=MS or tpot_ms=MS or e2el_ms=MS, got 'tt"),
        (("--by", "klass"), "--by: expected class, input, output, or a length with edges"),
        (("--warmup", 3), "--warmup: expected some of the requests to count (3, the last after"),
        (("--window", "5"), "--window: expected A..B, in seconds or with a unit; got '5'"),
        (("--warmup", 1, "--window", "0..1"), "--warmup: expected without a window"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    llmsched: Run, folder: Path, command: str, options: tuple[object, ...], message: str
) -> None:
    outcome = llmsched(command, *HAND, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"llmsched: {message}" in outcome.err


def test_a_class_alone_sends_the_reader_to_by(llmsched: Run, folder: Path) -> None:
    said = "--class leaves out all other requests: for its metrics among them, --by class\n"
    assert said in llmsched("simulate", *VLLM, "--class", "long").err
    assert said in llmsched("compare", *HAND, "--class", "long", "--policies", "vllm").err
    assert said not in llmsched("simulate", *VLLM, "--class", "long", "--by", "class").err


def test_the_first_wave_of_a_closed_loop_is_said_and_left_out(llmsched: Run, folder: Path) -> None:
    rows = "".join(line(f"u{i}", 0, 1000, 10 * (1 + i % 3), "") for i in range(30))
    (folder / "t.jsonl").write_text(rows)
    closed = ("--concurrency", 3, "--max-num-batched-tokens", 1000)
    note = "p99 TTFT is the first wave: --warmup 3 leaves out those requests\n"
    assert note in llmsched("simulate", *VLLM, *closed).err
    assert note in llmsched("compare", *HAND, *closed, "--policies", "vllm").err
    outcome = llmsched("simulate", *VLLM, *closed, "--warmup", 3)
    assert note not in outcome.err
    assert "metrics of requests 4..30" in " ".join(outcome.out.split())


def test_requests_have_a_column_of_their_class(llmsched: Run, folder: Path) -> None:
    llmsched("simulate", *VLLM, "--requests", "r.csv")
    with (folder / "r.csv").open() as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["long", "a:b=c", "a:b=c"]


def test_a_comparison_has_groups_in_every_format(llmsched: Run, folder: Path) -> None:
    compare = ("compare", *HAND, "--policies", "vllm,fcfs", "--by", "class")
    rows = list(csv.DictReader(io.StringIO(llmsched(*compare, "--format", "csv").out)))
    assert [(row["policy"], row["group"]) for row in rows] == [
        (policy, group) for policy in ("vllm", "fcfs") for group in ("", "a:b=c", "long")
    ]
    assert float(rows[1]["mean_ttft_ms"]) == pytest.approx(SHORT, rel=1e-12)
    assert "| vllm | a:b=c | " in llmsched(*compare, "--format", "markdown").out
    assert "vllm    a:b=c " in llmsched(*compare).out
    assert llmsched(*compare, "--output", "r.json").code == 0
    again = llmsched("report", "r.json", "--format", "csv")
    assert list(csv.DictReader(io.StringIO(again.out))) == rows


def test_a_gate_on_a_class_fails_by_that_class(llmsched: Run, folder: Path) -> None:
    compare = ("compare", *HAND, "--policies", "vllm", "--fail-on")
    failed = llmsched(*compare, "a:b=c:p99_ttft_ms:850")
    assert failed.code == 1
    assert "✗ FAILED vllm (a:b=c:p99_ttft_ms:850): p99_ttft_ms 859.2 ms, limit at" in failed.out
    assert llmsched(*compare, "vllm:long:p99_ttft_ms:850").code == 0
    unknown = llmsched(*compare, "x:p99_ttft_ms:850")
    assert unknown.code == 2
    assert "expected one of vllm, a:b=c, long; got 'x'" in unknown.err


def test_results_of_other_requests_are_not_comparable(llmsched: Run, folder: Path) -> None:
    compare = ("compare", *HAND, "--policies", "vllm")
    assert llmsched(*compare, "--warmup", 1, "--output", "base.json").code == 0
    assert llmsched(*compare, "--warmup", 1, "--against", "base.json").code == 0
    other = llmsched(*compare, "--against", "base.json")
    assert other.code == 3
    assert "warmup: None here, 1 there" in other.err


def test_a_scenario_has_them_as_keys(llmsched: Run, folder: Path) -> None:
    (folder / "s.yaml").write_text(
        "schema_version: 1\nname: s\ntrace: t.jsonl\nhardware: hand.yaml\npolicies: [vllm]\n"
        "by: class\nwindow: 0..5ms\nslo: {'long:p99_ttft_ms': 900}\n"
    )
    outcome = llmsched("compare", "s.yaml", "--format", "json")
    document = json.loads(outcome.out)
    (row,) = document["results"]
    assert (document["by"], document["window"]) == ("class", "0..5ms")
    assert document["trace"]["counted"] == "metrics of requests 1..1"
    assert [group["group"] for group in row["groups"]] == ["long"]
    assert row["objectives"][0]["met"]
    outcome = llmsched("compare", "s.yaml", "--warmup", 1, "--by", "output", "--format", "json")
    document = json.loads(outcome.out)
    assert (document["warmup"], document.get("window"), document["by"]) == (1, None, "output")


def test_cases_have_means_of_groups(llmsched: Run, folder: Path) -> None:
    cases = ("--by", "class", "--cases", 3, "--policies", "vllm", "--format", "json")
    outcome = llmsched("compare", *HAND, *cases, "--resume", "rows.jsonl")
    (row,) = json.loads(outcome.out)["results"]
    assert {group["group"] for group in row["groups"]} <= {"a:b=c", "long"}
    assert llmsched("compare", *HAND, *cases, "--resume", "rows.jsonl").out == outcome.out
