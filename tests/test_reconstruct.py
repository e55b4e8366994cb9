"""The family of reconstructions: all give the published figures, and their digits are solved."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import reconstruct
from benchmarks.reconstruct import FAMILY, Member
from llmsched.batching.whole_stage import WholeStage
from llmsched.catalog import find
from llmsched.finding import find_trace
from llmsched.hardware import load_profile
from llmsched.importers import load
from llmsched.metrics import utilization
from llmsched.replay import simulate

members = pytest.mark.parametrize("member", FAMILY, ids=lambda member: member.profile)


@members
def test_a_member_gives_the_published_figures_to_their_digits(member: Member) -> None:
    got = reconstruct.figures(load(find_trace(member.trace)), load_profile(member.profile))
    assert f"{got['makespan_s']:.2f}" == "201.00"
    assert f"{100 * got['utilization']:.2f}" == "80.20"
    assert f"{got['lower_bound_s']:.2f}" == "180.00"


@members
def test_a_member_calls_the_bound_an_input_and_itself_calibrated(member: Member) -> None:
    provenance = load_profile(member.profile).provenance
    assert provenance["status"] == "calibrated"
    assert "the bound is an input here, not a prediction" in str(provenance["method"])
    assert f"FCFS on {member.trace} takes" in str(provenance["method"])


def test_the_shipped_digits_are_those_that_are_solved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reconstruct", "--check"])
    with pytest.raises(SystemExit) as ended:
        reconstruct.main()
    assert ended.value.code == 0, capsys.readouterr().out


def test_a_wrong_digit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    member = FAMILY[0]
    text = member.path.read_text(encoding="utf-8")
    wrong = tmp_path / member.path.name
    wrong.write_text(text.replace("68.892343", "68.892344"), encoding="utf-8")
    monkeypatch.setattr(Member, "path", wrong)
    trace = load(find_trace(member.trace))
    assert reconstruct.written(member, reconstruct.solve(member, trace)) == text


def test_figures_that_no_prices_give_end_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    impossible = {**reconstruct.PUBLISHED, "lower_bound_s": 202.0}
    monkeypatch.setattr(reconstruct, "PUBLISHED", impossible)
    with pytest.raises(SystemExit, match="no such prices give the published figures"):
        reconstruct.solve(FAMILY[0], load(find_trace(FAMILY[0].trace)))


LITERAL = {
    ("llama65b-8gpu-paper", 1.0): "197.17 s, 88.55 %",
    ("llama65b-8gpu-paper", 0.5): "193.12 s, 90.08 %",
    ("llama65b-8gpu-common-setup", 1.0): "185.55 s, 92.53 %",
}


@pytest.mark.parametrize(("profile", "m"), LITERAL)
def test_the_reading_of_the_abstract_gives_what_it_is_said_to_give(profile: str, m: float) -> None:
    policy = replace(find("literal"), rule=WholeStage(m))
    result = simulate(load(find_trace("gsm8k-llama65b")), load_profile(profile), policy)
    shown = f"{result.makespan:.2f} s, {100 * utilization(result):.2f} %"
    assert shown == LITERAL[profile, m]


OTHERS = ("fcfs", "static", "random", "sjf", "ljf", "offline", "literal", "online")


@members
def test_in_every_member_the_hybrid_is_at_least_as_good_as_every_other_policy(
    member: Member,
) -> None:
    trace, hardware = load(find_trace(member.trace)), load_profile(member.profile)
    best = min(simulate(trace, hardware, find(name)).makespan for name in OTHERS)
    assert simulate(trace, hardware, find("hybrid")).makespan <= best
