"""The native format: what is accepted, what is refused, and with which words."""

from __future__ import annotations

import io
from math import inf
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, load, read
from llmsched.trace import MAX_TOKENS, Trace

GOOD = '{"timestamp": 0, "input_length": 5, "output_length": 6}'


def urgencies(trace: Trace) -> list[int] | None:
    return None if trace.priority is None else trace.priority.tolist()


def row(timestamp: str = "0", input_length: str = "5", output_length: str = "6") -> str:
    return (
        f'{{"timestamp": {timestamp}, "input_length": {input_length}, '
        f'"output_length": {output_length}}}'
    )


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("trace.jsonl")


INTEGER = "expected an integer >= 1, got"
NUMBER = "expected a finite number >= 0, got"
PRIORITY = "expected an integer in -2147483647..2147483647, got"

BAD_ROWS = [
    (row(output_length='"abc"'), f'output_length: {INTEGER} "abc"'),
    (row(output_length='"12k"'), f'output_length: {INTEGER} "12k"'),
    (row(output_length="-1"), f"output_length: {INTEGER} -1"),
    (row(output_length="NaN"), f"output_length: {INTEGER} NaN"),
    (row(output_length="true"), f"output_length: {INTEGER} true"),
    (row(output_length="false"), f"output_length: {INTEGER} false"),
    (row(input_length="0"), f"input_length: {INTEGER} 0"),
    (row(input_length="5.5"), f"input_length: {INTEGER} 5.5"),
    (row(input_length="null"), f"input_length: {INTEGER} null"),
    (row(input_length="[5]"), f"input_length: {INTEGER} [5]"),
    (row(input_length=str(MAX_TOKENS + 1)), f"input_length: expected an integer <= {MAX_TOKENS}"),
    (row(input_length="9" * 30), f"input_length: expected an integer <= {MAX_TOKENS}"),
    (row(timestamp="-0.5"), f"timestamp: {NUMBER} -0.5"),
    (row(timestamp="NaN"), f"timestamp: {NUMBER} NaN"),
    (row(timestamp="Infinity"), f"timestamp: {NUMBER} Infinity"),
    (row(timestamp='"noon"'), f'timestamp: {NUMBER} "noon"'),
    (row(timestamp="true"), f"timestamp: {NUMBER} true"),
    (
        row(timestamp="1e300"),
        "timestamp: expected a time < 8589934592000 ms, see --time-unit, got 1e+300",
    ),
    (row(timestamp="1e999"), "row: expected a JSON object, got malformed JSON"),
    ('{"timestamp": 0, "input_length": 5}', f"output_length: {INTEGER} nothing (it is missing)"),
    ('{"timestamp": 0, "output_length": 5}', f"input_length: {INTEGER} nothing (it is missing)"),
    ('{"input_length": 5, "output_length": 5}', f"timestamp: {NUMBER} nothing (it is missing)"),
    (GOOD[:-1], "row: expected a JSON object, got malformed JSON (unexpected end of data"),
    (GOOD + "x", "row: expected a JSON object, got malformed JSON (unexpected content after"),
    (
        GOOD[:-1] + ', "output_length": 7}',
        'row: expected every key once, got "output_length" twice',
    ),
    ("[1, 2]", "row: expected a JSON object, got [1, 2]"),
    ("7", "row: expected a JSON object, got 7"),
    ('{"a": ' * 3000, "row: expected a JSON object, got malformed JSON"),
    (GOOD[:-1] + ', "id": "0"}', 'id: expected an id that no row above has, got "0"'),
    (GOOD[:-1] + ', "id": 1.5}', "id: expected a string or an integer, got 1.5"),
    (GOOD[:-1] + ', "class": ["a"]}', 'class: expected a string or an integer, got ["a"]'),
    (GOOD[:-1] + ', "hash_ids": [1]}', "hash_ids: expected a value in every row or in none"),
    (
        GOOD[:-1] + ', "predicted_output_length": 3}',
        "predicted_output_length: expected a value in every row or in none, got 3",
    ),
    (GOOD[:-1] + ', "max_tokens": 0}', f"max_tokens: {INTEGER} 0"),
    (GOOD[:-1] + ', "max_tokens": 7.5}', f"max_tokens: {INTEGER} 7.5"),
    (GOOD[:-1] + ', "max_output_tokens": "7k"}', f'max_output_tokens: {INTEGER} "7k"'),
    (GOOD[:-1] + ', "timeout_ms": 0}', "timeout_ms: expected a number >= 0.001, got 0"),
    (GOOD[:-1] + ', "timeout_ms": "9s"}', 'timeout_ms: expected a number >= 0.001, got "9s"'),
    (GOOD[:-1] + ', "priority": 0.5}', f"priority: {PRIORITY} 0.5"),
    (GOOD[:-1] + ', "priority": "high"}', f'priority: {PRIORITY} "high"'),
    (GOOD[:-1] + ', "priority": true}', f"priority: {PRIORITY} true"),
    (GOOD[:-1] + ', "priority": -2147483648}', f"priority: {PRIORITY} -2147483648"),
    (
        GOOD[:-1] + ', "max_output_tokens": 7, "max_tokens": 8}',
        "max_tokens: expected max_output_tokens once more, got 8 and 7",
    ),
]


