"""Scenarios: the shipped ones, what may vary, and a table of bad files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from llmsched.documents.yaml import read_mapping
from llmsched.errors import InputError
from llmsched.files import shipped
from llmsched.finding import find_scenario, find_trace
from llmsched.metric import SLO_METRICS
from llmsched.scenario import load_scenario, parse_scenario
from tests.documents.faults import unclear_refusals

SCHEMA = Path(__file__).parents[1] / "docs" / "scenario.schema.json"

SMALL = """
schema_version: 1
name: small
trace: t.jsonl
hardware: llama65b-8gpu-paper
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(shipped("scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_scenario_loads_under_its_own_name(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    assert scenario.note
    assert find_scenario(path.stem) == path


def test_the_example_in_the_readme_loads(tmp_path: Path) -> None:
    readme = (shipped("scenarios") / "README.md").read_text()
    example = readme.split("```yaml\n")[1].split("```")[0]
    scenario = load_scenario(_written(tmp_path, example))
    assert scenario.engine == {"max_num_seqs": (64, 128)}
    assert scenario.gates == ("makespan_s:2%", "hybrid:slo_attainment:0.95")


@pytest.mark.parametrize("path", sorted(shipped("scenarios").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_scenario_keeps_to_the_schema(path: Path) -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(dict(read_mapping(path)))


def test_objectives_are_those_that_are_measured() -> None:
    limits = dict.fromkeys(SLO_METRICS, 1.0)
    document = {"schema_version": 1, "name": "s", "trace": "t", "hardware": "h", "slo": limits}
    assert parse_scenario(document, "s.yaml").slo == limits


def test_one_value_or_a_list_of_them(tmp_path: Path) -> None:
    one = load_scenario(_written(tmp_path, SMALL))
    assert [source.file for source in one.traces] == ["t.jsonl"]
    assert one.policies == ()
    many = load_scenario(
        _written(
            tmp_path,
            SMALL.replace("trace: t.jsonl", "trace: [a.jsonl, {file: b.jsonl, name: B}]")
            + "engine: {max_num_seqs: [1, 2], num_gpu_blocks: [null, 100]}\n"
            + "lengths: [oracle, 'noisy:0.3']\n",
        )
    )
    assert [source.name for source in many.traces] == [None, "B"]
    assert many.engine == {"max_num_seqs": (1, 2), "num_gpu_blocks": (None, 100)}
    assert many.lengths == ("oracle", "noisy:0.3")


def test_files_are_looked_for_beside_the_scenario_first(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("")
    scenario = load_scenario(_written(tmp_path, SMALL))
    assert scenario.traces[0].file == str(tmp_path / "t.jsonl")
    assert scenario.hardware[0].profile == "llama65b-8gpu-paper"


def test_shipped_traces_have_names_and_files_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_trace("gsm8k-llama65b") == str(shipped("traces", "gsm8k-llama65b.jsonl"))
    packed = shipped("traces", "azure-llm-2023-conv.jsonl.gz")
    assert find_trace("azure-llm-2023-conv") == str(packed)
    assert find_trace("other.jsonl") == "other.jsonl"
    assert find_trace("-") == "-"
    Path("gsm8k-llama65b").write_text("")
    assert find_trace("gsm8k-llama65b") == "gsm8k-llama65b"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("polices: [fcfs]", "polices: expected one of .*unknown key .did you mean policies"),
        ("engine: {max_num_seq: 4}", r"engine\.max_num_seq: expected .*did you mean max_num_seqs"),
        ("engine: {max_num_seqs: 0}", r"engine\.max_num_seqs: expected an integer >= 1, got 0"),
        ("engine: {max_num_seqs: [4, x]}", r"engine\.max_num_seqs.1.: expected an integer >= 1"),
        ("engine: {max_num_seqs: []}", r"engine\.max_num_seqs: expected a list of at least one"),
        (
            "engine: {watermark: half}",
            r"engine\.watermark: expected a number in .0, 1. or a list, got 'half'",
        ),
        ("engine: [4]", "engine: expected a mapping"),
        ("policies: [fcfs, 4]", r"policies\[1\]: expected a text, got 4"),
        ("policies: [fcfs, fcfs]", "policies: expected each value once"),
        ("policies: []", "policies: expected a list of at least one"),
        ("seed: -1", "seed: expected an integer >= 0"),
        ("seed: 1.5", "seed: expected an integer >= 0"),
        ("cases: 100", "cases: expected a mapping"),
        ("cases: {count: 1}", r"cases\.count: expected an integer >= 2"),
        ("cases: {count: 9, draw: rows}", r"cases\.draw: expected one of bootstrap"),
        ("slo: {ttft_ms: fast}", r"slo\.ttft_ms: expected a number"),
        ("published: [{policy: x}]", r"published\[0\]\.metrics: expected a mapping"),
        ("baseline: [fcfs]", "baseline: expected a text"),
        ("published: []", "published: expected a list of at least one, got .."),
        ("family: []", "family: expected a list of at least one, got .."),
        ("gates: []", "gates: expected a list of at least one, got .."),
        ("lengths: []", "lengths: expected a list of at least one, got .."),
        ("lengths: [oracle, oracle]", "lengths: expected each value once, got 'oracle' twice"),
        (
            "engine: {max_num_seqs: [4, 8, 4]}",
            r"engine\.max_num_seqs: expected each value once, got 4",
        ),
        (
            "engine: {watermark: [0, 0.0]}",
            r"engine\.watermark: expected each value once, got 0.0 tw",
        ),
        (
            "engine: {max_num_seqs: [4, true]}",
            r"engine\.max_num_seqs.1.: expected an integer >= 1, got",
        ),
        ("engine: {watermark: .nan}", r"engine\.watermark: expected a finite number, got nan"),
        ("seed: true", "seed: expected an integer >= 0, got True"),
        ("cases: {count: true}", r"cases\.count: expected an integer >= 2, got True"),
        ("slo: {ttft_ms: true}", r"slo\.ttft_ms: expected a number > 0, got True"),
        ("slo: {ttft_ms: .inf}", r"slo\.ttft_ms: expected a finite number, got inf"),
        ("slo: {ttft: 9}", r"slo: expected one of ttft_ms, .*, got 'ttft'"),
        (
            "published: {policy: x, source: y, metrics: {makespan_s: -1}}",
            r"published\.metrics\.makespan_s: expected a number > 0, got -1",
        ),
        ("name: again", "name is given twice"),
        ("note: [", "expected YAML"),
    ],
)
def test_a_bad_scenario_is_refused_in_one_line_that_names_file_and_key(
    tmp_path: Path, line: str, message: str
) -> None:
    path = _written(tmp_path, f"{SMALL}{line}\n")
    with pytest.raises(InputError, match=message) as refused:
        load_scenario(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("trace: t.jsonl", "", "trace: expected a mapping, a text or a list, got nothing"),
        (
            "hardware: llama65b",
            "hardwear: llama65b",
            r"hardwear: expected one of .*, got an unknown key \(did you mean hardware\?\)$",
        ),
        ("trace: t.jsonl", "trace: []", "trace: expected a list of at least one"),
        ("trace: t.jsonl", "trace: 7", "trace: expected a mapping, a text or a list, got 7"),
        ("trace: t.jsonl", "trace: {name: x}", r"trace\.file: expected a text or generate"),
        ("trace: t.jsonl", "trace: [a, {fil: b}]", r"trace\[1\]\.fil: .*did you mean file"),
        (
            "trace: t.jsonl",
            "trace: {file: a, limit: 3}",
            r"trace\.limit: expected one of .*unknown",
        ),
        ("hardware: llama65b-8gpu-paper", "hardware: {profile: x, overide: {}}", "did you mean"),
        (
            "trace: t.jsonl",
            "trace: [t, {file: t}]",
            "trace: expected each value once, got 't' twice",
        ),
        (
            "hardware: llama65b-8gpu-paper",
            "hardware: [a, a]",
            "hardware: expected each value once, got 'a' twice",
        ),
        (
            "hardware: llama65b-8gpu-paper",
            "hardwares: x",
            r"hardwares: expected one of .*, got an unknown key .did you mean hardware.",
        ),
        (
            "trace: t.jsonl",
            "trace: {file: ''}",
            r"trace\.file: expected a text that is not empty",
        ),
        (
            "trace: t.jsonl",
            "trace: {file: t, generate: {}}",
            r"trace\.file: expected no file beside generate, got 't'",
        ),
        (
            "trace: t.jsonl",
            "trace: {file: t, concurrency: 2, plan: p}",
            r"trace\.concurrency: expected without a plan",
        ),
        (
            "trace: t.jsonl",
            "trace: {generate: {like: t}, options: {limit: 1}}",
            r"trace\.options: expected beside a file",
        ),
        (
            "trace: t.jsonl",
            "trace: {generate: {requests: 2, input_length: 'fixed:0', output_length: 'fixed:1'}}",
            r"trace\.generate\.input_length: expected a mean in",
        ),
        (
            "trace: t.jsonl",
            "trace: {generate: {like: t, arrivals: 'poisson:x'}}",
            r"trace\.generate\.arrivals: expected finite numbers",
        ),
        (
            "trace: t.jsonl",
            "trace: {generate: {like: t, prefixes: '3'}}",
            r"trace\.generate\.prefix_length: expected a distribution, beside prefixes",
        ),
        (
            "trace: t.jsonl",
            "trace: {generate: {like: t, prefixes: 'a', prefix_length: 'fixed:9'}}",
            r"trace\.generate\.prefixes: expected N or N:EXPONENT, got 'a'",
        ),
        (
            "trace: t.jsonl",
            "trace: [a, {file: b, options: {format: nope}}]",
            r"trace\[1\]\.options\.format: expected one of .*; got 'nope'",
        ),
        ("schema_version: 1", "schema_version: 2", "schema_version: expected 1, got 2"),
        ("schema_version: 1", "", "schema_version: expected 1, got nothing"),
        ("name: small", "name: ''", "name: expected a text"),
    ],
)
def test_a_scenario_without_its_main_keys_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_scenario(_written(tmp_path, SMALL.replace(old, new)))


def test_every_single_fault_is_refused_in_one_line_or_harmless() -> None:
    document = {
        **yaml.safe_load(SMALL),
        "note": "x",
        "trace": [
            {"file": "t", "name": "a", "options": {"speed": 2.0, "classes": ["c"]}, "plan": "p"},
            {"generate": {"requests": 4, "arrivals": "poisson:4", "like": "t"}, "concurrency": 3},
        ],
        "hardware": {"profile": "p", "override": {"step_time": {"per_step": 1}}, "name": "h"},
        "engine": {"max_num_seqs": [4, 8], "watermark": 0.5, "reserve": "none"},
        "policies": ["fcfs"],
        "slo": {"ttft_ms": 3},
        "gates": "makespan_s:2%",
        "cases": {"count": 5, "draw": "lengths"},
        "published": [{"policy": "p", "metrics": {"makespan_s": 3}, "source": "s"}],
        "family": [{"name": "m", "hardware": "h", "trace": {"file": "t"}}],
    }
    assert unclear_refusals(document, lambda one: parse_scenario(one, "f.yaml")) == set()


def test_a_scenario_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_scenario(tmp_path / "none.yaml")


def test_a_word_that_names_nothing_is_told_what_is_shipped() -> None:
    assert find_scenario("gsm8k-llama65b") is None  # a shipped trace
    assert find_scenario("none.jsonl") is None
    scenarios = r"a shipped scenario \(.*paper-gsm8k.*\)"
    traces = r"a shipped trace \(azure-llm-2023-code, azure-llm-2023-conv, .*\)"
    with pytest.raises(
        InputError,
        match=rf"^paper-gsmk: expected a trace file, {scenarios} or {traces}, got none of them$",
    ):
        find_scenario("paper-gsmk")
    with pytest.raises(
        InputError, match=rf"^gsm8k-llama: expected a trace file or {traces}, got neither$"
    ):
        find_trace("gsm8k-llama")
