"""``--columns``: any table, by the names of its columns; and what is proposed for one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, load, read
from llmsched.importers._asked import asked, suggestion

TABLE = "created,prompt_tokens,completion_tokens,kind\n1500,7,3,chat\n0,9,4,code\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(TABLE)
    return path


def test_any_table_is_read_by_the_names_of_its_columns(table: Path) -> None:
    columns = "arrival=created:ms,input=prompt_tokens,output=completion_tokens,class=kind"
    trace = load(table, TraceOptions(columns=columns))
    assert trace.arrival.tolist() == [0, 1.5]
    assert (trace.input_tokens.tolist(), trace.output_tokens.tolist()) == ([9, 7], [4, 3])
    assert trace.classes[0] == ("chat", "code")


def test_a_mapping_says_the_same_as_the_text(table: Path) -> None:
    text = "arrival=created:ms,input=prompt_tokens,output=completion_tokens"
    mapping = {"arrival": "created:ms", "input": "prompt_tokens", "output": "completion_tokens"}
    assert load(table, TraceOptions(columns=mapping)).sha256 == (
        load(table, TraceOptions(columns=text)).sha256
    )


def test_without_a_unit_a_number_is_seconds_and_said_to_be(table: Path) -> None:
    columns = "arrival=created,input=prompt_tokens,output=completion_tokens"
    imported = read(table, TraceOptions(columns=columns))
    assert imported.trace.arrival.tolist() == [0, 1500]
    assert "created is read as seconds: --columns arrival=created:ms for another unit" in (
        imported.notes
    )


def test_without_a_unit_a_date_is_a_date(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("at,i,o\n2026-03-01T00:00:02.5+0100,1,2\n2026-02-28 23:00:00Z,3,4\n")
    trace = load(path, TraceOptions(columns="arrival=at,input=i,output=o"))
    assert (trace.arrival.tolist(), trace.input_tokens.tolist()) == ([0, 2.5], [3, 1])


def test_columns_may_be_inside_objects_and_have_commas_in_their_names(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"usage": {"in": 5, "out": 6}, "a,b": 250}\n')
    columns = 'input=usage.in,output=usage.out,"arrival=a,b:ms"'
    assert load(path, TraceOptions(columns=columns)).output_tokens.tolist() == [6]


def test_a_table_needs_no_arrivals(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("i,o\n1,2\n3,4\n")
    imported = read(path, TraceOptions(columns="input=i,output=o"))
    assert imported.trace.arrival.tolist() == [0, 0]
    assert imported.notes == ("no arrival times in this file: every request arrives at time 0",)


@pytest.mark.parametrize("blocks", [False, True])
def test_long_tables_are_read_alike(
    blocks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmsched.importers import _bulk

    monkeypatch.setattr(_bulk, "LEAST", 0 if blocks else 10**9)
    path = tmp_path / "log.csv"
    rows = "".join(f"{i};{5 + i};{9 + i};{i % 3}\n" for i in range(100))
    path.write_text(f"AT;I;O;c\n{rows}")
    trace = load(path, TraceOptions(columns="arrival=at:ms,input=i,output=o,class=c"))
    assert trace.arrival[-1] == pytest.approx(0.099)
    assert int(trace.input_tokens.sum()) == sum(range(5, 105))
    assert trace.classes[0] == ("0", "1", "2")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("input=a", "columns: expected output=COLUMN as well"),
        ("output=a", "columns: expected input=COLUMN as well"),
        ("input=a,output=b,colour=c", "columns: expected one of arrival, input, output, limit, "),
        ("input=a,input=b,output=c", "columns: input: expected once, got it twice"),
        ("input", "columns: expected ROLE=COLUMN as in arrival=created:ms,"),
        ("input=,output=b", "columns: expected ROLE=COLUMN as in arrival=created:ms,"),
        ({"input": 3, "output": "b"}, "columns.input: expected a text, got 3"),
    ],
)
def test_bad_columns_are_refused(columns: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        TraceOptions(columns=columns)
    assert str(caught.value).startswith(problem)


def test_columns_and_a_format_exclude_each_other() -> None:
    with pytest.raises(InputError, match="columns: expected without a format"):
        TraceOptions(columns="input=a,output=b", format="azure")


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("output=nothere", "output: expected one of created, prompt_tokens, "),
        ("output=completion_token", "output: expected one of .* .did you mean completion_tokens"),
        ("output=completion_tokens,class=knd", "class: expected one of .* .did you mean kind"),
        ("output=completion_tokens,timeout=nosuch", "timeout: expected one of .*; got 'nosuch'"),
        ("output=completion_tokens,arrival=created:sec", "arrival: .*units are s, ms, us, ns and"),
        ("output=?", "output: expected one of .*; got '.'"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_column_that_is_not_there_is_refused_by_name(
    kind: str, more: str, problem: str, table: Path
) -> None:
    path = table
    if kind == "jsonl":
        path = table.with_suffix(".jsonl")
        row = '{"created": 1, "prompt_tokens": 2, "completion_tokens": 3, "kind": "a"}\n'
        path.write_text(row * 3)
    with pytest.raises(InputError, match=f"{path.name}:1: columns: {problem}"):
        load(path, TraceOptions(columns=f"input=prompt_tokens,{more}"))


def test_case_matters_in_objects_and_not_in_a_header(tmp_path: Path, table: Path) -> None:
    columns = "input=prompt_tokens,output=completion_tokens,class=KIND"
    assert load(table, TraceOptions(columns=columns)).classes[0] == ("chat", "code")
    path = tmp_path / "log.jsonl"
    path.write_text('{"prompt_tokens": 2, "completion_tokens": 3, "Kind": "a"}\n')
    with pytest.raises(InputError, match=r"class: expected one of prompt_tokens, .*; got 'KIND'"):
        load(path, TraceOptions(columns=columns))


def test_where_the_unit_comes_from_is_said(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("at_ms,i,o\n5,1,2\n")
    for arrival, sure in (("at_ms:us", "said by --columns"), ("at_ms", "said by its name")):
        columns = f"arrival={arrival},input=i,output=o"
        assert read(path, TraceOptions(columns=columns)).facts[0].sure == sure


def test_an_optional_column_may_begin_some_rows_down(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    row = '{"i": 2, "o": 3%s}\n'
    path.write_text(row % "" + row % ', "kind": "a"')
    trace = load(path, TraceOptions(columns="input=i,output=o,class=kind"))
    assert trace.classes[0] == ("(none)", "a")


def test_a_time_without_a_unit_is_read_by_its_name_or_as_seconds_and_said_to_be(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.csv"
    path.write_text("at_ms,i,o,s,think_ms,tool\n0,1,2,a,,\n,3,4,a,500,2\n")
    columns = "arrival=at_ms,input=i,output=o,session=s"
    imported = read(path, TraceOptions(columns=f"{columns},delay=think_ms"))
    assert imported.trace.delay is not None
    assert imported.trace.delay.tolist() == [0, 0.5]
    assert imported.notes[-1] == (
        "at_ms is read as ms, by its name; think_ms is read as ms, by its name"
    )
    imported = read(path, TraceOptions(columns=f"{columns},delay=tool"))
    assert imported.trace.arrival.tolist() == [0, 2]
    assert "tool is read as s: --columns delay=tool:ms for another unit" in imported.notes[-1]


def test_a_unit_stands_only_after_the_last_colon() -> None:
    assert asked("arrival=a:b:us,input=i,output=o").time == "a:b"
    assert asked("arrival=a:b,input=i,output=o").time == "a:b"


LENGTHS = {"prompt_tokens": 1, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("times", "arrival"),
    [
        ({"created_at": "2026-01-01T00:00:00"}, "created_at"),
        ({"arrival_timestamp_ms": 0}, "arrival_timestamp_ms:ms"),
        ({"ts": 1790000000123}, "ts:ms"),
        ({"startTime": 1790000000123456789}, "startTime:ns"),
        ({}, "?"),
        ({"end_time": 5, "start": 4}, "start"),
    ],
)
def test_an_arrival_is_proposed_with_its_unit(times: dict[str, object], arrival: str) -> None:
    expected = f"arrival={arrival},input=prompt_tokens,output=completion_tokens"
    assert suggestion(times | LENGTHS) == expected


@pytest.mark.parametrize(
    ("names", "lengths"),
    [
        (("it", "ot"), ("it", "ot")),
        (("ISL", "OSL"), ("ISL", "OSL")),
        (("num_input_tokens", "num_output_tokens"), ("num_input_tokens", "num_output_tokens")),
        (("ContextTokens", "GeneratedTokens"), ("ContextTokens", "GeneratedTokens")),
        (("input_cost", "input_len", "output_len"), ("input_len", "output_len")),
        (("request size", "answer size"), ("request size", "answer size")),
    ],
)
def test_lengths_are_proposed_by_the_words_of_their_names(
    names: tuple[str, ...], lengths: tuple[str, str]
) -> None:
    record: dict[str, object] = dict.fromkeys(names, 5)
    assert suggestion(record).endswith(f"input={lengths[0]},output={lengths[1]}")


def test_what_is_proposed_can_be_typed_whatever_the_names_are() -> None:
    record: dict[str, object] = {"a,b tokens in": 1, 'out "x" tokens': 2, "time:ms": 3}
    form = asked(suggestion(record))
    assert (form.input_tokens, form.output_tokens) == ("a,b tokens in", 'out "x" tokens')
    assert (form.time, form.unit) == ("time:ms", "ms")


@pytest.mark.parametrize("quoted", ['output="out, tok"', '"output=out, tok"', "output='out, tok'"])
def test_a_name_with_a_comma_stands_in_quotes(quoted: str) -> None:
    assert asked(f"input=in,{quoted}").output_tokens == "out, tok"
    with pytest.raises(InputError, match="columns: expected quotes that end"):
        asked(f"input=in,{quoted[:-1]}")


def test_a_unit_is_not_said_twice() -> None:
    with pytest.raises(InputError, match="time_unit: expected none beside s in columns"):
        TraceOptions(columns="arrival=a:s,input=i,output=o", time_unit="ms")
    assert TraceOptions(columns="arrival=a,input=i,output=o", time_unit="ms").time_unit == "ms"


def test_nothing_is_proposed_where_nothing_looks_like_a_length() -> None:
    assert suggestion({"hello": "world"}) == ""


def test_a_bad_row_of_such_a_table_says_how_it_is_left_out(table: Path) -> None:
    table.write_text(TABLE + "9,8,,\n")
    columns = "input=prompt_tokens,output=completion_tokens"
    with pytest.raises(InputError) as caught:
        load(table, TraceOptions(columns=columns))
    said = 'completion_tokens: expected an integer >= 1, got ""'
    assert str(caught.value) == f"{table}:4: {said}; --on-error skip leaves out such rows"
    assert len(load(table, TraceOptions(columns=columns, on_error="skip"))) == 2
