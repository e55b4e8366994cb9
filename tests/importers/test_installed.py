"""Formats that installed packages bring."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmsched.errors import InputError
from llmsched.importers import Format, _bulk, read
from llmsched.importers._detect import formats

GATEWAY = Format(
    name="gateway",
    about="gateway CSV: received_us, prompt_tok, answer_tok",
    kind="csv",
    signatures=(("received_us", "prompt_tok", "answer_tok"),),
    time="received_us",
    unit="us",
    input_tokens="prompt_tok",
    output_tokens="answer_tok",
)
NO_FORMAT = "a text"


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    name, value = request.param
    entry = importlib.metadata.EntryPoint(name, value, "llmsched.importers")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [entry] if group == entry.group else []
    )
    formats.cache_clear()
    yield
    formats.cache_clear()


@pytest.mark.parametrize("offered", [("gateway", f"{__name__}:GATEWAY")], indirect=True)
def test_a_format_of_an_installed_package_is_recognised(offered: None, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("received_us,prompt_tok,answer_tok\n0,300,7\n750000,40,9\n")
    imported = read(path)
    assert imported.format == "gateway"
    assert imported.trace.arrival.tolist() == [0.0, 0.75]


@pytest.mark.parametrize("offered", [("azure", f"{__name__}:GATEWAY")], indirect=True)
def test_a_name_that_is_taken_is_left_out_with_a_warning(
    offered: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "gateway" not in [form.name for form in formats()]
    assert capsys.readouterr().err == (
        f"warning: entry point llmsched.importers: azure = {__name__}:GATEWAY: "
        "the name is taken, so this one is left out\n"
    )


@pytest.mark.parametrize(
    "offered",
    [
        ("gateway", f"{__name__}:NO_FORMAT"),
        ("other", f"{__name__}:GATEWAY"),
        ("gateway", "no_such_module:X"),
    ],
    indirect=True,
)
def test_what_is_no_format_of_its_name_is_left_out_with_a_warning(
    offered: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "azure.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n")
    assert len(read(path).trace) == 1
    said = capsys.readouterr().err
    assert said.startswith("warning: entry point llmsched.importers: ")
    assert said.endswith("; it is left out\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "jsonl"}, "kind: expected one of any, csv, json; got 'jsonl'"),
        ({"unit": "usec"}, "unit: expected one of any, date, ms, ns, s, us; got 'usec'"),
        ({"signatures": ("a", "b")}, r"signatures\[0\]: expected a list, got 'a'"),
        ({"signatures": ()}, "signatures: expected a list of at least one"),
        ({"input_tokens": None}, "input_tokens: expected a text, got None"),
        ({"failure": "error"}, "failure: expected a function, got 'error'"),
        ({"expand": 3}, "expand: expected a function, got 3"),
        ({"time_may_be_missing": "yes"}, "time_may_be_missing: expected true or false"),
    ],
)
def test_a_format_with_a_wrong_field_cannot_be_made(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        replace(GATEWAY, **change)


def _raises(record: object) -> Any:
    raise KeyError("status")


RAISING = replace(GATEWAY, failure=_raises)
NO_REASON = replace(GATEWAY, failure=lambda record: 3)  # type: ignore[arg-type,return-value]  # on purpose
UNREAD = replace(GATEWAY, expand=_raises)
NO_RECORDS = replace(GATEWAY, expand=lambda record: [3])  # type: ignore[list-item]  # on purpose


@pytest.mark.parametrize(
    ("offered", "message"),
    [
        (
            ("gateway", f"{__name__}:RAISING"),
            r"failure: test_installed\.py:\d+: KeyError: 'status'",
        ),
        (("gateway", f"{__name__}:NO_REASON"), "failure: expected a text, got 3"),
        (("gateway", f"{__name__}:UNREAD"), r"expand: test_installed\.py:\d+: KeyError: 'status'"),
        (("gateway", f"{__name__}:NO_RECORDS"), "expand: expected a mapping for each request"),
    ],
    indirect=["offered"],
)
@pytest.mark.parametrize("least", [0, 10**6])
def test_what_a_foreign_function_does_wrong_is_one_line(
    offered: None, message: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_bulk, "LEAST", least)
    path = tmp_path / "log.csv"
    path.write_text("received_us,prompt_tok,answer_tok\n0,300,7\n")
    with pytest.raises(InputError, match=f"^entry point llmsched.importers: .*: {message}"):
        read(path)


AZURE_TOO = Format(
    name="gateway",
    about="the same header as azure's",
    kind="csv",
    signatures=(("TIMESTAMP", "ContextTokens", "GeneratedTokens"),),
    time="TIMESTAMP",
    unit="date",
    input_tokens="GeneratedTokens",
    output_tokens="ContextTokens",
)


@pytest.mark.parametrize("offered", [("gateway", f"{__name__}:AZURE_TOO")], indirect=True)
def test_a_signature_that_is_taken_changes_nothing(offered: None, tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,374,44\n")
    imported = read(path)
    assert imported.format == "azure"
    assert imported.trace.input_tokens.tolist() == [374]
