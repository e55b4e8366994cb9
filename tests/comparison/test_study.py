"""From scenario to study: the matrix, overrides, policies, and what identifies a study."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from msgspec.structs import replace

from llmsched.comparison.axes import load_hardware
from llmsched.comparison.measure import measure
from llmsched.comparison.study import Run, prepare
from llmsched.documents.result import Cases
from llmsched.errors import InputError
from llmsched.hardware import load_profile
from llmsched.scenario import HardwareSource, Scenario, TraceSource
from tests.comparison.studies import small_study

PAPER = "llama65b-8gpu-paper"


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "t.jsonl"
    line = json.dumps({"timestamp": 0, "input_length": 3, "output_length": 4})
    path.write_text(f"{line}\n" * 3)
    return Scenario("s", (TraceSource(str(path)),), (HardwareSource(PAPER),))


def test_the_product_of_all_axes_in_order_with_labels_only_where_they_vary(
    scenario: Scenario,
) -> None:
    varied = replace(
        scenario,
        engine={"max_num_seqs": (2, 4), "block_size": (16,), "num_gpu_blocks": (None, 64)},
        lengths=("oracle", "mean"),
    )
    study = prepare(varied)
    assert [cell.name for cell in study.cells] == [
        f"{slots}, {blocks}, {lengths}"
        for slots in (2, 4)
        for blocks in ("no limit", 64)
        for lengths in ("oracle", "mean")
    ]
    assert study.cells[2].engine.num_gpu_blocks == 64
    assert study.cells[0].trace is study.cells[-1].trace  # loaded once
    assert prepare(scenario).cells[0].label == {}


def test_without_lengths_each_trace_decides_and_a_filter_still_picks(
    scenario: Scenario, tmp_path: Path
) -> None:
    row = {"timestamp": 0, "input_length": 3, "output_length": 4, "predicted_output_length": 5}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    both = replace(scenario, traces=(*scenario.traces, TraceSource(str(tmp_path / "p.jsonl"))))
    study = prepare(both)
    assert [(cell.name, cell.lengths) for cell in study.cells] == [("t", "oracle"), ("p", "trace")]
    assert [cell.name for cell in prepare(both, {"lengths": "tra*"}).cells] == ["p"]
    with pytest.raises(InputError, match="the filter leaves nothing to run"):
        prepare(both, {"lengths": "mean"})
    with pytest.raises(InputError, match=r"t\.jsonl carries no predicted_output_length$"):
        measure(prepare(replace(both, lengths=("trace",))), Run(0, 0, "ljf"))


def test_cases_of_errors_need_an_error_whatever_the_trace_has(scenario: Scenario) -> None:
    for lengths, got in (((), "none"), (("trace",), "trace")):
        cases = replace(scenario, cases=Cases(3, "lengths"), lengths=lengths)
        with pytest.raises(InputError, match=f"^draw: lengths: expected .* got {got}$"):
            prepare(cases)


def test_knobs_replace_those_of_the_profile(scenario: Scenario) -> None:
    assert prepare(scenario).cells[0].engine.max_num_seqs == 200
    changed = replace(scenario, engine={"max_num_seqs": (7,)})
    assert prepare(changed).cells[0].engine.max_num_seqs == 7


def test_an_override_changes_the_price_the_name_and_the_record() -> None:
    source = HardwareSource(PAPER, {"step_time": {"prefill": {"per_stage": 10.0}}}, "dear")
    changed, plain = load_hardware(source), load_profile(PAPER)
    assert changed.name == "dear"
    assert changed.step_time.prefill_setup == pytest.approx(0.010)
    assert changed.step_time.base(0, 5) == plain.step_time.base(0, 5)
    assert changed.provenance["overridden"] == {"step_time": {"prefill": {"per_stage": 10.0}}}
    assert changed.provenance["method"] == plain.provenance["method"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"step_time": {"prefil": {"per_stage": 1.0}}}, "prefil"),
        ({"step_time": {"decode_round": -1.0}}, "decode_round"),
        ({"steptime": {}}, "did you mean step_time"),
    ],
)
def test_a_bad_override_is_refused(override: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_hardware(HardwareSource(PAPER, override))


def test_without_policies_those_run_that_every_hardware_can_price(scenario: Scenario) -> None:
    assert "vllm" not in prepare(scenario).policies
    mixed = replace(scenario, hardware=(HardwareSource("llama2-70b-a100x8"),))
    assert "vllm" in prepare(mixed).policies
    both = replace(scenario, hardware=(*mixed.hardware, *scenario.hardware))
    assert "vllm" not in prepare(both).policies


def test_two_hardwares_of_one_name_stay_two_cells(scenario: Scenario) -> None:
    twice = replace(
        scenario, hardware=(HardwareSource(PAPER), HardwareSource(PAPER, {"name": "other"}))
    )
    assert [cell.name for cell in prepare(twice).cells] == [PAPER, f"{PAPER} #2"]


def test_unknown_trace_options_and_policies_are_refused(scenario: Scenario) -> None:
    (source,) = scenario.traces
    with pytest.raises(InputError, match=r"^options\.limt: expected one of .*did you mean limit"):
        prepare(replace(scenario, traces=(replace(source, options={"limt": 3}),)))
    with pytest.raises(InputError, match="nope"):
        prepare(replace(scenario, policies=("nope",)))


def test_tasks_are_ordered_and_a_study_pickles() -> None:
    study = small_study()
    assert list(study.runs()) == [Run(0, 0, "fcfs"), Run(0, 0, "ljf")]
    again = pickle.loads(pickle.dumps(study))
    assert again.identity() == study.identity()


def test_a_bootstrap_of_sessions_is_refused_and_other_cases_are_drawn() -> None:
    chats = {"requests": 9, "input_length": "fixed:3", "output_length": "fixed:4"}
    source = TraceSource(
        generate={**chats, "turns": "fixed:3", "delay_ms": "fixed:9"}, name="chats"
    )
    scenario = Scenario("s", (source,), (HardwareSource(PAPER),))
    with pytest.raises(InputError) as error:
        prepare(replace(scenario, cases=Cases(3)))
    assert str(error.value) == (
        "draw: expected lengths, as turns of sessions follow each other, got bootstrap of chats"
    )
    study = prepare(replace(scenario, cases=Cases(3, draw="synthetic"), policies=("fcfs",)))
    assert measure(study, Run(0, 1, "fcfs"))["sessions"] == 3
