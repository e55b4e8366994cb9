"""Formats that installed packages bring."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmsched.errors import InputError
from llmsched.importers import Format, read
from llmsched.importers._format import formats

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
    [("gateway", f"{__name__}:NO_FORMAT"), ("other", f"{__name__}:GATEWAY")],
    indirect=True,
)
def test_what_is_no_format_of_its_name_is_refused(offered: None) -> None:
    with pytest.raises(InputError, match=r"^entry point llmsched.importers: .*: expected a Form"):
        formats()