@pytest.mark.parametrize(("bad", "problem"), BAD_ROWS)
def test_a_bad_row_is_refused_by_line_field_and_value(file: Path, bad: str, problem: str) -> None:
    file.write_text(f"{GOOD}\n\n{bad}\n{GOOD}\n")
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(caught.value).startswith(f"trace.jsonl:3: {problem}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(("bad", "problem"), BAD_ROWS)
def test_skip_drops_a_bad_row_and_counts_it_by_reason(file: Path, bad: str, problem: str) -> None:
    file.write_text(f"{GOOD}\n{bad}\n{GOOD}\n")
    imported = read(file, TraceOptions(on_error="skip"))
    assert imported.trace.id.tolist() == ["0", "2"]
    (reason,) = imported.dropped
    assert problem.startswith(reason)
    assert imported.notes == (f"dropped 1 of 3 rows: 1 where {reason}",)


def test_skip_passes_over_bad_rows_at_the_start(file: Path) -> None:
    file.write_text('{"timestamp": 0\n{"timestamp": 0, "input_length": 3}\n' + GOOD)
    imported = read(file, TraceOptions(on_error="skip"))
    assert imported.trace.id.tolist() == ["2"]
    assert sum(imported.dropped.values()) == 2


def test_skip_fails_if_no_row_is_left(file: Path) -> None:
    file.write_text(row(input_length="-1"))
    with pytest.raises(InputError, match="no requests are left; dropped 1 of 1 rows: 1 where inp"):
        load(file, TraceOptions(on_error="skip"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "1: expected a trace, got an empty file"),
        (b"\n \r\n", "1: expected a trace, got an empty file"),
        (b"\xef\xbb\xbf", "1: expected a trace, got an empty file"),
        (b"\x00\x01\x02", "1: expected UTF-8 text, got binary data"),
        (b"\xff\xfe{\x00", "1: expected UTF-8 text, got binary data"),
        (b"\x89PNG\r\n\x1a\n", "1: row: expected UTF-8 text"),
        (b"hello\n", "1: header: expected those of a known format, got hello"),
        (b"{}", "1: keys: expected those of a known format, got none"),
        (b"[]", "1: expected a trace; there is no row"),
        (b"[1]", "1: item 1: row: expected a JSON object, got 1"),
        (b"[\n{}\n{]", "3: expected JSON, got malformed JSON"),
        (b"\x1f\x8b\x08", "1: expected whole compressed data"),
        (b"\x1f\x8bjunk", "1: expected whole compressed data"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(caught.value).startswith(f"trace.jsonl:{problem}")


def test_a_first_row_without_a_field_names_it(file: Path) -> None:
    file.write_text('{"timestamp": 0, "input_length": 5}')
    with pytest.raises(InputError, match=r"trace.jsonl:1: .*there are no output lengths"):
        load(file)


def test_keys_with_line_breaks_stay_on_one_line(file: Path) -> None:
    file.write_text(r'{"time\nstamp": 0, "input_length": 5}')
    with pytest.raises(InputError) as caught:
        load(file)
    assert "got time?stamp, input_length" in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read: Is a directory"):
        load(tmp_path)
    with pytest.raises(InputError, match="none: cannot read: No such file or directory"):
        load(tmp_path / "none")
    with pytest.raises(InputError, match="cannot read"):
        load("a\0b")


def test_an_endless_device_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="/dev/zero:1: expected UTF-8 text, got binary data"):
        load("/dev/zero")


def test_rows_without_output_are_dropped_with_a_count(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("\n".join([GOOD, row(output_length="0"), row("0", "0", "0"), GOOD]))
    assert load(file).id.tolist() == ["0", "3"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "trace.jsonl: dropped 2 of 4 rows: 2 where output_length is 0\n"


def test_unsorted_times_are_sorted_stably_with_a_note(file: Path) -> None:
    times = ["9000", "5000", "9000", "5000"]
    file.write_text("\n".join(row(timestamp=time) for time in times))
    imported = read(file)
    assert imported.trace.id.tolist() == ["1", "3", "0", "2"]
    assert imported.trace.arrival.tolist() == [0, 0, 4, 4]
    assert imported.notes == ("sorted by time: 2 of 4 requests came before the row above",)


def test_a_bom_crlf_blank_lines_and_no_final_newline_are_fine(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n  \n" + GOOD.encode())
    assert read(file).rows == 2


def test_an_array_of_objects_is_read_too(file: Path) -> None:
    file.write_text(f"[{GOOD},\n {GOOD}]")
    assert load(file).id.tolist() == ["0", "1"]


def test_a_whole_float_is_the_integer(file: Path) -> None:
    file.write_text(row(input_length="5.0", output_length="1e3"))
    trace = load(file)
    assert (trace.input_tokens[0], trace.output_tokens[0]) == (5, 1000)


def test_nan_in_a_field_that_does_not_count_does_no_harm(file: Path) -> None:
    file.write_text(GOOD[:-1] + ', "ttft": NaN}')
    assert len(load(file)) == 1
    file.write_text("{\n" + GOOD[1:-1] + ', "ttft": NaN}')
    assert len(load(file)) == 1


def test_half_a_surrogate_pair_is_refused(file: Path) -> None:
    for more in ("", ', "ttft": NaN'):
        file.write_text(GOOD[:-1] + r', "id": "\ud800"' + more + "}")
        with pytest.raises(InputError, match=r"trace.jsonl:1: row: expected a JSON object, got ma"):
            load(file)


def test_a_10_million_token_prompt_is_read_as_it_stands(file: Path) -> None:
    file.write_text(row(input_length="10000000"))
    assert load(file).input_tokens[0] == 10_000_000


def test_optional_fields_are_read(file: Path) -> None:
    extra = ', "id": "r%d", "class": "c", "predicted_output_length": 9, "hash_ids": [%d]}'
    file.write_text("\n".join(GOOD[:-1] + extra % (i, i) for i in range(2)))
    trace = load(file)
    assert trace.job_class is not None
    assert trace.predicted_output_tokens is not None
    assert (trace.id.tolist(), trace.job_class.tolist()) == (["r0", "r1"], ["c", "c"])
    assert trace.predicted_output_tokens.tolist() == [9, 9]
    assert (trace.hash_ids, trace.hash_block_size) == (((0,), (1,)), 512)


def test_stdin_is_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{GOOD}\n{{".encode())))
    with pytest.raises(InputError, match="<stdin>:2: row: expected a JSON object"):
        load("-")


@pytest.mark.parametrize("name", ["max_output_tokens", "max_completion_tokens", "max_tokens"])
def test_some_rows_may_declare_an_output_limit(file: Path, name: str) -> None:
    rows = [GOOD, f'{GOOD[:-1]}, "{name}": 6}}', f'{GOOD[:-1]}, "{name}": null}}']
    file.write_text("\n".join([*rows, f'{GOOD[:-1]}, "{name}": 512.0}}']))
    limits = load(file).max_output_tokens
    assert limits is not None
    assert limits.tolist() == [0, 6, 0, 512]


def test_clients_of_some_rows_may_give_up(file: Path) -> None:
    rows = [GOOD, f'{GOOD[:-1]}, "timeout_ms": 1495}}', f'{GOOD[:-1]}, "timeout_ms": null}}']
    file.write_text("\n".join(rows))
    timeout = load(file).timeout
    assert timeout is not None
    assert timeout.tolist() == [inf, 1.495, inf]
    everybody = load(file, TraceOptions(timeout_ms=250)).timeout
    assert everybody is not None
    assert everybody.tolist() == [0.25] * 3


def test_without_a_declared_limit_there_is_no_column(file: Path) -> None:
    file.write_text(f'{GOOD}\n{GOOD[:-1]}, "max_tokens": null}}')
    assert load(file).max_output_tokens is None


def test_a_table_may_have_a_column_of_limits(tmp_path: Path) -> None:
    path = tmp_path / "vidur.csv"
    header = "arrived_at,num_prefill_tokens,num_decode_tokens,max_tokens"
    path.write_text(f"{header}\n1,5,6,\n0,5,6,128\n")
    limits = load(path).max_output_tokens
    assert limits is not None
    assert limits.tolist() == [128, 0]


def test_priorities_are_read_and_rows_may_lack_them(file: Path) -> None:
    bare = GOOD[:-1]
    file.write_text(
        f'{bare}, "priority": 2}}\n{GOOD}\n{bare}, "priority": "-1"}}\n{bare}, "priority": 3.0}}\n'
    )
    assert urgencies(load(file)) == [2, 0, -1, 3]
    assert urgencies(load(file, TraceOptions(limit=1))) == [2]


def test_a_trace_in_which_nobody_is_more_urgent_has_no_priorities(file: Path) -> None:
    file.write_text(f'{GOOD[:-1]}, "priority": 0}}\n{GOOD}\n')
    assert load(file).priority is None
    file.write_text(f'{GOOD}\n{GOOD[:-1]}, "priority": 1}}\n')
    assert load(file, TraceOptions(limit=1)).priority is None


def test_a_table_has_priorities_under_the_same_name_or_under_ones_own(file: Path) -> None:
    file.write_text("timestamp,input_length,output_length,Priority\n0,5,6,-3\n1,5,6,\n")
    assert urgencies(load(file)) == [-3, 0]
    file.write_text("in,out,urgency\n5,6,9\n5,6,1\n")
    columns = TraceOptions(columns="input=in,output=out,priority=urgency")
    assert urgencies(load(file, columns)) == [9, 1]


def test_a_parquet_table_has_priorities_and_ids_with_their_blocks(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = {
        "timestamp": [0.0, 1.0],
        "input_length": [20, 33],
        "output_length": [5, 6],
        "priority": [1, None],
        "hash_ids": [[1, 2], [1, 2, 3]],
        "hash_block_size": [16, 16],
    }
    parquet.write_table(arrow.table(table), tmp_path / "t.parquet")
    trace = load(tmp_path / "t.parquet")
    assert urgencies(trace) == [1, 0]
    assert (trace.hash_ids, trace.hash_block_size) == (((1, 2), (1, 2, 3)), 16)
