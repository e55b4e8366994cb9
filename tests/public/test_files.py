"""Files that people have: what each holds, counted by hand, or the one line that says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.conftest import Outcome

Run = Callable[..., Outcome]


class Held(NamedTuple):
    """What a trace holds; a span of None is not looked at."""

    requests: int
    input_tokens: int
    output_tokens: int
    span_s: float | None = None


READ = [
    # A clock in seconds, told by the option or by keys that only one format has.
    pytest.param("vllm_timed_trace_seconds.jsonl --time-unit s", Held(3, 139, 29, 61)),
    pytest.param("bailian_minimal.jsonl --trace-format bailian", Held(2, 621, 144, 1.386)),
    pytest.param("bailian_minimal.jsonl", Held(2, 621, 144, 1.386)),
    pytest.param("guidellm_mooncake_seconds.jsonl --time-unit s", Held(3, 45, 19, 0.4)),
    # Two of five rows are of the warm-up phase.
    pytest.param("aiperf_warmup_phase.jsonl", Held(3, 1800, 300, 1.25)),
    # Batch results: a failed row, other names of the usage, embeddings without an answer.
    pytest.param("openai_batch_status0.jsonl", Held(3, 400, 120)),
    pytest.param("openai_batch_responses_api.jsonl", Held(3, 400, 120)),
    pytest.param("openai_batch_embeddings.jsonl", Held(2, 320, 2)),
    # Three runs appended; one is picked.
    pytest.param("sglang_rate_sweep_appended.jsonl --run 3", Held(8, 3616, 108)),
    # Lengths without arrivals.
    pytest.param("servegen_offline_stat.jsonl --offline", Held(4, 631, 6000, 0)),
    pytest.param("aiperf_no_timestamp.jsonl --offline", Held(2, 1327, 78, 0)),
    # Any table, by naming its columns.
    pytest.param(
        "chutes_metadata.csv --columns arrival=started_at,input=it,output=ot",
        Held(2, 2560, 384, 1.125),
    ),
    pytest.param(
        "multi_round_qa.csv"
        " --columns arrival=launch_time,input=prompt_tokens,output=generation_tokens",
        Held(3, 60_440, 298, 10.25),
    ),
    pytest.param(
        "arrival_ms.csv --columns"
        " arrival=arrival_timestamp_ms:ms,input=input_token_num,output=output_token_num",
        Held(3, 450, 55, 1),
    ),
    # Known names in other dress: our own in a CSV, fewer columns, another separator or offset.
    pytest.param("native_names.csv", Held(3, 450, 55, 1)),
    pytest.param("burstgpt_three_cols.csv", Held(3, 1976, 524, 113)),
    pytest.param("azure_seconds_column.csv --time-unit s", Held(3, 1649, 208, 4.541877)),
    pytest.param("azure_tz_nocolon.csv", Held(2, 4561, 11, 1)),
    pytest.param("azure_semicolon.csv", Held(2, 770, 153, 4.314529)),
    pytest.param("trace_replayer_ns_string.jsonl --time-unit ns", Held(2, 3001, 104, 0.5)),
    # Reports of other benchmarks: what was completed, run by run.
    pytest.param("guidellm_v2_report.json --run 1", Held(2, 556, 192)),
    pytest.param("guidellm_v2_report.json --run 2", Held(3, 806, 228, 0.5)),
    pytest.param("inference_perf_per_request.json", Held(2, 812, 5, 1.25)),
    pytest.param("llmperf_individual.json", Held(2, 1100, 309, 0)),
    # Sessions: every turn is a request.
    pytest.param("aiperf_multiturn.jsonl", Held(3, 950, 120)),
    pytest.param("aiperf_multiturn_ts.jsonl", Held(3, 950, 120)),
    pytest.param("lss_agentic.jsonl", Held(2, 3054, 258)),
    pytest.param("weka_sessions.jsonl", Held(3, 3700, 510)),
    # Results that are read today.
    pytest.param("vllm_closed_loop_4.json", Held(60, 33_739, 924)),
    pytest.param("vllm_rate4_no_starts.json", Held(60, 33_739, 924, 0)),
    pytest.param("aiperf40_records.jsonl", Held(40, 16_780, 1200)),
    pytest.param("lss_measured_vllm.jsonl", Held(30, 32_982, 21_099)),
]


@pytest.mark.parametrize(("command", "held"), READ)
def test_a_file_holds_what_was_counted_by_hand(
    llmsched: Run, cases: Path, monkeypatch: pytest.MonkeyPatch, command: str, held: Held
) -> None:
    monkeypatch.chdir(cases / "files")
    outcome = llmsched("trace", "info", *command.split(), "--format", "json")
    assert outcome.code == 0, outcome.err
    facts = json.loads(outcome.out)
    counts = (facts["requests"], facts["total_input_tokens"], facts["total_output_tokens"])
    assert counts == held[:3]
    if held.span_s is not None:
        assert facts["span_s"] == pytest.approx(held.span_s, rel=1e-9)


SUMMARY = "summary|save-detailed|profile_export"

REFUSED = [
    pytest.param("servegen_offline_hash.jsonl --offline", "no output|output lengths"),
    pytest.param("headerless.csv", "header (line|row)|no header|without a header"),
    pytest.param("genai_perf_profile_export.json", "no token counts"),
    pytest.param("vllm_bench_v010_no_detail.json", SUMMARY),
    pytest.param("vllm_bench_throughput.json", SUMMARY),
    pytest.param("aiperf_aggregate.json", SUMMARY),
    # three runs of 4, 6 and 8 requests
    pytest.param("sglang_rate_sweep_appended.jsonl", r"\b4\b.*\b6\b.*\b8\b.*--run"),
]


@pytest.mark.parametrize(("command", "reason"), REFUSED)
def test_a_file_without_the_lengths_is_refused_in_one_line_that_says_why(
    llmsched: Run, cases: Path, monkeypatch: pytest.MonkeyPatch, command: str, reason: str
) -> None:
    monkeypatch.chdir(cases / "files")
    outcome = llmsched("trace", "info", *command.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    # not among the names that the line quotes from the file
    assert _search(reason, outcome.err.partition("; got ")[0])


NOTED = [
    # 32 and 5,000 requests a second: seconds read as milliseconds
    pytest.param("vllm_timed_trace_seconds.jsonl", "time-unit|block"),
    pytest.param("guidellm_mooncake_seconds.jsonl", "--time-unit s"),
    # how the run was paced
    pytest.param("vllm_closed_loop_4.json", "--concurrency 4"),
    pytest.param("vllm_rate4_no_starts.json", r"rate\D*4\b"),
    # 14 of 18 requests, not 2 of 6 lines
    pytest.param("sglang_rate_sweep_appended.jsonl --on-error skip", "14 of 18"),
]


@pytest.mark.parametrize(("command", "note"), NOTED)
def test_what_a_file_leaves_open_is_said(
    llmsched: Run, cases: Path, monkeypatch: pytest.MonkeyPatch, command: str, note: str
) -> None:
    monkeypatch.chdir(cases / "files")
    outcome = llmsched("trace", "info", *command.split())
    assert _search(note, outcome.err + outcome.out.partition("tokens      mean")[0])


def test_ids_of_small_blocks_are_not_written_as_large_ones(llmsched: Run, cases: Path) -> None:
    """Three ids for 42 tokens are 16-token blocks; the format written has blocks of 512."""
    trace = cases / "files" / "vllm_timed_trace_seconds.jsonl"
    outcome = llmsched("trace", "convert", trace, "-", "--to", "mooncake", "--time-unit", "s")
    assert outcome.code == 0
    assert "hash_ids" not in outcome.out


# What a line of a batch costs: requests, prompt tokens (None: not looked at), answer tokens.
PLANNED = [
    # an answer is asked for four times, or for each of two prompts
    pytest.param("batch_in_n4.jsonl", 5, None, 500),
    pytest.param("batch_in_prompt_list.jsonl", 2, None, 100),
    pytest.param("batch_in_null_mct.jsonl", 2, None, 150),
    pytest.param("batch_in_bom.jsonl", 2, None, 200),
    # prompts of 4 and 300 token ids
    pytest.param("batch_in_token_ids.jsonl", 2, 304, 100),
    pytest.param("batch_in_responses.jsonl", 2, None, 300),
]


@pytest.mark.parametrize(("file", "requests", "prompt", "answer"), PLANNED)
def test_a_batch_is_planned_for_what_its_lines_cost(
    llmsched: Run, cases: Path, file: str, requests: int, prompt: int | None, answer: int
) -> None:
    outcome = _plan(llmsched, cases / "files" / file, "--format", "json")
    assert outcome.code == 0, outcome.err
    trace = json.loads(outcome.out)["trace"]
    assert (trace["requests"], trace["output_tokens"]) == (requests, answer)
    assert prompt is None or trace["input_tokens"] == prompt


def test_tools_are_part_of_the_prompt_or_named_as_left_out(llmsched: Run, cases: Path) -> None:
    """The tools of the first line are 796 characters: 199 tokens beside the message's 11."""
    outcome = _plan(llmsched, cases / "files" / "batch_in_tools.jsonl", "--format", "json")
    counted = json.loads(outcome.out)["trace"]["input_tokens"] >= 200
    assert outcome.code == 0
    assert counted or "tools" in outcome.err


