"""Reading in blocks: the same table as row by row, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz import fixtures, mutants
from llmsched import exporters, importers
from llmsched.errors import InputError
from llmsched.importers import TraceOptions, _bulk
from llmsched.importers._table import Table
from llmsched.trace import Trace
from tests.importers.strategies import traces

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROW = "2023-11-16 18:15:46.6805900,374,44\n"


@pytest.fixture(autouse=True)
def _always_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_bulk, "LEAST", 0)


def in_blocks(path: Path, **options: str) -> Table | None:
    found = importers._in_blocks(path, TraceOptions(**options), lambda rows: None)  # type: ignore[arg-type]
    return None if found is None else found[1]


def row_by_row(path: Path) -> Table | None:
    try:
        return importers._row_by_row(path, TraceOptions(), lambda rows: None)[1]
    except InputError:
        return None


def assert_same(path: Path) -> bool:
    """Hold both ways of reading against each other; return whether blocks were enough."""
    blocks, rows = in_blocks(path), row_by_row(path)
    if blocks is None:
        return False
    assert rows is not None, "blocks accept what no row does"
    assert vars(blocks) == vars(rows)
    return True


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
    assert read > 20


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
