"""Reading measured steps, and every row that is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from llmsched.calibration.measured import read_steps
from llmsched.errors import InputError

HEAD = "kind,num_prefill_tokens,num_decode_seqs,kv_tokens,step_ms,sum_sq_prefill"


def _written(path: Path, *rows: str, head: str = HEAD) -> Path:
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def test_columns_are_found_by_name_and_times_become_seconds(tmp_path: Path) -> None:
    rows = ("decode,0,8,4096,12.5,0", "prefill,100,0,0,30,10000", "mixed,100,8,4096,33,10000")
    steps = read_steps(_written(tmp_path / "steps.csv", *rows))
    assert steps.seconds.tolist() == [0.0125, 0.03, 0.033]
    assert steps.tokens.tolist() == [8, 100, 108]
    assert steps.sum_sq is not None
    assert steps.sum_sq.tolist() == [0, 10000, 10000]
    assert steps.sum_x_context is None
    assert {kind: int(rows.sum()) for kind, rows in steps.kinds.items()} == {
        "decode": 1,
        "prefill": 1,
        "mixed": 1,
    }


def test_a_gzipped_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv.gz"
    path.write_bytes(gzip.compress(f"\ufeff{HEAD}\ndecode,0,8,4096,12.5,0\n".encode()))
    assert len(read_steps(path)) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("decode,0,8,4096,-1,0", r"steps.csv:2: step_ms: expected a number > 0, got '-1'"),
        ("decode,0,8,4096,0,0", r"steps.csv:2: step_ms: expected a number > 0, got '0'"),
        ("decode,0,8,4096,nan,0", r"steps.csv:2: step_ms: expected a number > 0, got 'nan'"),
        ("decode,0,8,-5,12,0", r"steps.csv:2: kv_tokens: expected a number >= 0, got '-5'"),
        ("decode,0,eight,1,12,0", r"num_decode_seqs: expected a number >= 0, got 'eight'"),
        ("decode,0,8,inf,12,0", r"kv_tokens: expected a number >= 0, got 'inf'"),
        ("decode,0,8,1,12", r"steps.csv:2: row: expected 6 fields, got 5"),
        ("decode,0,0,0,12,0", r"num_prefill_tokens: expected a step with tokens, got none"),
    ],
)
def test_a_bad_row_is_one_line_with_file_line_and_column(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_steps(_written(tmp_path / "steps.csv", row))


def test_a_file_without_a_column_rows_or_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: kv_tokens: expected this column, got num_prefill"):
        read_steps(_written(tmp_path / "a.csv", head="num_prefill_tokens,num_decode_seqs,step_ms"))
    with pytest.raises(InputError, match="expected steps below the header, got none"):
        read_steps(_written(tmp_path / "b.csv"))
    with pytest.raises(InputError, match="cannot read"):
        read_steps(tmp_path / "none.csv")
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe,\n")
    with pytest.raises(InputError, match=r"c.csv:1: expected UTF-8 text"):
        read_steps(tmp_path / "c.csv")
    (tmp_path / "d.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(
        InputError, match=r"d.csv.gz:1: kv_tokens|num_prefill_tokens: expected this"
    ):
        read_steps(tmp_path / "d.csv.gz")