@pytest.mark.parametrize("file", ["batch_in_completions.jsonl", "batch_in_responses.jsonl"])
def test_a_command_that_rejects_the_endpoint_is_not_proposed_in_silence(
    llmsched: Run, cases: Path, tmp_path: Path, file: str
) -> None:
    outcome = _plan(llmsched, cases / "files" / file, "--export", tmp_path / "parts")
    assert outcome.code == 0
    commands = (tmp_path / "parts" / "manifest.json").read_text()
    assert "run-batch" in outcome.err or "run-batch" not in commands


def _plan(llmsched: Run, file: Path, *options: object) -> Outcome:
    return llmsched("plan", "--input", file, "--hardware", "llama3-8b-a100", *options)


def test_a_paced_run_without_start_times_is_not_calibrated(
    llmsched: Run, cases: Path, tmp_path: Path
) -> None:
    """As if all had come at once, a step would cost 1.2 instead of 16.6 ms."""
    outcome = _calibrate(llmsched, cases / "files" / "vllm_rate4_no_starts.json", tmp_path)
    assert (outcome.code, outcome.out) == (2, "")
    assert _search("request_rate|start_times", outcome.err)
    assert not list(tmp_path.iterdir())


def test_answers_in_one_chunk_are_left_out_of_a_calibration_and_counted(
    llmsched: Run, cases: Path, tmp_path: Path
) -> None:
    outcome = _calibrate(llmsched, cases / "files" / "vllm_one_chunk_answers.json", tmp_path)
    assert outcome.code == 0, outcome.err
    assert _search(r"\b2\b.*chunk", outcome.out + outcome.err)
    price = next(line for line in outcome.out.splitlines() if "per_step" in line)
    assert float(price.split()[1]) == pytest.approx(16.6, rel=0.05)


