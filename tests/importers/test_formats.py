"""Every format: recognised by its names, read with its units, failed rows counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmsched import importers
from llmsched.errors import InputError
from llmsched.importers import TraceOptions, formats, load, read
from llmsched.importers._detect import own_formats

FIXTURES = Path(__file__).parents[1] / "fixtures"

# file, format, arrivals in s, input tokens, output tokens, ids, rows dropped
HAND_MADE = [
    ("native.jsonl", "native", [0, 0.2505, 1], [11, 700, 23], [3, 41, 7], "abc", 0),
    ("limits.jsonl", "native", [0, 0.04, 0.095], [19, 260, 8], [4, 77, 15], "012", 0),
    ("mooncake.jsonl", "native", [0, 0, 3], [513, 1025, 90], [61, 19, 5], "012", 0),
    ("azure.csv", "azure", [0, 2e-7, 1.5000001], [120, 64, 4000], [9, 30, 211], "012", 0),
    ("azure_2024.csv", "azure", [0, 0.99007], [812, 90], [44, 5], "01", 0),
    ("azure_lmm.csv", "azure-lmm", [0, 0.25], [2100, 80], [70, 12], "01", 0),
    ("burstgpt.csv", "burstgpt", [0, 12], [300, 55], [21, 180], "02", 1),
    ("burstgpt3.csv", "burstgpt3", [0, 7], [410, 77], [33, 18], "01", 1),
    ("bailian.jsonl", "bailian", [0, 2.5], [33, 130], [90, 20], ["70", "71"], 0),
    ("vidur.csv", "vidur", [0, 0.75, 1.25], [374, 91, 10], [44, 16, 2], "021", 0),
    ("vidur_lengths.csv", "vidur-lengths", [0, 0], [900, 17], [30, 34], "01", 0),
    ("splitwise.csv", "splitwise", [0, 0.25], [512, 64], [16, 128], ["40", "41"], 0),
    ("vllm_bench.json", "vllm-bench", [0, 0.125, 0.25], [12, 31, 40], [6, 14, 8], "031", 1),
    ("vllm_bench_indented.json", "vllm-bench", [0, 0], [5, 6], [7, 8], "01", 0),
    ("sglang_bench.jsonl", "sglang-bench", [0, 0, 0], [100, 7, 60], [50, 9, 30], "012", 0),
    ("aiperf_export.jsonl", "aiperf-export", [0, 2e-7], [81, 64], [5, 12], ["q2", "q1"], 1),
    ("openai_batch.jsonl", "openai-batch", [0, 0], [14, 30], [6, 3], ["second", "first"], 2),
    ("llmservingsim.jsonl", "llmservingsim", [0, 1e-9], [900, 40], [25, 8], "01", 0),
    (
        *("llmservingsim_requests.jsonl", "llmservingsim-requests"),
        *([0, 0.25], [20, 21], [4, 5], ["r-0", "r-1"], 0),
    ),
    ("guidellm_v03.json", "guidellm", [0.0, 0.5], [64, 72], [10, 12], ["r0", "r1"], 1),
    ("inference_perf_v04.json", "inference-perf", [0.0, 1.25], [100, 120], [3, 2], ["0", "2"], 1),
    ("inference_perf.json", "inference-perf", [0.0, 1.25], [100, 120], [3, 2], ["0", "2"], 1),
    ("llmperf.json", "llmperf", [0.0], [500], [100], ["0"], 1),
    ("trtllm_dataset.jsonl", "trtllm-dataset", [0.0, 0.0], [4, 2], [16, 8], ["0", "1"], 0),
    ("trtllm_gptmanager.json", "trtllm-dataset", [0.0, 0.0], [4, 2], [10, 6], ["0", "1"], 0),
    ("trtllm_requests.json", "trtllm-requests", [0.0, 0.5], [100, 120], [5, 4], ["1", "2"], 0),
    (
        "otlp.jsonl",
        "otlp",
        [0.0, 2.5],
        [100, 200],
        [10, 20],
        [f"{1:032x}:{1:016x}", f"{1:032x}:{3:016x}"],
        1,
    ),
    ("litellm.json", "litellm", [0.0, 3.25], [100, 200], [10, 30], ["chatcmpl-1", "chatcmpl-3"], 1),
    ("litellm.csv", "litellm", [0.0, 3.25], [100, 200], [10, 30], ["chatcmpl-1", "chatcmpl-3"], 1),
    ("kv_cache_tester.csv", "kv-cache-tester", [0.0], [200], [9], ["0"], 1),
    (
        "llmservingsim_output.csv",
        "llmservingsim-output",
        [0.0, 0.5],
        [100, 60],
        [3, 2],
        ["0", "1"],
        0,
    ),
    (
        "openai_batch_mixed.jsonl",
        "openai-batch",
        [0.0, 0.0, 0.0],
        [100, 200, 300],
        [10, 20, 1],
        ["a", "b", "c"],
        4,
    ),
    (
        "aiperf_export_2026.jsonl",
        "aiperf-export",
        [0.0, 2.0],
        [500, 650],
        [50, 20],
        ["x0-0", "x0-1"],
        2,
    ),
    (
        "servegen.jsonl",
        "servegen",
        [0.0, 0.0, 0.0, 0.0],
        [61, 54, 70, 446],
        [2370, 2031, 1500, 99],
        ["0", "1", "2", "3"],
        0,
    ),
    ("chutes.csv", "chutes", [0.0, 1.125], [512, 2048], [128, 256], ["i0", "i1"], 0),
    (
        "multi_round_qa.csv",
        "multi-round-qa",
        [0.0, 0.75, 10.25],
        [20100, 20110, 20230],
        [100, 100, 98],
        ["0", "2", "1"],
        0,
    ),
    ("baseten.csv", "baseten", [0.0, 2.5], [640, 120], [32, 8], ["0", "2"], 1),
    ("requests.csv", "requests", [0.0, 1.25], [70, 80], [4, 6], ["a", "b"], 0),
    ("frame.csv", "frame", [0.0, 2.5], [10, 30], [20, 40], ["0", "1"], 0),
    (
        "native_sessions.jsonl",
        "native",
        [0, 0.25, 0.5, 2],
        [90, 8, 40, 150],
        [30, 2, 9, 20],
        ["a1", "c", "b1", "a2"],
        0,
    ),
    (
        "aiperf_sessions.jsonl",
        "aiperf-sessions",
        [0, 0.2505, 1.5],
        [100, 80, 50],
        [10, 8, 5],
        "021",
        0,
    ),
    (
        "llmservingsim_sessions.jsonl",
        "llmservingsim",
        [0, 1, 1.3, 2.5],
        [100, 50, 70, 30],
        [10, 5, 6, 3],
        "0123",
        0,
    ),
    ("weka.json", "weka", [0, 1, 2], [200, 260, 300], [10, 12, 14], "013", 1),
]

# file, the session of each request, its delay in s
SESSIONS = [
    ("native_sessions.jsonl", ["a", "", "b", "a"], [0, 0, 0, 2]),
    ("aiperf_sessions.jsonl", ["a", "b", "a"], [0, 0, 1.5]),
    ("llmservingsim_sessions.jsonl", ["", "s1", "s1", ""], [0, 0, 0.3, 0]),
    ("weka.json", ["trace_x1"] * 3, [0, 1, 1]),
]

# file, run, arrivals in s, input tokens, output tokens, rows dropped
RUNS = [
    ("vllm_bench_runs.jsonl", 1, [0, 0.5], [10, 20], [4, 3], 1),
    ("vllm_bench_runs.jsonl", 2, [0, 0.5], [50, 60], [2, 3], 0),
    ("sglang_bench_runs.jsonl", 1, [0, 0], [100, 200], [4, 5], 1),
    ("guidellm_runs.json", 1, [0, 0], [100, 110], [20, 30], 0),
    ("guidellm_runs.json", 2, [0, 0.75], [200, 210], [16, 24], 2),
    ("guidellm_runs.yaml", 2, [0, 0.75], [200, 210], [16, 24], 2),
]


def test_models_that_the_file_names_are_kept_each_once(tmp_path: Path) -> None:
    run = read(FIXTURES / "vllm_bench.json").trace
    assert len(run.models) == 1
    assert run.take([0]).models == run.models
    answer = (
        '{"custom_id": "%s", "response": {"body": '
        '{"model": %s, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}}}\n'
    )
    models = ['"b"', '"a"', '"b"', "null", "7"]
    path = tmp_path / "batch.jsonl"
    path.write_text("".join(answer % row for row in enumerate(models)))
    assert read(path).trace.models == ("b", "a")
    assert read(FIXTURES / "native.jsonl").trace.models == ()


@pytest.mark.parametrize("case", HAND_MADE, ids=lambda case: case[0])
def test_a_fixture_is_recognised_and_every_number_is_kept(case: tuple[object, ...]) -> None:
    file, form, arrival, prompt, output, ids, dropped = case
    imported = read(FIXTURES / str(file))
    trace = imported.trace
    assert imported.format == form
    np.testing.assert_array_equal(trace.arrival, np.array(arrival))
    np.testing.assert_array_equal(trace.input_tokens, np.array(prompt))
    np.testing.assert_array_equal(trace.output_tokens, np.array(output))
    assert trace.id.tolist() == list(ids)  # type: ignore[call-overload]  # a str or a list
    assert sum(imported.dropped.values()) == dropped
    assert imported.rows == len(trace) + sum(imported.dropped.values())


def test_every_format_has_a_fixture() -> None:
    assert {form.name for form in formats()} == {case[1] for case in HAND_MADE}


@pytest.mark.parametrize("case", HAND_MADE, ids=lambda case: case[0])
def test_naming_the_format_changes_nothing(case: tuple[object, ...]) -> None:
    path = FIXTURES / str(case[0])
    assert load(path, TraceOptions(format=str(case[1]))).sha256 == load(path).sha256


def test_no_format_has_the_signature_of_another() -> None:
    signatures = [(form.kind, frozenset(s)) for form in formats() for s in form.signatures]
    assert len(set(signatures)) == len(signatures)


def test_columns_are_found_by_name_wherever_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("num_decode_tokens,note,arrived_at,num_prefill_tokens\n5,x,2.0,9\n6,y,3.5,8\n")
    trace = load(path)
    assert (trace.arrival.tolist(), trace.input_tokens.tolist()) == ([0, 1.5], [9, 8])
    assert trace.output_tokens.tolist() == [5, 6]


def test_the_unit_follows_the_format_and_not_the_magnitude(tmp_path: Path) -> None:
    names = '"input_length": 5, "output_length": 6'
    seconds = '"chat_id": %d, "parent_chat_id": -1, "turn": 1, "timestamp": %d, ' + names
    bailian, native = tmp_path / "bailian.jsonl", tmp_path / "native.jsonl"
    bailian.write_text("".join(f"{{{seconds % (i, t)}}}\n" for i, t in ((1, 0), (2, 60000))))
    native.write_text(f'{{"timestamp": 0, {names}}}\n{{"timestamp": 60000, {names}}}\n')
    assert load(bailian).arrival[1] == 60000
    assert load(native).arrival[1] == 60
    assert load(native, TraceOptions(time_unit="s")).arrival[1] == 60000


def test_epoch_nanoseconds_stay_integers(tmp_path: Path) -> None:
    trace = load(FIXTURES / "aiperf_export.jsonl")
    assert trace.arrival[1] == 200e-9  # a float64 of the epoch would be off by up to 128 ns


def test_a_run_without_arrays_names_the_option_that_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"date":"x","backend":"vllm","model_id":"m","num_prompts":1,"completed":1}')
    with pytest.raises(InputError, match=r"bench.json:1: input_lens: .*--save-detailed"):
        load(path)


def test_arrays_of_a_run_must_be_of_one_length(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"input_lens":[1,2],"output_lens":[3,4],"start_times":[0.5]}')
    with pytest.raises(InputError, match="start_times: expected 2 items, as input_lens has, got 1"):
        load(path)


def test_a_bad_item_of_a_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"input_lens":[1,-2],"output_lens":[3,4]}')
    message = r"bench.json:1: item 2: input_lens: expected an integer >= 1, got -2"
    with pytest.raises(InputError, match=message):
        load(path)


@pytest.mark.parametrize(("file", "session", "delay"), SESSIONS)
def test_turns_of_sessions_wait_for_the_answer_before(
    file: str, session: list[str], delay: list[float]
) -> None:
    trace = load(FIXTURES / file)
    assert trace.session is not None
    assert trace.delay is not None
    assert (trace.session.tolist(), trace.delay.tolist()) == (session, delay)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('"delay_ms": 5', "2: session: expected the name of the session, beside a delay, got"),
        ('"session": "b", "delay_ms": 5', "2: timestamp: expected a finite time of a first turn"),
        ('"session": "c", "timestamp": 1, "delay_ms": -1', "2: delay_ms: expected a finite number"),
        ('"session": "c", "timestamp": 1, "turn": -1', "2: turn: expected an integer >= 0, got -1"),
        (
            '"session": "a", "timestamp": 9',
            "2: session 'a': expected delays of all turns after the first, or of none",
        ),
    ],
)
def test_turns_that_make_no_session_are_refused_by_line(
    row: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.jsonl"
    lengths = '"input_length": 5, "output_length": 6'
    rows = ['"session": "a", "timestamp": 0', row, '"session": "a", "delay_ms": 1']
    path.write_text("".join(f"{{{one}, {lengths}}}\n" for one in rows))
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:{problem}")


def test_turns_whose_first_one_is_left_out_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lengths = '"input_length": 5, "output_length": %d'
    rows = [
        ('"session": "a", "timestamp": 0', 0),
        ('"session": "a", "delay_ms": 9', 6),
        ('"session": "b", "timestamp": 4', 6),
        ('"session": "b", "delay_ms": 3', 6),
    ]
    path.write_text("".join(f"{{{one}, {lengths % n}}}\n" for one, n in rows))
    imported = read(path)
    assert imported.trace.session is not None
    assert (imported.trace.id.tolist(), imported.rows) == (["2", "3"], 4)
    assert imported.dropped == {
        "output_length is 0": 1,
        "the first turn of the session was left out": 1,
    }


def test_places_in_a_session_are_given_to_all_its_turns_or_to_none(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lengths = '"input_length": 5, "output_length": 6'
    rows = ('"session": "a", "turn": 1, "timestamp": 0', '"session": "a", "delay_ms": 9')
    path.write_text("".join(f"{{{one}, {lengths}}}\n" for one in rows))
    with pytest.raises(InputError, match="2: turn: expected a number in every turn, or in none"):
        load(path)


def test_sessions_whose_rows_all_have_times_are_names_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"session": "a", "timestamp": %d, "input_length": 5, "output_length": 6}\n'
    path.write_text(row % 0 + row % 700)
    imported = read(path)
    assert (imported.trace.session, imported.trace.arrival.tolist()) == (None, [0, 0.7])
    assert imported.notes == (
        "sessions are names alone: all turns have times of their own and no delays, so that none "
        "waits for the answer before it",
    )


@pytest.mark.parametrize("case", RUNS, ids=lambda case: f"{case[0]}, {case[1]}")
def test_one_run_of_several_is_read_with_every_number(case: tuple[Any, ...]) -> None:
    file, run, arrival, prompt, output, dropped = case
    imported = read(FIXTURES / file, TraceOptions(run=run))
    trace = imported.trace
    assert (trace.arrival.tolist(), trace.input_tokens.tolist()) == (arrival, prompt)
    assert (trace.output_tokens.tolist(), sum(imported.dropped.values())) == (output, dropped)
    assert any(fact.value.startswith(f"{run} of 2: ") for fact in imported.facts)


def test_several_runs_are_listed_with_their_rates_and_counts_until_one_is_picked() -> None:
    with pytest.raises(InputError) as caught:
        load(FIXTURES / "guidellm_runs.json")
    assert str(caught.value) == (
        f"{FIXTURES}/guidellm_runs.json:1: expected one run, got 2 "
        "(1: at most 2 at once, 2 requests; 2: rate 2/s, 4 requests): --run K picks one"
    )
    with pytest.raises(InputError, match=r"run: expected one of 2 \(.*; got 3"):
        load(FIXTURES / "guidellm_runs.json", TraceOptions(run=3))
    with pytest.raises(InputError, match="run: expected 1, as it holds one; got 2"):
        load(FIXTURES / "azure.csv", TraceOptions(run=2))


def test_skip_keeps_the_first_run_and_counts_the_requests_of_the_others() -> None:
    imported = read(FIXTURES / "guidellm_runs.json", TraceOptions(on_error="skip"))
    assert imported.rows == 6
    assert imported.dropped == {"the run is another (2 runs, --run K picks)": 4}


def test_a_header_of_no_format_is_answered_by_the_option_that_names_its_columns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("arrived_at,num_prefill_tokens,decode\n0,1,2\n")
    with pytest.raises(InputError) as caught:
        load(path)
    columns = "arrival=arrived_at,input=num_prefill_tokens,output=decode"
    assert str(caught.value) == (
        f"{path}:1: header: expected those of a known format, got arrived_at, num_prefill_tokens, "
        "decode; there are no output lengths under the name of vidur, num_decode_tokens; "
        f"or say which is which: --columns {columns}"
    )
    assert load(path, TraceOptions(columns=columns)).output_tokens.tolist() == [2]


@pytest.mark.parametrize(
    ("file", "form", "requests", "dropped"),
    [
        ("aiperf_profile_export_HANDMADE.jsonl", "aiperf-export", 1, 1),
        ("azure_llm_2023_code_first5_crlf.csv", "azure", 5, 0),
        ("azure_lmm_2025_HANDMADE.csv", "azure-lmm", 2, 0),
        ("bailian_HANDMADE.jsonl", "bailian", 2, 0),
        ("burstgpt_1_bom_crlf.csv", "burstgpt", 68, 4),
        ("burstgpt_1_first72.csv", "burstgpt", 68, 4),
        ("burstgpt_3_api_rows.csv", "burstgpt3", 3, 1),
        ("burstgpt_3_first10.csv", "burstgpt3", 10, 0),
        ("llmservingsim_mixed_first5.jsonl", "llmservingsim", 5, 0),
        ("llmservingsim_vllm_requests_first5.jsonl", "llmservingsim-requests", 5, 0),
        ("mooncake_conversation_first5.jsonl", "native", 5, 0),
        ("openai_batch_output_HANDMADE.jsonl", "openai-batch", 1, 1),
        ("sglang_bench_details_HANDMADE.jsonl", "sglang-bench", 2, 0),
        ("splitwise_sim_test_trace.csv", "splitwise", 3, 0),
        ("vidur_arxiv_first5.csv", "vidur-lengths", 5, 0),
        ("vidur_splitwise_conv_first5.csv", "vidur", 5, 0),
        ("vllm_bench_save_detailed_HANDMADE.json", "vllm-bench", 2, 1),
    ],
)
def test_a_real_sample_is_read(
    recorded: Path, file: str, form: str, requests: int, dropped: int
) -> None:
    imported = read(recorded / "formats" / file)
    assert (imported.format, len(imported.trace)) == (form, requests)
    assert sum(imported.dropped.values()) == dropped


NEW_FORMAT = """
from llmsched.importers._format import Format

