"""Shipped profiles, files, and everything that is wrong with a file."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmsched.cli import main
from llmsched.documents.yaml import as_yaml, read_mapping
from llmsched.errors import InputError
from llmsched.hardware import load_profile, parse_profile, shipped_profiles
from llmsched.hardware.kinds import prices_mixed

AFFINE: dict[str, Any] = {
    "schema_version": 1,
    "name": "mine",
    "engine": {"max_num_seqs": 8},
    "step_time": {"kind": "affine", "unit": "ms", "per_step": 8.0, "per_decode_seq": 0.05},
}
TABLE = {
    "kind": "piecewise",
    "token_table": {"tokens": [1, 128, 129], "ms": [10.0, 12.0, 15.0]},
}
ROOFLINE = {"kind": "roofline", "family": "h100-graph"}
STAGES = {"kind": "stages", "decode_round": 68.9, "prefill": {"per_stage": 1.7, "per_token": 0.26}}


def _with(path: str, value: object, document: dict[str, Any] = AFFINE) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *parents, last = path.split(".")
    inner = changed
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[last] = value
    return changed


def _written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(as_yaml(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_loads_under_its_own_name_without_a_warning(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert {"status", "method", "missing"} <= set(profile.provenance)
    assert json.loads(json.dumps(profile.document)) == profile.document
    assert not caplog.records


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_saved_profile_says_whether_it_prices_mixed_steps(name: str) -> None:
    profile = load_profile(name)
    assert prices_mixed(dict(profile.document["step_time"])) == profile.step_time.mixed  # type: ignore[call-overload]  # a mapping, once read


@pytest.mark.parametrize("mixed", [True, False, None])
def test_mixed_steps_are_priced_unless_a_profile_says_otherwise(mixed: bool | None) -> None:
    step_time = AFFINE["step_time"] | ({} if mixed is None else {"mixed": mixed})
    profile = parse_profile({**AFFINE, "step_time": step_time}, "mine")
    assert prices_mixed(step_time) == profile.step_time.mixed == (mixed is not False)


@pytest.mark.parametrize("name", shipped_profiles())
def test_a_shipped_profile_has_sane_step_times(name: str) -> None:
    step_time = load_profile(name).step_time
    one, many = (step_time.step(0, 0, 0, n, 512 * n) for n in (1, 200))
    assert 5e-3 < one <= many < 6 * one
    assert 50e-3 < step_time.step(2048, 2048**2, 0, 0, 0) < 0.6


def test_shipped_profiles_carry_the_recorded_measurements_over(recorded: Path) -> None:
    originals = list(yaml.safe_load_all((recorded / "steps" / "profiles.yaml").read_text()))
    assert len(originals) == 15
    for original in originals:
        ours = load_profile(original["name"])
        if ours.step_time.kind != "roofline":  # refitted, see docs/accuracy.md
            assert ours.document["step_time"] == original["step_time"]


@pytest.mark.parametrize("name", shipped_profiles())
def test_shipped_kv_blocks_follow_from_the_memory_formula(name: str) -> None:
    profile = load_profile(name)
    document = _with("engine.num_gpu_blocks", "auto", dict(profile.document))
    if profile.engine.num_gpu_blocks is None:  # no device is known, hence no memory
        with pytest.raises(InputError, match="expected the sizes"):
            parse_profile(document, name)
        return
    computed = parse_profile(document, name).engine.num_gpu_blocks
    assert computed == pytest.approx(profile.engine.num_gpu_blocks, rel=1e-3)


def test_the_paper_profile_is_the_calibrated_one() -> None:
    profile = load_profile("llama65b-8gpu-paper")
    assert profile.engine.max_num_seqs == 200
    assert profile.engine.max_num_batched_tokens is None
    assert profile.engine.num_gpu_blocks is None
    assert profile.step_time.base(0, 200) == 0.068892343
    assert profile.step_time.prefill_setup == pytest.approx(0.00173432, rel=1e-15)
    assert not profile.step_time.mixed


def test_an_unknown_name_lists_the_closest() -> None:
    with pytest.raises(InputError, match="closest are llama65b-8gpu-paper"):
        load_profile("llama65b-paper")


def test_prices_are_milliseconds_and_missing_ones_are_zero(tmp_path: Path) -> None:
    profile = load_profile(_written(tmp_path / "mine.yaml", AFFINE))
    assert profile.step_time.base(100, 2) == pytest.approx(0.0081)
    assert profile.engine.num_gpu_blocks is None
    assert profile.provenance == {}


def test_a_float_without_a_point_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(as_yaml(AFFINE) + "  per_kv_token_decode: 3e-5\n", encoding="utf-8")
    assert load_profile(path).step_time.per_kv_token_decode == pytest.approx(3e-8)


def test_an_overhead_comes_on_top_of_a_table() -> None:
    bare = parse_profile(_with("step_time", TABLE), "x").step_time
    slow = _with("step_time", {**TABLE, "overhead": {"per_step": 2.0, "per_seq": 0.1}})
    assert parse_profile(slow, "x").step_time.base(0, 10) == pytest.approx(bare.base(0, 10) + 3e-3)


@pytest.mark.parametrize(
    ("document", "section"),
    [
        (AFFINE, "step_time"),
        (dict(load_profile("llama3-8b-a100").document), "step_time.overhead"),
        (dict(load_profile("llama2-70b-h200x8-analytic").document), "step_time.overhead"),
    ],
)
def test_steps_with_a_prefill_may_have_another_price_in_place_of_that_of_a_step(
    document: dict[str, Any], section: str
) -> None:
    same = _with(f"{section}.per_step", 2.0, document)
    own = _with(f"{section}.per_step_prefill", 5.0, same)
    plain, dearer = (parse_profile(each, "x").step_time for each in (same, own))
    assert dearer.base(9, 0) == pytest.approx(plain.base(9, 0) + 0.003)
    assert dearer.base(0, 9) == plain.base(0, 9)


def test_a_file_may_extend_a_shipped_profile(tmp_path: Path) -> None:
    own = {
        "extends": "llama3-8b-a100",
        "name": "mine",
        "engine": {"max_num_seqs": 64, "gpu_memory_utilization": 0.8, "num_gpu_blocks": "auto"},
        "step_time": {"overhead": {"per_step": 1.5}},
    }
    base = load_profile("llama3-8b-a100")
    mine = load_profile(_written(tmp_path / "mine.yaml", own))
    assert mine.step_time.base(0, 8) == pytest.approx(base.step_time.base(0, 8) + 1.5e-3)
    assert mine.engine.max_num_seqs == 64
    assert mine.engine.max_num_batched_tokens == base.engine.max_num_batched_tokens
    assert mine.engine.num_gpu_blocks == 23202
    assert mine.provenance["extends"] == "llama3-8b-a100"
    assert mine.provenance["base"] == base.provenance
    assert mine.provenance["fitted"] == base.provenance["fitted"]
    assert "extends" not in mine.document


def test_extending_with_another_kind_drops_the_inherited_prices(tmp_path: Path) -> None:
    step_time = {"kind": "affine", "per_step": 9.0}
    own = {"extends": "llama3-8b-a100", "name": "mine", "step_time": step_time}
    mine = load_profile(_written(tmp_path / "mine.yaml", own))
    assert mine.step_time.base(0, 8) == 0.009
    assert mine.document["step_time"] == step_time


def test_a_file_may_extend_a_file_beside_it(tmp_path: Path) -> None:
    _written(tmp_path / "base.yaml", AFFINE)
    own = {"extends": "base.yaml", "name": "fast", "step_time": {"per_step": 4.0}}
    assert load_profile(_written(tmp_path / "own.yaml", own)).step_time.base(0, 0) == 0.004


def test_a_roofline_records_the_efficiencies_of_its_family(tmp_path: Path) -> None:
    profile = load_profile("llama2-70b-h200x8-analytic")
    recorded = profile.document["step_time"]
    assert isinstance(recorded, dict)
    assert recorded["mfu"] == 0.845
    del recorded["family"]  # the numbers alone price the same steps
    again = load_profile(_written(tmp_path / "own.yaml", dict(profile.document)))
    assert again.step_time == profile.step_time


def test_files_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    a = _written(tmp_path / "a.yaml", {"extends": "b.yaml", "name": "a"})
    _written(tmp_path / "b.yaml", {"extends": "a.yaml", "name": "b"})
    with pytest.raises(InputError, match="extends: expected at most 8 files"):
        load_profile(a)


BAD_VALUES: list[tuple[str, object, str]] = [
    ("schema_version", 2, "schema_version: expected 1, got 2"),
    ("schema_version", True, "schema_version: expected 1, got True"),
    (
        "step_time.per_step",
        1e308,
        "step_time.per_step: expected a number <= 1000000000, got 1e.308",
    ),
    ("step_time.per_step", True, "step_time.per_step: expected a number >= 0, got True"),
    (
        "step_time.kind",
        "afine",
        "step_time.kind: expected one of stages, .*; got 'afine'",
    ),
    ("gpu.hbm_bandwidth", 1e308, "gpu.hbm_bandwidth: expected a number <= 1e.30, got 1e.308"),
    ("gpu.hbm_bandwidth", 1e-308, "gpu.hbm_bandwidth: expected a number >= 1, got 1e-308"),
    ("model.num_layers", 2**61, "model.num_layers: expected an integer <= 1152921504606846976"),
    ("engine.gpu_memory_utilization", 1.5, "gpu_memory_utilization: expected a number in .0, 1."),
    ("engine.watermark", float("nan"), "engine.watermark: expected a finite number, got nan"),
    ("provenance.fitted", None, "provenance.fitted: expected a mapping, got None"),
    ("name", "", "name: expected a text that is not empty, got ''"),
    ("step_tme", {}, "step_tme: expected one of .*, got an unknown key .did you mean step_time"),
    ("step_time", [1], r"step_time: expected a mapping, got \[1\]"),
    ("step_time.kind", "linear", "step_time.kind: expected one of stages, affine, piecewise, roof"),
    ("step_time.unit", "s", "step_time.unit: expected ms, got 's'"),
    ("step_time.per_step", -1.0, "step_time.per_step: expected a number >= 0, got -1.0"),
    ("step_time.per_step", float("nan"), "step_time.per_step: expected a finite number, got nan"),
    ("step_time.per_step", float("inf"), "step_time.per_step: expected a finite number, got inf"),
    ("step_time.per_step", "8 ms", "step_time.per_step: expected a number >= 0, got '8 ms'"),
    ("step_time.per_step", None, "step_time.per_step: expected a number >= 0, got None"),
    ("step_time.per_step", True, "step_time.per_step: expected a number >= 0, got True"),
    (
        "step_time.per_step_prefill",
        7.5,
        "step_time.per_step_prefill: expected at least 8, the per_step whose place it takes, got 7",
    ),
    (
        "step_time",
        {**TABLE, "overhead": {"per_step": 2.0, "per_step_prefill": 1.0}},
        "overhead.per_step_prefill: expected at least 2, the per_step whose place it takes, got 1",
    ),
    ("step_time.per_stp", 1.0, "step_time.per_stp: expected one of .* .did you mean per_step"),
    ("step_time.mixed", "no way", "step_time.mixed: expected true or false, got 'no way'"),
    ("step_time", {"kind": "affine"}, "step_time.kind: expected a decode round that takes some"),
    ("engine.max_num_seqs", 0, "engine.max_num_seqs: expected an integer >= 1, got 0"),
    ("engine.max_num_seqs", "many", "engine.max_num_seqs: expected an integer >= 1, got 'many'"),
    ("engine.watermark", "much", "engine.watermark: expected"),
    ("engine.max_seqs", 8, "engine.max_seqs: expected one of .*, got an unknown key"),
    ("engine.num_gpu_blocks", "auto", "engine.num_gpu_blocks: expected the sizes .* for auto"),
    ("model.num_layers", 0, "model.num_layers: expected an integer >= 1, got 0"),
    ("gpu.memory_gib", "80G", "gpu.memory_gib: expected a number > 0, got '80G'"),
    ("provenance", "measured", "provenance: expected a mapping, got 'measured'"),
    (
        "provenance",
        {"fitted": {"token": [1, 2]}},
        "provenance.fitted.token: expected one of .*, got an unknown key",
    ),
    *(
        (
            "provenance",
            {"fitted": {"tokens": ends}},
            re.escape(f"provenance.fitted.tokens{problem}"),
        )
        for ends, problem in (
            ([2, 1], ": expected two integers >= 0, the least first, got [2, 1]"),
            ([1], ": expected two integers >= 0, the least first, got [1]"),
            ([1, 2.5], "[1]: expected an integer >= 0, got 2.5"),
            ([-1, 2], "[0]: expected an integer >= 0, got -1"),
            ("1 to 2", ": expected a list, got '1 to 2'"),
        )
    ),
    ("provenance.error", float("nan"), "provenance.error: expected a finite number, got nan"),
    ("step_time", {**STAGES, "mixed": True}, "step_time.mixed: expected false .* got true"),
    ("step_time", {**STAGES, "prefill": {}}, "prefill.per_stage: expected a number >= 0, got noth"),
    ("step_time", {**STAGES, "decode_round": 0.0}, "decode_round: expected a number > 0, got 0.0"),
    ("step_time", {"kind": "piecewise"}, "step_time.token_table: expected a mapping, got nothing"),
    ("step_time", ROOFLINE, "gpu.peak_flops_bf16: expected a number .a roofline needs it., got no"),
    ("step_time", {**ROOFLINE, "family": "tpu"}, "step_time.family: expected one of a100-graph"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD_VALUES)
def test_a_bad_value_is_one_line_with_file_and_key(path: str, value: object, message: str) -> None:
    document = _with(path, value)
    if "family" in str(value) and "tpu" in str(value):
        document |= {"gpu": {"peak_flops_bf16": 1e15, "hbm_bandwidth": 1e12}, "model": _shape()}
    with pytest.raises(InputError, match=message) as caught:
        parse_profile(document, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")
    assert "\n" not in str(caught.value)


def _shape() -> dict[str, Any]:
    model = load_profile("llama3-8b-a100").model
    return {key: value for key, value in model.items() if key != "name"}


@pytest.mark.parametrize(
    ("tokens", "ms", "message"),
    [
        ([1, 2], [1.0], r"token_table.ms: expected 2 numbers, one a knot, got 1"),
        ([1, 1], [1.0, 2.0], r"tokens\[1\]: expected an integer above the one before, got 1"),
        ([0, 1], [1.0, 2.0], r"tokens\[0\]: expected an integer above the one before, got 0"),
        ([1, 2.5], [1.0, 2.0], r"tokens\[1\]: expected an integer above the one before, got 2.5"),
        ([1, 2], [2.0, 1.0], r"ms\[1\]: expected at least 2, the one before, got 1"),
        ([1, 2], [-1.0, 1.0], r"ms\[0\]: expected a number >= 0, got -1.0"),
        ([1, 2], [0.0, 1.0], r"ms\[0\]: expected a number > 0, got 0"),
        ([1, 2], [1.0, float("nan")], r"ms\[1\]: expected a finite number, got nan"),
        ([1, 2], [1.0, 1e308], r"ms\[1\]: expected a number <= 1000000000, got 1e"),
        ([], [], r"tokens: expected a list of at least one, got \[\]"),
    ],
)
def test_a_bad_table_is_refused(tokens: list[float], ms: list[float], message: str) -> None:
    table = {"kind": "piecewise", "token_table": {"tokens": tokens, "ms": ms}}
    with pytest.raises(InputError, match=message):
        parse_profile(_with("step_time", table), "mine.yaml")


@pytest.mark.parametrize("key", ["schema_version", "name", "step_time", "step_time.kind"])
def test_a_missing_key_is_named(key: str) -> None:
    document = copy.deepcopy(AFFINE)
    *parents, last = key.split(".")
    inner = document
    for parent in parents:
        inner = inner[parent]
    del inner[last]
    with pytest.raises(InputError, match=f"mine.yaml: {key}: expected .*, got nothing"):
        parse_profile(document, "mine.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", ":1: expected YAML"),
        ("a: 1\na: 2", ":2: expected YAML, got: a is given twice"),
        ("a: &x 1\nb: *x", ":2: expected YAML, got: aliases are not allowed"),
        ("a: !!python/name:os.system", "expected YAML"),
        ("1: 2", "expected YAML, got: a key must be a text"),
        ("- 1", "expected a mapping"),
        ("", "expected a mapping, got None"),
        ("a: 1\n---\nb: 2", "expected YAML"),
        ("[" * 1000, "expected YAML"),
        ("a: \x00", "expected YAML"),
    ],
)
def test_a_file_that_is_no_plain_mapping_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        read_mapping(path)
    assert str(caught.value).startswith(f"{path}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.yaml: cannot read: No such file"):
        load_profile(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"bytes.yaml: expected UTF-8 text"):
        load_profile(tmp_path / "bytes.yaml")


def test_a_profile_that_extends_another_is_shown_whatever_its_provenance_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "schema_version: 1\nname: mine\nextends: llama3-8b-a100\n"
        'provenance: {status: guess, method: "\\e[31mred", sources: [[a, b], c],\n'
        "  fitted: {tokens: [1, 2000]}}\n"
    )
    assert main(["hardware", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[31mred" in out
    assert "1 to 2,000" in out
