"""Reading per-request times, and every recording that is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmsched.calibration.recorded import is_run, read_run
from llmsched.errors import InputError


def _record(i: int = 0, **changes: object) -> dict[str, Any]:
    record = {
        "timestamp": 100.0 * i,
        "input_length": 10 + i,
        "output_length": 5,
        "first_token_s": 0.1 * i + 0.5,
        "last_token_s": 0.1 * i + 1.5,
    }
    return {**record, **changes}


def _written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def test_rows_are_sorted_and_start_at_zero(tmp_path: Path) -> None:
    path = _written(tmp_path / "run.jsonl", [_record(i) for i in reversed(range(1, 25))])
    run = read_run(path)
    assert run.trace.arrival[:2].tolist() == pytest.approx([0.0, 0.1])
    assert run.trace.input_tokens[:2].tolist() == [11, 12]
    assert run.first_token - run.trace.arrival == pytest.approx(np.full(24, 0.5))
    assert run.last_token - run.first_token == pytest.approx(np.full(24, 1.0))


def test_csv_and_gzip_say_the_same(tmp_path: Path) -> None:
    records = [_record(i) for i in range(24)]
    path = _written(tmp_path / "run.jsonl", records)
    packed = tmp_path / "run.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    table = tmp_path / "run.csv"
    rows = [",".join(map(str, record.values())) for record in records]
    table.write_text("\n".join([",".join(records[0]), *rows]))
    for other in (packed, table):
        assert is_run(other)
        assert read_run(other).trace.sha256 == read_run(path).trace.sha256
        assert read_run(other).last_token.tolist() == read_run(path).last_token.tolist()


def test_a_table_of_steps_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "steps.csv").write_text("num_prefill_tokens,num_decode_seqs,kv_tokens,step_ms\n")
    assert not is_run(tmp_path / "steps.csv")


def _bench(**changes: object) -> dict[str, Any]:
    n = 24
    bench = {
        "max_concurrency": None,
        "input_lens": [10] * n,
        "output_lens": [3] * n,
        "ttfts": [0.25] * n,
        "itls": [[0.1, 0.2]] * n,
        "start_times": [5000.0 + i for i in range(n)],
        "errors": [""] * n,
    }
    return {**bench, **changes}


def test_a_vllm_benchmark_gives_first_and_last_tokens(tmp_path: Path) -> None:
    bench = _bench(errors=["", "timeout"] + [""] * 22)
    (tmp_path / "bench.json").write_text(json.dumps(bench, indent=1))
    run = read_run(tmp_path / "bench.json")
    assert len(run.trace) == 23
    assert run.notes == ("dropped 1 of 24 rows: 1 where errors says that the request failed",)
    assert run.trace.arrival[:2].tolist() == [0.0, 2.0]
    assert run.first_token[:2].tolist() == pytest.approx([0.25, 2.25])
    assert run.last_token[:2].tolist() == pytest.approx([0.55, 2.55])


def test_a_benchmark_without_start_times_sent_everything_at_once(tmp_path: Path) -> None:
    bench = _bench()
    del bench["start_times"]
    (tmp_path / "bench.json").write_text(json.dumps(bench))
    assert read_run(tmp_path / "bench.json").trace.arrival.max() == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"itls": None}, r"bench.json: expected at least 20 requests with times .* got 0 of 24"),
        ({"ttfts": [0.1]}, r"bench.json:1: ttfts: expected 24 items, as input_lens has, got 1"),
        ({"start_times": None, "max_concurrency": 8}, r"start_times: .* beside max_concurrency 8"),
        (
            {"start_times": None, "request_rate": 4.0},
            r"start_times: .* beside request_rate 4: when",
        ),
        ({"start_times": None, "request_rate": "trace"}, r"beside at the times of a trace"),
        ({"start_times": [1.0]}, r"start_times: expected 24 items"),
        ({"itls": [3] * 24}, r"bench.json: expected at least 20 requests with times"),
        ({"ttfts": ["x"] * 24}, r"bench.json:1: item 1: ttfts: expected a finite number >= 0, got"),
        ({"ttfts": [0.0] * 24}, r"item 1: ttfts: expected a time more than its arrival, got 0 s"),
    ],
)
def test_a_bad_benchmark_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(_bench(**changes)))
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "bench.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamp": None}, r"run.jsonl:2: timestamp: expected a finite number >= 0, got null"),
        (
            {"timestamp": "soon"},
            r"run.jsonl:2: timestamp: expected a finite number >= 0, got .soon",
        ),
        ({"input_length": 0}, r"run.jsonl:2: input_length: expected an integer >= 1, got 0"),
        ({"output_length": 1.5}, r"run.jsonl:2: output_length: expected an integer >= 1, got 1.5"),
        (
            {"output_length": True},
            r"run.jsonl:2: output_length: expected an integer >= 1, got true",
        ),
        ({"first_token_s": 0.1}, r"run.jsonl:2: first_token_s: .* more than its arrival, got 0 s"),
        ({"last_token_s": 0.5}, r"run.jsonl:2: last_token_s: .* no less than the first token's"),
        ({"last_token_s": float("nan")}, r"run.jsonl:2: last_token_s: expected a finite number"),
    ],
)
def test_a_bad_row_is_one_line_with_file_line_and_field(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    records = [_record(0), _record(1, **changes), *(_record(i) for i in range(2, 30))]
    with pytest.raises(InputError, match=message):
        read_run(_written(tmp_path / "run.jsonl", records))


def test_too_few_requests_a_broken_line_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="expected at least 20 requests with times of their tokens, got 3"
    ):
        read_run(_written(tmp_path / "few.jsonl", [_record(i) for i in range(3)]))
    broken = _written(tmp_path / "broken.jsonl", [_record(0), _record(1)])
    broken.write_text(broken.read_text() + "{oops\n")
    with pytest.raises(InputError, match=r"broken.jsonl:3: row: expected a JSON object"):
        read_run(broken)
    broken.write_text("[1, 2]")
    with pytest.raises(InputError, match=r"broken.jsonl:1: item 1: row: expected a JSON object"):
        read_run(broken)
    with pytest.raises(InputError, match="cannot read"):
        read_run(tmp_path / "none.jsonl")


def test_an_answer_in_one_chunk_is_simulated_and_not_fitted(tmp_path: Path) -> None:
    bench = _bench(itls=[[], *[[0.1, 0.2]] * 23])
    (tmp_path / "bench.json").write_text(json.dumps(bench))
    run = read_run(tmp_path / "bench.json")
    assert (len(run.trace), int(run.is_known.sum())) == (24, 23)
    assert run.notes == (
        "1 of 24 requests are simulated, not fitted: their answers came in one chunk, so that "
        "nobody knows how long a token took",
    )


def test_a_format_without_times_of_tokens_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "azure.csv").write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
    )
    assert is_run(tmp_path / "azure.csv")
    with pytest.raises(InputError, match="which the format azure does not say"):
        read_run(tmp_path / "azure.csv")
