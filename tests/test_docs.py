"""The pages are true: their code runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import doctest
import json
import re
import runpy
import tomllib
from pathlib import Path

import pytest
from typer.core import TyperCommand

import llmsched as package
from llmsched.cli import main
from llmsched.hardware import load_profile
from llmsched.scenario import load_scenario
from tests.pages import PAGES, ROOT, blocks, commands, mentions, name, text

INCOMPLETE = re.compile(r"Missing argument|requires an argument")
NOT_RUN = {
    "hardware calibrate": "takes seconds; tests/cli/test_hardware.py runs it",
    "compare paper-100-cases": "takes minutes",
    "compare code-bursts --policies": "the README's own policy; tests/test_readme.py runs it",
    "compare -": "reads what an engine answered",
}
RUN = [
    page
    for page in PAGES
    if name(page) in ("README.md", "docs/hardware.md", "docs/planner.md", "docs/traces.md")
]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_python_block_runs_by_itself(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "python"):
        (tmp_path / "block.py").write_text(block, encoding="utf-8")
        runpy.run_path("block.py", run_name="block")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_a_block_can_be_typed(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TyperCommand, "invoke", lambda self, context: None)  # parsed, not run
    for command in commands(page):
        assert main(command.words) == 0, f"{command}: {capsys.readouterr().err}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_a_sentence_exists_with_its_options(
    page: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TyperCommand, "invoke", lambda self, context: None)
    for command in mentions(page):
        code = main(command.words)
        error = capsys.readouterr().err
        assert code == 0 or INCOMPLETE.search(error), f"{command}: {error}"


def test_the_pages_hold_as_many_commands_as_the_reader_sees() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 20
    assert sum(len(mentions(page)) for page in PAGES) >= 20


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of the names that the pages use."""
    rows = [
        {"timestamp": 40 * i, "input_length": 20 + i % 50, "output_length": 5 + i % 9}
        for i in range(600)
    ]
    native = "".join(f"{json.dumps(row)}\n" for row in rows)
    for file in ("FILE", "IN"):
        (tmp_path / file).write_text(native)
    classes = [row | {"class": ("chat", "batch")[i % 2]} for i, row in enumerate(rows)]
    (tmp_path / "my-log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in classes))
    vidur = "".join(f"{i / 9},{20 + i},{5 + i % 9}\n" for i in range(40))
    (tmp_path / "my-trace.csv").write_text(
        f"arrived_at,num_prefill_tokens,num_decode_tokens\n{vidur}"
    )
    (tmp_path / "log.csv").write_text(
        "created,prompt_tokens,completion_tokens,model\n500,30,4,a\n0,20,9,b\n"
    )
    (tmp_path / "mine.yaml").write_text("extends: llama3-8b-a100\nname: mine\n")
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}
    lines = [
        {"custom_id": f"r{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for i in range(20)
    ]
    (tmp_path / "batch.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_commands_of_a_page_run_one_after_another(
    page: Path, desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = 0
    for command in commands(page):
        if str(command).removeprefix("llmsched ").startswith(tuple(NOT_RUN)):
            continue
        code = main(command.words)
        printed = capsys.readouterr()
        assert code == 0, f"{command}: {printed.err}"
        if command.target:
            (desk / command.target).write_text(printed.out, encoding="utf-8")
        ran += 1
    assert ran >= 2


def test_the_planners_page_shows_what_the_first_command_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = blocks(ROOT / "docs/planner.md", "")[0].splitlines()
    assert shown[0] == "$ llmsched plan"
    assert main(["plan"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[: len(shown) - 2] == shown[1:-1]
    assert shown[-1].startswith("cpu ")  # which no two runs share


def test_the_profiles_of_the_hardware_page_load(tmp_path: Path) -> None:
    profiles = blocks(ROOT / "docs/hardware.md", "yaml")
    assert len(profiles) == 2
    for block in profiles:
        (tmp_path / "mine.yaml").write_text(block, encoding="utf-8")
        assert f"name: {load_profile(tmp_path / 'mine.yaml').name}\n" in block


def test_the_scenario_of_the_scenarios_page_loads(desk: Path) -> None:
    (block,) = blocks(ROOT / "scenarios/README.md", "yaml")
    (desk / "my-node.yaml").write_text("extends: llama3-8b-a100\nname: my-node\n")
    (desk / "requests.jsonl").write_text((desk / "IN").read_text())
    (desk / "scenario.yaml").write_text(block, encoding="utf-8")
    assert load_scenario("scenario.yaml").name == "my-scenario"


def test_the_importer_on_the_traces_page_is_the_real_one() -> None:
    (block,) = blocks(ROOT / "docs/traces.md", "python")
    assert block == (ROOT / "llmsched/importers/vidur.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(page)):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):.*##", text(ROOT / "Makefile"), re.MULTILINE)
    for target in re.findall(r"(?:`|^    )make ([a-z-]+)", text(page), re.MULTILINE):
        assert target in targets


def test_nothing_installs_llmsched_from_an_index_where_it_is_not() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    extras = {
        re.split(r"[>=<]", item)[0]
        for some in project["optional-dependencies"].values()
        for item in some
    }
    sources = [
        *ROOT.glob("llmsched/**/*.py"),
        *(page for page in PAGES if page.name != "CONTRIBUTING.md"),
    ]
    found = {
        word for file in sources for word in re.findall(r"pip install ([^\s`\"]+)", text(file))
    }
    assert found - extras == {".", "bench/llmsched-*.whl"}


@pytest.mark.parametrize("public", ["load_profile", "lower_bound", "pack", "simulate", "summarize"])
def test_the_main_functions_show_an_example(public: str) -> None:
    function = getattr(package, public)
    assert doctest.DocTestFinder(recurse=False).find(function, public)[0].examples