def test_the_records_of_another_benchmark_are_calibrated_or_refused_by_name(
    llmsched: Run, cases: Path, tmp_path: Path
) -> None:
    """40 requests, each 100 ms to the first token and 700 ms in all."""
    outcome = _calibrate(llmsched, cases / "files" / "aiperf40_records.jsonl", tmp_path)
    if outcome.code == 0:
        assert _search(r"mean TTFT +0\.100 s", outcome.out)
        assert _search(r"mean latency +0\.700 s", outcome.out)
    else:
        assert outcome.code == 2
        assert "AIPerf" in outcome.err


def test_a_measured_run_of_a_simulator_is_calibrated_by_the_times_of_its_queue(
    llmsched: Run, cases: Path, tmp_path: Path
) -> None:
    file = cases / "files" / "lss_measured_vllm.jsonl"
    outcome = _calibrate(llmsched, file, tmp_path, "--fit-share", 1)
    assert outcome.code == 0, outcome.err
    assert _search(r"mean TTFT +1\.984 s", outcome.out)


def _calibrate(llmsched: Run, file: Path, folder: Path, *options: object) -> Outcome:
    knobs = ["--max-num-seqs", 256, "--max-num-batched-tokens", 2048, "-o", folder / "mine.yaml"]
    return llmsched("hardware", "calibrate", file, *knobs, *options)


def _search(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
