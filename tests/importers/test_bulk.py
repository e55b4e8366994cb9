"""Reading in blocks: the same table as row by row, or none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz import fixtures, mutants
from llmsched import exporters, importers
from llmsched.errors import InputError
from llmsched.ids import Ids
from llmsched.importers import TraceOptions, _bulk, _detect
from llmsched.importers._table import Table
from llmsched.trace import Trace
from tests.importers.strategies import traces

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROW = "2023-11-16 18:15:46.6805900,374,44\n"


@pytest.fixture(autouse=True)
def _always_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "LEAST", 0)


def in_blocks(path: Path, **options: str) -> Table | None:
    found = importers._in_blocks(path, TraceOptions(**options), lambda *_: None)  # type: ignore[arg-type]
    return None if found is None else found.table


def row_by_row(path: Path) -> Table | None:
    try:
        return importers._row_by_row(path, TraceOptions(), lambda *_: None).table
    except InputError:
        return None


def assert_same(path: Path) -> bool:
    """Hold both ways of reading against each other; return whether blocks were enough."""
    blocks, rows = in_blocks(path), row_by_row(path)
    if blocks is None:
        return False
    assert rows is not None, "blocks accept what no row does"
    assert content(blocks) == content(rows)
    return True


def content(table: Table) -> dict[str, object]:
    """Return what is in a table, as plain values."""
    columns = {
        name: getattr(value, "whole", lambda v=value: v)() for name, value in vars(table).items()
    }
    return {
        name: list(column) if isinstance(column, (Ids, np.ndarray)) else column
        for name, column in columns.items()
    }


def test_the_fixtures_of_every_format_are_read_alike(tmp_path: Path) -> None:
    path, read = tmp_path / "trace", 0
    for content in fixtures():
        path.write_bytes(content)
        read += assert_same(path)
    assert read >= 10


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_alike(seed: int, tmp_path: Path) -> None:
    path, read = tmp_path / "trace", 0
    stream = mutants(seed, fixtures())
    for _ in range(400):
        path.write_bytes(next(stream))
        read += assert_same(path)
    assert read > 10


@given(traces(), st.sampled_from(["native", "mooncake", "vidur", "azure"]))
def test_what_we_write_is_read_alike(
    tmp_path_factory: pytest.TempPathFactory, trace: Trace, form: str
) -> None:
    path = tmp_path_factory.mktemp("written") / "trace"
    path.write_text(exporters.text(trace, form))
    assert_same(path)


@pytest.mark.parametrize(
    "row",
    [
        '2023-11-16 18:15:47.6805900,"374",44',
        "2023-11-16 18:15:47.6805900, 374,44",
        "2023-11-16 18:15:47.6805900,+374,44",
        "2023-11-16 18:15:47.6805900,374,44,",
        "2023-11-16 18:15:47.6805900,374",
        "2023-11-16 18:15:47.680590,374,44",
        "2023-11-16 18:15:47,374,44",
        "2023-02-30 18:15:47.6805900,374,44",
        "2023-11-16 18:15:47.6805900+02:00,374,44",
        "2023-11-16 18:15:47.6805900,,44",
        "2023-11-16 18:15:47.6805900,0,44",
        "2023-11-16 18:15:47.6805900,9223372036854775808,44",
        "2023-11-16 18:15:47.6805900,NaN,44",
        "2023-11-16 18:15:47.6805900,\u0663\u0667,44",
        "",
        " ",
    ],
)
def test_an_unusual_row_of_csv_is_left_to_those_who_read_rows(row: str, tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(HEAD + ROW + row + "\n" + ROW)
    assert not assert_same(path)
    path.write_text(HEAD + ROW + ROW)
    assert assert_same(path)


@pytest.mark.parametrize(
    "line",
    [
        '{"timestamp": 1, "input_length": 2, "output_length": 3}, {"timestamp": 1}',
        '{"timestamp": 1, "input_length": 2, "output_length": 3',
        '{"timestamp": 1, "input_length": 2, "output_length": 3, "output_length": 4}',
        '{"timestamp": 1, "input_length": true, "output_length": 3}',
        '{"timestamp": 1, "input_length": 2.0, "output_length": 3}',
        '{"timestamp": NaN, "input_length": 2, "output_length": 3}',
        '{"timestamp": "1", "input_length": 2, "output_length": 3}',
        "",
    ],
)
def test_an_unusual_line_of_json_is_left_to_those_who_read_rows(line: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    usual = '{"timestamp": 0, "input_length": 2, "output_length": 3}\n'
    path.write_text(usual + line + "\n" + usual)
    assert not assert_same(path)
    path.write_text(usual + usual)
    assert assert_same(path)


@pytest.mark.parametrize("values", [[2, 0, -1], [7, None, 7], [0, 0, 0], [1, None, -(2**31) + 1]])
def test_priorities_are_read_in_blocks(values: list[int | None], tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 2, "output_length": 3'
    path.write_text("".join(f'{row}, "priority": {json.dumps(value)}}}\n' for value in values))
    assert assert_same(path)
    path.write_text(f"{row}}}\n" + path.read_text())  # a row that lacks the key
    assert assert_same(path)
    cells = ["" if value is None else str(value) for value in values]
    rows = "".join(f"0,2,3,{cell}\n" for cell in cells)
    path.write_text("timestamp,input_length,output_length,priority\n" + rows)
    assert assert_same(path)


@pytest.mark.parametrize("value", ["0.5", '"1"', "true", "2147483648", "1e99", "[1]"])
def test_a_doubtful_priority_is_left_to_those_who_read_rows(value: str, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 2, "output_length": 3, "priority": %s}\n'
    path.write_text(row % "1" + row % value)
    assert_same(path)


def test_blocks_end_where_lines_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "_BLOCK", 64)
    path = tmp_path / "azure.csv"
    path.write_text(HEAD + ROW * 50)
    assert assert_same(path)
    lines = '{"timestamp": 0, "input_length": 2, "output_length": 3}\n' * 50
    path.write_text(lines.rstrip())
    assert assert_same(path)
    monkeypatch.setattr(_bulk, "_BLOCK", 32)  # shorter than a line
    assert not assert_same(path)


def test_a_bad_row_of_a_long_file_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(HEAD + ROW * 9 + ROW.replace("374", "x") + ROW)
    with pytest.raises(InputError, match=r"azure\.csv:11: ContextTokens: expected an integer >= 1"):
        importers.read(path)
    assert importers.read(path, TraceOptions(on_error="skip")).dropped.keys() == {
        "ContextTokens: expected an integer >= 1"
    }


WHOLE = ["7", "0", "", "-3", "+4", "1e2", "1e00001", "2.0", "0009", "1" * 19, "NaN", "3+00:00"]
MOMENTS = [
    "2023-11-16 18:15:46.6805900",
    "2600-01-01 00:00:00.0000000",
    "2242-03-16 12:56:31.9999999",
    "2242-03-16 12:56:32.0000000",
    "1969-12-31 23:59:59.9999999",
    "2023-11-16 18:15:46.6805900+00:00",
    "2023-11-16 18:15:46.6805900+01:00",
    "2024-02-29 24:00:00.0000000",
    "2023-02-29 00:00:60.0000000",
    "2023-11-16 18:15:46",
]
LABELS = [
    "chat",
    "",
    "a b",
    " a",
    "a ",
    "a\x1c",
    "\x0ba",
    "\x7f",
    "é",
    'q"q',
    "1+00:00",
    "#",
    "a.b",
]
URGENCIES = ["1", "", "-1", "-", "+1", "1.0", "-0", "--1", "007", "2147483648", "x", " 1"]
SECONDS = [
    "0",
    "1.5",
    ".5",
    "1.",
    "1e3",
    "-0",
    "1e00001",
    "8589934592",
    "00",
    "1_0",
    " 2",
    "1" * 40,
    "0.30000000000000004",
    "123456789.012345",
    "1234567890.123456",
    "0.1.2",
    ".",
    "",
]


def rows_of(*columns: list[str]) -> st.SearchStrategy[list[list[str]]]:
    """Draw rows of which most cells are the first of their column, and some are cut or too long."""
    cells = [st.one_of(st.just(column[0]), st.sampled_from(column)) for column in columns]
    row = st.tuples(*cells).map(list)
    ragged = row.flatmap(lambda r: st.sampled_from([r, r, r, r, r[:-1], [*r, "5"], r[1:]]))
    return st.lists(ragged, min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("azure", {"TIMESTAMP": MOMENTS, "ContextTokens": WHOLE, "GeneratedTokens": WHOLE}),
        (
            "burstgpt",
            {
                "Timestamp": SECONDS,
                "Model": LABELS,
                "Request tokens": WHOLE,
                "Response tokens": WHOLE,
                "Total tokens": LABELS,
                "Log Type": LABELS,
            },
        ),
        (
            "splitwise",
            {
                "request_id": ["7", "", "0", "1", "x", "007", " y", "9" * 20],
                "request_type": LABELS,
                "arrival_timestamp": SECONDS,
                "prompt_size": WHOLE,
                "token_size": WHOLE,
            },
        ),
        (
            "native",
            {
                "timestamp": SECONDS,
                "input_length": WHOLE,
                "output_length": WHOLE,
                "priority": URGENCIES,
            },
        ),
        ("vidur", {"arrived_at": SECONDS, "num_prefill_tokens": WHOLE, "num_decode_tokens": WHOLE}),
    ],
)
@given(data=st.data())
def test_any_csv_is_read_as_row_by_row_or_not_at_all(
    name: str,
    columns: dict[str, list[str]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    index = data.draw(st.sampled_from([{}, {"": ["7", "8", "7", "x"]}]))  # as pandas writes one
    columns = columns | index
    order = data.draw(st.permutations(list(columns)))
    rows = data.draw(rows_of(*(columns[column] for column in order)))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
    path = tmp_path_factory.mktemp(name) / "t.csv"
    path.write_bytes(end.join(",".join(row) for row in [order, *rows]).encode())
    assert_same(path)


@given(
    st.lists(st.tuples(st.integers(0, 10**20), st.integers(0, 20)), min_size=1, max_size=5),
)
def test_decimals_are_read_to_the_last_bit(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int]]
) -> None:
    numbers = [
        f"{digits:021d}"[: 21 - places].lstrip("0")
        + "." * (places > 0)
        + f"{digits:021d}"[21 - places :]
        for digits, places in drawn
    ]
    path = tmp_path_factory.mktemp("vidur") / "t.csv"
    rows = "".join(f"{number},1,1\n" for number in numbers)
    path.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n" + rows)
    assert_same(path)


def test_a_column_that_is_not_there_in_short_rows_is_no_error_of_an_index(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n,1,2\n")
    assert not assert_same(path)


def test_dates_with_and_without_the_zone_are_read_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(HEAD + ROW + ROW.replace(",374", "+00:00,374"))
    assert assert_same(path)


def test_rows_that_are_short_and_long_by_as_much_are_named(tmp_path: Path) -> None:
    path = tmp_path / "burst.csv"
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    usual = "1,GPT-4,5,6,11,Conversation log\n"
    path.write_text(head + usual + "2,GPT-4,5,6,11\n" + usual.replace("\n", ",more\n"))
    with pytest.raises(InputError, match=r"burst\.csv:3: row: expected 6 cells, got 5"):
        importers.read(path)


@pytest.mark.parametrize("hook", ["failure", "expand"])
def test_what_an_installed_format_asks_of_its_rows_is_asked_in_long_files(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: dict[str, Any] = {
        "failure": lambda record: "lost" if record["note"] == "lost" else None,
        "expand": lambda record: iter([record, record]),
    }
    known = importers.Format(
        name="mine",
        about="a table",
        kind="csv",
        signatures=(("when", "in.tokens", "out", "note"),),
        input_tokens="in.tokens",
        output_tokens="out",
        time="when",
        job_class="note",
        **{hook: hooks[hook]},
    )
    monkeypatch.setattr(_detect, "formats", lambda: (known,))
    path = tmp_path / "t.csv"
    path.write_text("when,in.tokens,out,note\n1,2,3,lost\n" + "1,2,3,kept\n" * (hook == "failure"))
    imported = importers.read(path)
    assert len(imported.trace) == (1 if hook == "failure" else 2)
    assert imported.trace.job_class is not None
    assert list(imported.trace.job_class) == (["kept"] if hook == "failure" else ["lost", "lost"])


def test_a_column_without_a_name_is_no_id(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(f",{HEAD}7,{ROW}7,{ROW}")
    assert assert_same(path)
    assert list(importers.read(path).trace.id) == ["0", "1"]
