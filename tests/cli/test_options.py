"""What commands share: how option texts become values, and values output."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import pytest

from llmsched.cli import inputs, options, output
from llmsched.cli.reading import TraceArgument
from llmsched.errors import InputError


def test_a_knob_is_read_as_what_it_looks_like() -> None:
    texts = ["watermark=0.5", "max-num-seqs=8", "victim=longest_remaining", "num_gpu_blocks=none"]
    assert inputs.parse_knobs(texts) == {
        "watermark": 0.5,
        "max_num_seqs": 8,
        "victim": "longest_remaining",
        "num_gpu_blocks": None,
    }
    assert inputs.parse_knobs(None) == {}
    assert inputs.parse_knobs(["reserve=none"]) == {"reserve": "none"}  # a name, not "no limit"


@pytest.mark.parametrize("text", ["", "watermark", "speed=2", "=1"])
def test_a_knob_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^--engine: expected KNOB=VALUE with one of max_num_seq"):
        inputs.parse_knobs([text])


def test_an_objective_is_limits_by_metric() -> None:
    assert inputs.parse_slo("ttft_ms=200,tpot_ms=0.5") == {"ttft_ms": 200.0, "tpot_ms": 0.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected ttft_ms=MS or tpot_ms=MS or e2el_ms=MS, got ''"),
        ("ttft=200", r"expected ttft_ms=MS .*, got 'ttft=200'"),
        ("ttft_ms=0", r"expected ttft_ms=MS .*, got 'ttft_ms=0'"),
        ("ttft_ms=inf", r"expected ttft_ms=MS .*, got 'ttft_ms=inf'"),
        ("ttft_ms=nan", r"expected ttft_ms=MS .*, got 'ttft_ms=nan'"),
        ("ttft_ms=1,ttft_ms=2", r"expected one limit on ttft_ms, got two"),
    ],
)
def test_a_limit_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"^--slo: {message}$"):
        inputs.parse_slo(text)


def test_only_what_was_given_counts() -> None:
    assert inputs.given(a=None, b=0, c=False, d="") == {"b": 0, "c": False, "d": ""}


def test_a_profile_that_nobody_named_follows_from_the_trace() -> None:
    assert inputs.choose_hardware(None, None) == (inputs.PAPER_HARDWARE, "default")
    assert inputs.choose_hardware(None, inputs.PAPER_TRACE) == (inputs.PAPER_HARDWARE, "default")
    assert inputs.choose_hardware(None, "my.jsonl") == (inputs.ASSUMED_HARDWARE, "assumed")
    assert inputs.choose_hardware("mine.yaml", "my.jsonl") == ("mine.yaml", "named")


def test_a_file_of_ones_own_that_is_called_like_the_default_trace_is_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(inputs.PAPER_TRACE).write_text("")
    assert inputs.choose_hardware(None, inputs.PAPER_TRACE) == (inputs.ASSUMED_HARDWARE, "assumed")


def test_the_assumed_profile_is_fitted_and_runs_every_policy() -> None:
    profile, _ = options.Engine().load("my.jsonl")
    assert profile.provenance["status"] == "fitted"
    assert profile.step_time.mixed


def test_a_result_ends_with_one_line_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output.emit("one")
    output.emit("two\n")
    assert capsys.readouterr().out == "one\ntwo\n"
    output.emit("three", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "three\n"


def test_a_knob_is_given_once() -> None:
    with pytest.raises(InputError, match=r"^--engine: expected one value of watermark, got two$"):
        inputs.parse_knobs(["watermark=0.1", "watermark=0.2"])
    message = r"^--engine: expected one value of block_size, got another by --block-size$"
    with pytest.raises(InputError, match=message):
        options.Engine(engine=["block-size=8"], block_size=16).changes  # noqa: B018 (it raises)
    both = options.Engine(engine=["watermark=0.1"], block_size=16).changes
    assert both == {"block_size": 16, "watermark": 0.1}


def test_a_command_with_groups_of_options_is_one_with_all_of_their_options() -> None:
    seen: list[object] = []

    def command(*, trace: TraceArgument = None, knobs: options.Knobs) -> None:
        seen.extend((trace, knobs))

    spelt = options.grouped(command)
    names = ["trace", "max_num_seqs", "max_num_batched_tokens", "block_size", "num_gpu_blocks"]
    assert list(signature(spelt).parameters) == names
    spelt(**(dict.fromkeys(names) | {"trace": "a.jsonl"}))
    assert seen == ["a.jsonl", options.Knobs()]