FORMAT = Format(
    name="mine",
    about="a new format",
    kind="csv",
    signatures=(("when", "prompt", "answer"),),
    time="when",
    unit="us",
    input_tokens="prompt",
    output_tokens="answer",
)
"""


def test_a_new_importer_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(NEW_FORMAT)
    monkeypatch.setattr(importers, "__path__", [*importers.__path__, str(tmp_path)])
    formats.cache_clear()
    own_formats.cache_clear()
    try:
        (tmp_path / "trace.csv").write_text("answer,prompt,when\n3,4,0\n5,6,2000000\n")
        imported = read(tmp_path / "trace.csv")
        assert (imported.format, imported.trace.arrival.tolist()) == ("mine", [0, 2])
    finally:
        formats.cache_clear()
        own_formats.cache_clear()


@pytest.mark.parametrize(
    ("name", "text", "other"),
    [
        ("p.yaml", "# mine\nextends: llama3-8b-a100\n", "a hardware profile: --hardware FILE"),
        ("s.yaml", "schema_version: 1\ntrace: x\n", "a scenario: llmsched compare FILE"),
        ("r.json", '{"schema_version": 3, "trace": {}, "results": []}', "a result: llmsched rep"),
        ("p.json", '{"schema_version": 1, "slots": []}', "a plan: llmsched simulate TRACE --plan"),
    ],
)
def test_a_file_for_another_option_is_sent_there(
    name: str, text: str, other: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=f"{name}:\\d: expected a trace, got {other}"):
        load(path)


def test_a_trace_of_one_run_of_several_says_which() -> None:
    assert load(FIXTURES / "guidellm_runs.json", TraceOptions(run=2)).name == (
        "guidellm_runs.json, run 2"
    )
    assert load(FIXTURES / "vllm_bench.json").name == "vllm_bench.json"


def spans(*several: dict[str, str]) -> str:
    """Return a line of OTLP with these spans, each of 10 and 5 tokens."""
    usage = [
        {"key": f"gen_ai.usage.{name}_tokens", "value": {"intValue": tokens}}
        for name, tokens in (("input", "10"), ("output", 5))
    ]
    times = {"startTimeUnixNano": "1000000000", "endTimeUnixNano": "3000000000"}
    whole: list[dict[str, object]] = [{**times, "attributes": usage, **span} for span in several]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": whole}]}]}) + "\n"


def test_spans_are_told_apart_by_trace_and_id_and_those_without_an_id_are_kept(
    tmp_path: Path,
) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text(spans({"traceId": "1", "spanId": "a"}, {"traceId": "2", "spanId": "a"}, {}, {}))
    assert load(path).id.tolist() == ["1:a", "2:a", "2", "3"]


def test_a_span_inside_another_one_of_any_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    inner = {"traceId": "1", "spanId": "c", "parentSpanId": "p"}
    path.write_text(spans(inner) + spans({"traceId": "1", "spanId": "p"}))
    imported = read(path)
    assert (imported.trace.id.tolist(), imported.rows) == (["1:p"], 2)
    assert imported.dropped == {"another span around it has its tokens": 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"metadata": {}, "samples": [{"input_len": 5, "output_len": 6}, 7]}', "samples"),
        ('{"benchmarks": [7]}', "benchmarks"),
        ('{"benchmarks": [{"requests": {"successful": ["x"]}}]}', "successful"),
        ('{"resourceSpans": [7]}', "resourceSpans"),
    ],
)
def test_what_is_no_object_in_a_list_of_them_is_refused(
    text: str, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"t.json:1: {problem}: expected a list of objects"):
        load(path)


def test_a_key_that_stands_twice_is_refused_in_an_array_too(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"timestamp":0,"input_length":5,"output_length":6,"output_length":7}]')
    with pytest.raises(InputError, match=r't.json:1: row: expected every key once, got "output_le'):
        load(path)


def test_a_file_may_begin_with_a_later_turn(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lengths = '"input_length": 7, "output_length": 4'
    later = f'{{"session": "a", "turn": 1, "delay_ms": 1500, {lengths}}}'
    path.write_text(f'{later}\n{{"session": "a", "turn": 0, "timestamp": 0, {lengths}}}\n')
    imported = read(path)
    assert imported.format == "native"
    assert imported.trace.id.tolist() == ["1", "0"]


def test_with_skip_turns_that_make_no_session_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lengths = '"input_length": 5, "output_length": 6'
    turns = [
        (0, '"timestamp": 0'),
        (0, '"delay_ms": 8'),
        (1, '"delay_ms": 9'),
        (1, '"delay_ms": 7'),
    ]
    path.write_text(
        "".join(f'{{"session": "a", "turn": {n}, {time}, {lengths}}}\n' for n, time in turns)
    )
    with pytest.raises(InputError, match=r"t.jsonl:2: turn: expected 0 once in session 'a'"):
        load(path)
    imported = read(path, TraceOptions(on_error="skip"))
    assert (imported.trace.id.tolist(), imported.rows) == (["0", "2"], 4)
    assert imported.dropped == {"turns make no session": 2}
