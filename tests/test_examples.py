"""The policies of ``docs/examples``: short, of public names alone, and what they say they are."""

from __future__ import annotations

import ast
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched import Trace
from llmsched.catalog import find
from llmsched.cli import main
from llmsched.config import EngineConfig
from llmsched.contract import Jobs, Policy, Sequence, Step, View
from llmsched.engine import SimulationResult
from llmsched.hardware import HardwareProfile
from llmsched.hardware.stages import Stages
from llmsched.policies import NAMED
from llmsched.replay import simulate
from tests.cases import Case, cases
from tests.pages import blocks, text
from tests.policies_at_hand import EXAMPLES, WRITTEN

HAND = HardwareProfile("hand", Stages(decode_round=1.0, per_stage=0.5, per_token=0.25))
"""A round takes 1 s, a prefill stage 0.5 s + 0.25 s a token."""

SRPT, PEAK_KV, BEST_FIT = WRITTEN.values()
PUBLIC = {"llmsched.contract", "llmsched.orders", "llmsched.batching"}
FILES = sorted(EXAMPLES.glob("*.py"))


def replay(
    policy: Policy, rows: list[tuple[float, int, int]], slots: int, blocks: int | None = None
) -> SimulationResult:
    """Replay (arrival, input, output) on so many slots and KV blocks of one token each."""
    arrival, prompt, output = zip(*rows, strict=True)
    trace = Trace.from_columns(arrival, prompt, output)
    usable = None if blocks is None else blocks + 1
    return simulate(trace, HAND, policy, EngineConfig(slots, num_gpu_blocks=usable, block_size=1))


def order(result: SimulationResult) -> list[int]:
    return [int(i) for i in np.argsort(result.admitted, kind="stable")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_is_under_forty_lines_of_public_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 40
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("llmsched"):
            assert node.module in PUBLIC


def test_the_page_shows_one_as_it_is_and_links_all() -> None:
    page = EXAMPLES.parent / "policies.md"
    assert blocks(page, "python") == [(EXAMPLES / "srpt.py").read_text(encoding="utf-8")]
    assert all(f"(examples/{path.name})" in text(page) for path in FILES)


def test_the_page_says_what_a_view_its_requests_and_a_step_have() -> None:
    page = text(EXAMPLES.parent / "policies.md")
    names = {name for one in (View, Jobs) for name in dir(one) if not name.startswith("_")}
    names |= {*Sequence._fields, *(one.name for one in fields(Step))}
    assert {name for name in names if not re.search(rf"`{name}\b", page)} == set()


def test_all_are_tried() -> None:
    assert {name.partition(":")[0] for name in WRITTEN} == {path.name for path in FILES}


def test_a_shorter_one_takes_the_slot_of_the_one_with_most_to_go() -> None:
    # 0 has its first token at 0.75 s and would have its tenth after nine rounds. At 2.75 s, two
    # rounds later, it has seven to go; 1 has come, with two: a stage (0.75 s) and a round, until
    # 4.5 s. Then 0 computes its prompt and three tokens again, 4 tokens in 1.5 s, which yields its
    # fourth; six more rounds end at 12 s.
    rows = [(0.0, 1, 10), (2.0, 1, 2)]
    result = replay(SRPT, rows, 1)
    assert result.finish.tolist() == [12.0, 4.5]
    assert result.preemptions.tolist() == [1, 0]
    assert result.recomputed_tokens.tolist() == [3, 0]
    first_come = replay(NAMED["fcfs"], rows, 1)
    assert first_come.finish.tolist() == [9.75, 11.5]
    assert (result.finish - result.arrival).mean() < (first_come.finish - first_come.arrival).mean()


def test_a_longer_one_waits_and_an_equal_one_does_too() -> None:
    result = replay(SRPT, [(0.0, 1, 4), (1.0, 1, 3), (1.0, 1, 9)], 1)
    assert result.preemptions.sum() == 0  # at 1.75 s, three have three, three and nine to go
    assert order(result) == [0, 1, 2]


def test_a_shorter_one_also_takes_the_blocks_it_needs() -> None:
    # 0 holds 4 of 6 blocks and more with each round; 1 needs 3, and has one token to go.
    result = replay(SRPT, [(0.0, 4, 3), (1.0, 3, 1)], 2, blocks=6)
    assert result.preemptions.tolist() == [1, 0]
    assert result.finish[1] < result.finish[0]


def test_who_does_not_fit_at_the_predicted_peak_is_passed_over() -> None:
    # Each counts a block in vain: 0 comes to 2 + 8 + 1 = 11 of 15 blocks. Beside it 1, with as many
    # tokens, would come to 22; 2, which has gone before 0 has grown, to (2 + 1) + 2 * (1 + 1).
    rows = [(0.0, 2, 8), (0.0, 2, 8), (0.0, 1, 1)]
    result = replay(PEAK_KV, rows, 3, blocks=15)
    assert order(result) == [0, 2, 1]
    assert result.admitted.tolist()[:3:2] == [0.0, 0.0]
    assert result.admitted[1] == result.finish[0]
    assert result.preemptions.sum() == 0
    greedy = replay(NAMED["fcfs"], rows, 3, blocks=15)
    assert greedy.admitted.tolist() == [0.0, 0.0, 0.0]
    assert greedy.preemptions.sum() > 0


@given(cases(kv=True))
def test_nobody_is_preempted_where_predictions_are_true_and_the_peak_is_kept(case: Case) -> None:
    config = EngineConfig(
        case.config.max_num_seqs,
        num_gpu_blocks=case.config.num_gpu_blocks,
        block_size=case.config.block_size,
    )
    result = simulate(case.trace, case.hardware, PEAK_KV, config)
    assert result.preemptions.sum() == 0


def test_the_one_that_fills_the_free_blocks_best_is_next() -> None:
    # They end with 10, 8, 2 and 10 tokens. 0, the first of two that would fill 10 blocks, leaves 2
    # free for now, which are enough for 2; when both have finished, 3 comes before 1.
    rows = [(0.0, 8, 2), (0.0, 4, 4), (0.0, 1, 1), (0.0, 6, 4)]
    result = replay(BEST_FIT, rows, 4, blocks=10)
    assert order(result) == [0, 2, 3, 1]
    assert result.admitted[2] == result.admitted[0] == 0.0
    assert result.admitted[3] == result.finish[0]
    assert result.admitted[1] == result.finish[3]


@given(cases(), st.sampled_from([*WRITTEN]))
def test_each_serves_everybody(case: Case, name: str) -> None:
    config = replace(case.config, admission="full_prompt")  # "first_chunk" has livelocks of its own
    result = replace(case, config=config).replay(WRITTEN[name])
    assert (result.finish >= result.first_token).all()


@pytest.mark.parametrize("offline", [[], ["--offline"]])
@pytest.mark.parametrize("name", WRITTEN)
def test_each_runs_from_the_command_line(
    name: str,
    offline: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(EXAMPLES.parent.parent)
    few = ["--hardware", "llama3-8b-a100", "--num-gpu-blocks", "330", "--lengths", "noisy:0.4"]
    words = ["simulate", "sharegpt-llama31-300", "--policy", f"./docs/examples/{name}"]
    assert main([*words, *few, *offline]) == 0, capsys.readouterr().err
    assert find(f"./docs/examples/{name}").name in capsys.readouterr().out
