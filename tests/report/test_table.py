"""The table: what it shows, that it fits, that its marks survive a pipe."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from llmsched.comparison.against import judged
from llmsched.comparison.document import Document
from llmsched.comparison.gates import parse_gate
from llmsched.errors import InputError
from llmsched.metric import METRICS
from llmsched.report import columns, layout, lead, proven, render
from llmsched.report.layout import shortened
from tests.comparison.results import cell, document, matrix, row
from tests.report.test_formats import DOCUMENTS

WIDTHS = [50, 60, 80, 120, 200]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_table_fits_its_width(name: str, width: int) -> None:
    tables = render(DOCUMENTS[name](), "table", width=width)
    # the reason of a failed gate is one line, however long
    lines = [line for line in tables.splitlines() if "FAILED" not in line]
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_width_loses_or_cuts_a_number(name: str, width: int) -> None:
    """Nor a title: whatever a page of any width holds stands in every other, as often."""
    ample, here = (render(DOCUMENTS[name](), "table", width=w).split() for w in (1000, width))
    names = {"policy", "max_num_seqs", "makespan_s,", "utilization,", "fcfs", "ljf", "sjf", "mine"}
    lost = Counter(ample) - Counter(here)
    assert not lost
    assert set(Counter(here) - Counter(ample)) <= {
        *names,
        "points",
        "s",
        "(lower",
        "bound)",
        "load",
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_table_is_the_same_bytes_twice(name: str) -> None:
    assert render(DOCUMENTS[name](), "table") == render(DOCUMENTS[name](), "table")


def test_what_a_line_has_no_room_for_goes_on_beneath_with_the_names_again() -> None:
    rows = row("fcfs", makespan_s=12345.6), row("a-long-policy-name", makespan_s=23456.7)
    lines = render(document(*rows), "table", width=80).splitlines()
    heads = [line.split() for line in lines if line.startswith("policy")]
    assert heads[0][:6] == ["policy", "total", "Δ", "total", "util", "eff"]
    assert heads[1] == ["policy", "p99", "mean"]
    assert sum(line.startswith("a-long-policy-name ") for line in lines) == 2


def test_a_wide_terminal_has_one_line_a_policy() -> None:
    lines = render(document(row("fcfs")), "table", width=200).splitlines()
    assert sum(line.startswith("fcfs") for line in lines) == 1
    assert [" ".join(line.split()) for line in lines[2:5]] == [
        "policy total Δ total util eff gap to output mean p99 mean",
        "s vs fcfs % % bound % tok/s TTFT ms TTFT ms TPOT ms",
        "fcfs 100.00 – 80.00 75.00 25.00 1,000 200 500 20.00",
    ]


def test_a_long_name_is_folded_and_never_lost() -> None:
    name = "ljf+lagrangian:multiplier=0.25:extra_rounds=12:adapt=True"
    lines = render(document(row("fcfs"), row(name)), "table", width=80).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("ljf+"))
    assert "".join(line[:20].strip() for line in lines[at : at + 3]) == name
    assert name in render(document(row("fcfs"), row(name)), "table", width=200)


def test_a_metric_with_a_title_has_a_column_and_no_other_edit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    titled = replace(METRICS["p90_e2el_ms"], title=("p90", "E2EL ms"))
    for module in (layout, lead, columns, proven):
        monkeypatch.setattr(module, "METRICS", {**METRICS, titled.name: titled})
    text = render(document(row("fcfs", p90_e2el_ms=1234.5)), "table")
    assert "E2EL ms" in text
    assert "1,234" in text.split()


def test_the_delta_is_marked_by_direction_in_plain_text() -> None:
    rows = [row("fcfs"), row("ljf", makespan_s=90.0), row("sjf", makespan_s=110.0), row("same")]
    lines = render(document(*rows), "table").splitlines()
    assert _line(lines, "fcfs").split()[2] == "–"
    assert "✓ -10.00%" in _line(lines, "ljf")
    assert "✗ +10.00%" in _line(lines, "sjf")
    assert _line(lines, "same").split()[2] == "="


def test_the_family_stands_under_the_table_as_ranges() -> None:
    lines = render(DOCUMENTS["family"](), "table").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("over 2 reconstructions"))
    assert lines[at].startswith("over 2 reconstructions (the one above, another):")
    fcfs, ljf = (" ".join(lines[i].split()) for i in (-2, -1))
    assert fcfs == "fcfs 100.00 – 80.00 – 25.00"
    assert ljf == "ljf 90.00 … 95.00 -10.00 … -5.00 80.00 +0.00 25.00"


def test_colours_only_add_to_the_plain_text() -> None:
    for build in DOCUMENTS.values():
        plain = render(build(), "table", width=100)
        colored = render(build(), "table", width=100, color=True)
        assert "\x1b" not in plain
        assert "\x1b" in colored
        assert re.sub(r"\x1b\[\d+m", "", colored) == plain


def test_published_rows_stand_beneath_a_line_that_says_so() -> None:
    published = [{"policy": "paper", "metrics": {"makespan_s": 190.58}, "source": "arXiv 1"}]
    lines = render(document(row("fcfs"), published=published), "table").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("published, not simulated"))
    assert "arXiv 1" in lines[at]
    assert lines[at + 1].split() == ["paper", "190.58"]
    assert lines[at - 1].split() == ["(lower", "bound)", "80.00"]


def test_a_missing_metric_is_a_blank_not_a_zero() -> None:
    rows = row("fcfs", mean_ttft_ms=None), row("ljf")
    fcfs, ljf = render(document(*rows), "table", width=200).splitlines()[4:6]
    assert len(fcfs.split()) == len(ljf.split()) - 1
    assert fcfs.split()[-2:] == ["500", "20.00"]


def test_slo_attainment_has_a_column_when_there_is_an_objective() -> None:
    text = render(document(row("fcfs", slo_attainment=0.955), slo={"ttft_ms": 100}), "table")
    assert "95.5" in _line(text.splitlines(), "fcfs")


def test_against_an_earlier_result_the_worst_changes_come_first() -> None:
    base = document(row("fcfs", makespan_s=50.0, utilization=0.1))
    result = judged(document(row("fcfs")), [parse_gate("makespan_s:2%")], base, "x/base.json")
    lines = render(result, "table").splitlines()
    at = lines.index("against base.json: 1 worse, 1 better")
    assert lines[at + 1].split() == ["✗", "fcfs", "makespan_s", "50", "→", "100", "s", "+100.00%"]
    assert lines[at + 2].split() == ["✓", "fcfs", "utilization", "0.1", "→", "0.8", "+700.00%"]
    assert any(line.startswith("✗ FAILED fcfs (makespan_s:2%)") for line in lines)
    assert "✗ gates: 0 of 1 passed" in lines


def _matrix() -> Document:
    return matrix(
        *(
            cell(
                *(
                    row(policy, makespan_s=100.0 - i)
                    for i in range(n)
                    for policy in [f"policy-{i}"]
                ),
                label={"max_num_seqs": str(n)},
            )
            for n in (9, 12)
        ),
        baseline="policy-0",
    )


def test_a_matrix_is_a_pivot_with_the_best_of_each_row_starred() -> None:
    text = render(_matrix(), "table", width=200)
    (line,) = [line for line in text.splitlines() if line.startswith("12 ")]
    assert "*89.00" in line
    assert line.count("*") == 1
    (short,) = [line for line in text.splitlines() if line.startswith("9 ")]
    assert short.count("–") == 3  # three policies did not run there


def test_a_wide_matrix_is_cut_into_blocks_that_each_carry_the_labels() -> None:
    text = render(_matrix(), "table", width=80)
    assert max(map(len, text.splitlines())) <= 80
    heads = [line for line in text.splitlines() if line.startswith("max_num_seqs")]
    assert len(heads) == 2
    assert sum(line.count("policy-") for line in heads) == 12


def test_a_matrix_may_be_shown_by_another_metric() -> None:
    text = render(_matrix(), "table", pivot="utilization")
    assert "utilization (higher is better" in text
    with pytest.raises(InputError, match="did you mean utilization"):
        render(_matrix(), "table", pivot="utilisation")


MIXED = {"name": "node", "step_time": {"kind": "affine"}}


def test_a_pivot_of_a_metric_without_a_direction_stars_nothing() -> None:
    rows = row("fcfs", steps=1), row("ljf", utilization=0.7, steps=2)
    exclusive = cell(*rows, label={"hardware": "exclusive"})
    mixed = cell(*rows, label={"hardware": "mixed"}, hardware=MIXED)
    both = render(matrix(exclusive, mixed), "table", pivot="utilization")
    assert "\nutilization (higher is better where steps are never mixed, * best" in both
    assert both.count("*0.8") == 1
    assert re.search(r"^mixed +0.8 +0.7$", both, re.MULTILINE)
    alone = matrix(mixed, {**mixed, "label": {"hardware": "2"}})
    assert re.search(r"^utilization$", render(alone, "table", pivot="utilization"), re.MULTILINE)
    steps = render(matrix(exclusive, mixed), "table", pivot="steps")
    assert re.search(r"^steps$", steps, re.MULTILINE)
    assert "*" not in steps


def test_a_study_shows_the_share_that_has_a_direction_on_its_profile() -> None:
    common = dict.fromkeys(("mean", "ci_low", "ci_high", "p2_5", "p97_5", "worst"), 0.05)
    counts = {"mean_percent": 6.0, "better": 3, "equal": 0, "worse": 0, "worst_case": 0}
    names = ("makespan_s", "utilization", "efficiency", "p99_ttft_ms")
    pairs = [{"policy": "ljf", "metric": name, **common, **counts} for name in names]
    cases: dict[str, Any] = {"cases": {"count": 3, "draw": "bootstrap"}, "paired": pairs}
    for hardware, told, other in (
        (cell()["hardware"], "utilization", "efficiency"),
        (MIXED, "efficiency", "utilization"),
    ):
        study = document(row("fcfs"), row("ljf"), hardware=hardware, **cases)
        table, markdown = render(study, "table"), render(study, "markdown")
        assert f"{told}, points" in table
        assert f"{other}, points" not in table
        assert f"| ljf | {told} | +0.05 " in markdown
        assert f"| ljf | {other} | " not in markdown


def test_a_policy_of_parts_from_files_keeps_every_part_in_its_name() -> None:
    specs = ("./mine.py:Rule", "ljf+./mine.py:Rule", "sjf+./mine.py:Rule")
    shown = render(document(*map(row, specs), baseline=specs[0]), "table").splitlines()
    assert [line.split()[0] for line in shown[4:7]] == ["Rule", "ljf+Rule", "sjf+Rule"]
    assert "vs Rule" in shown[3]


def test_a_long_name_loses_its_middle() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 10) == "abcd…ghijk"


def _line(lines: list[str], policy: str) -> str:
    return next(line for line in lines if line.startswith(policy))


def _arrivals(*rows: dict[str, Any], **changes: Any) -> Document:
    load = {"offered": 2.0, "most": 4.0, "span_s": 95.0, "requests": 190}
    return document(*rows, load=load, **changes)


def _heads(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.startswith("policy")]


def test_where_arrivals_decide_the_total_latency_leads_and_the_total_is_there_too() -> None:
    rows = [row("fcfs", completed=190), row("ljf", completed=190, mean_ttft_ms=150.0)]
    text = render(_arrivals(*rows), "table", width=200)
    assert "load 0.50: 2 requests/s of at most 4\n" in text
    assert _heads(text) == ["policy mean Δ mean TTFT p99 mean total util eff gap to output"]
    lines = text.splitlines()
    assert _line(lines, "ljf").split()[1:4] == ["150", "✓", "-25.00%"]
    assert "100.00" in _line(lines, "fcfs").split()
    assert "latency" not in text


def test_with_an_objective_the_policies_are_judged_by_goodput() -> None:
    rows = [row("fcfs", completed=190, request_goodput=1.0, slo_attainment=0.5)]
    rows += [row("ljf", completed=190, request_goodput=1.5, slo_attainment=0.75)]
    text = render(_arrivals(*rows, slo={"ttft_ms": 200}), "table", width=200)
    assert _heads(text)[0].startswith("policy goodput Δ goodput SLO mean p99")
    assert _line(text.splitlines(), "ljf").split()[1:5] == ["1.50", "✓", "+50.00%", "75.0"]


def test_an_overloaded_engine_is_judged_by_its_total() -> None:
    rows = [row("fcfs", makespan_s=120.0, completed=190, offered=190, p99_queue_ms=24_000.0)]
    text = render(_arrivals(*rows), "table", width=200)
    assert "overloaded: the queue grows, 2 offered, 1.58 served" in text
    assert _heads(text)[0].startswith("policy total Δ total")


def test_long_latencies_are_shown_in_seconds() -> None:
    rows = [row("fcfs", completed=190, mean_e2el_ms=12_345.0, p99_e2el_ms=50_000.0)]
    text = render(_arrivals(*rows), "table", width=200)
    assert _line(text.splitlines(), "fcfs").split()[5:7] == ["12.35", "50.00"]
    assert "E2EL s" in text


def test_metrics_that_are_asked_for_are_the_columns_and_the_first_one_is_compared() -> None:
    rows = [row("fcfs", kv_peak=0.5), row("ljf", kv_peak=0.5, mean_tpot_ms=10.0)]
    asked = ["mean_tpot_ms", "kv_peak"]
    text = render(document(*rows), "table", metrics=asked)
    assert _heads(text) == ["policy mean Δ mean TPOT"]
    assert _line(text.splitlines(), "ljf").split() == ["ljf", "10.00", "✓", "-50.00%", "0.50"]
    table_ = render(document(*rows), "markdown", metrics=asked)
    assert "| policy | mean TPOT ms | Δ mean TPOT vs fcfs | kv_peak |" in table_


def test_a_change_of_a_metric_without_a_direction_has_no_mark() -> None:
    rows = [row("fcfs", kv_peak=0.5), row("ljf", kv_peak=0.25)]
    text = render(document(*rows), "table", metrics=["kv_peak"])
    assert _line(text.splitlines(), "ljf").split() == ["ljf", "0.25", "-50.00%"]


def test_a_change_beyond_a_thousand_percent_is_a_factor() -> None:
    rows = [row("fcfs"), row("ljf", makespan_s=1100.0)]
    assert "✗ 11.0x" in _line(render(document(*rows), "table").splitlines(), "ljf")


def test_a_matrix_shows_the_load_and_what_each_of_its_cells_is_judged_by() -> None:
    load = {"offered": 2.0, "most": 4.0, "span_s": 95.0, "requests": 190}
    rows = [row("fcfs", completed=190), row("ljf", completed=190)]
    calm, batch = cell(*rows, label={"slots": "4"}, load=load), cell(*rows, label={"slots": "8"})
    text = render(matrix(calm, calm | {"label": {"slots": "5"}}), "table")
    assert "mean_ttft_ms, ms" in text
    assert "makespan_s" not in text
    lines = [" ".join(line.split()) for line in render(matrix(calm, batch), "table").splitlines()]
    assert lines[lines.index("slots load fcfs ljf") + 1] == "4 0.50 *200.00 *200.00"
    assert lines[lines.index("slots load bound fcfs ljf") + 1] == "4 0.50 80.00 *100.00 *100.00"
