"""Tables of text: separators, headers in any case, dates as people write them, Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import TraceOptions, _bulk, load, read

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
AZURE = f"{HEAD}2023-11-16 18:15:46.5,374,44\n2023-11-16 18:15:48,5,6\n"


@pytest.fixture(params=["row by row", "in blocks"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "LEAST", 10**9 if request.param == "row by row" else 0)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_may_be_separated_by_a_comma_a_semicolon_or_a_tab(
    separator: str, tmp_path: Path
) -> None:
    path = tmp_path / "azure.txt"
    path.write_text(AZURE.replace(",", separator))
    trace = load(path)
    assert (trace.arrival.tolist(), trace.input_tokens.tolist()) == ([0, 1.5], [374, 5])


def test_the_case_of_a_header_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(AZURE.replace("ContextTokens", "contexttokens").replace("TIMEST", "timest"))
    assert read(path).format == "azure"
    assert load(path, TraceOptions(format="azure")).input_tokens.tolist() == [374, 5]


@pytest.mark.parametrize(
    "date",
    [
        "2024-05-10T00:00:01Z",
        "2024-05-10 00:00:01+00:00",
        "2024-05-10 00:00:01+0000",
        "2024-05-10 01:00:01.000+01",
        "2024-05-10 00:00:01 UTC",
        "2024-05-09 22:30:01-01:30",
        "2024-05-10 00:00:01,0",
        "2024-05-10T00:00:01.0000000000",
    ],
)
def test_dates_are_read_however_they_are_written(date: str, tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    head = "TIMESTAMP;ContextTokens;GeneratedTokens"
    path.write_text(f"{head}\n2024-05-10 00:00:00;1;2\n{date};3;4\n")
    assert load(path).arrival.tolist() == [0, 1]


@pytest.mark.parametrize(
    "date", ["2024-05-10", "10.05.2024 00:00:00", "2024-13-01 00:00:00", "2024-05-10 25:00:00", ""]
)
def test_what_is_no_date_and_time_is_refused(date: str, tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(f"{AZURE}{date},3,4\n")
    with pytest.raises(InputError, match=r"azure.csv:4: TIMESTAMP: expected a date as 2023-11-16"):
        load(path)


def test_numbers_where_a_format_has_dates_need_a_unit(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(f"{HEAD}0.0,374,44\n4.5,396,109\n")
    with pytest.raises(InputError, match=r'got "0\.0"; --time-unit says what a number counts'):
        load(path)
    assert load(path, TraceOptions(time_unit="s")).arrival.tolist() == [0, 4.5]


def test_a_table_without_a_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("5,472,18\n45,1087,230\n")
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:1: expected a header line that names the columns, as "
        "timestamp,input_length,output_length; got a row of values: 5, 472, 18"
    )


def test_our_own_names_are_read_from_a_table(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "Timestamp,input_length,output_length,class,max_tokens,hash_ids\n"
        '0,100,20,a,30,"[1]"\n250,600,30,b,,"[1,2]"\n'
    )
    imported = read(path)
    trace = imported.trace
    assert (imported.format, trace.arrival.tolist()) == ("native", [0, 0.25])
    assert trace.max_output_tokens is not None
    assert trace.max_output_tokens.tolist() == [30, 0]
    assert (trace.hash_ids, trace.hash_block_size) == (((1,), (1, 2)), 512)


def test_parquet_is_read_like_a_table(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    from datetime import UTC, datetime

    start = datetime(2025, 3, 1, tzinfo=UTC)
    columns = {
        "invocation_id": ["a", "b"],
        "started_at": arrow.array(
            [int(start.timestamp() * 1e9) + ns for ns in (125_000_000, 1_250_000_100)],
            arrow.timestamp("ns", tz="UTC"),
        ),
        "it": [512, 2048],
        "ot": [128, 256],
    }
    path = tmp_path / "chutes.parquet"
    parquet.write_table(arrow.table(columns), path)
    imported = read(path)
    assert imported.format == "chutes"
    assert imported.trace.arrival.tolist() == [0, 1.1250001]
    assert imported.trace.input_tokens.tolist() == [512, 2048]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"chutes.parquet: expected a Parquet file: "):
        read(path)


def test_parquet_without_the_extra_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="reading Parquet needs pyarrow: pip install pyarrow"):
        load(path)


def test_empty_cells_at_the_ends_of_a_line_between_tabs_are_cells(tmp_path: Path) -> None:
    path = tmp_path / "frame.tsv"
    path.write_text(
        "\ttimestamp\tinput_length\toutput_length\tclass\n0\t1000\t700\t41\t\n1\t2000\t900\t12\tb\n"
    )
    trace = load(path)
    assert (trace.arrival.tolist(), trace.input_tokens.tolist()) == ([0, 1], [700, 900])
    assert trace.classes[0] == ("(none)", "b")


def test_a_later_turn_in_a_table_has_an_empty_time(tmp_path: Path) -> None:
    path = tmp_path / "turns.tsv"
    head = "timestamp\tinput_length\toutput_length\tsession\tdelay_ms\n"
    path.write_text(f"{head}0\t700\t41\ta\t\n\t900\t12\ta\t1500\n")
    trace = load(path)
    assert trace.delay is not None
    assert trace.delay.tolist() == [0, 1.5]


@pytest.mark.parametrize(
    ("head", "row", "kept"),
    [
        (
            "timestamp_start_unix_ms,input_tokens,output_tokens,request_canceled",
            "1000,10,5",
            {"false": 1, "False": 1, "0": 1, "": 1, "true": 0, "1": 0},
        ),
        (
            "request_start_time,input_tokens,output_tokens_actual,ttft,ttlt,success",
            "1,10,5,.1,.2",
            {"True": 1, "1": 1, "false": 0, "FALSE": 0, "0": 0},
        ),
        (
            "startTime,request_id,prompt_tokens,completion_tokens,cache_hit",
            "2024-01-01 00:00:00,,5,5",
            {"None": 1, "False": 1, "": 1, "TRUE": 0, "1": 0},
        ),
    ],
)
def test_a_flag_counts_however_it_is_written(
    head: str, row: str, kept: dict[str, int], tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{line}\n" for line in (head, *(f"{row},{flag}" for flag in kept))))
    imported = read(path)
    assert (len(imported.trace), imported.rows) == (sum(kept.values()), len(kept))
