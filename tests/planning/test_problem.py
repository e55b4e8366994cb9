"""What is planned: how well lengths are known decides what the plan sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.lengths import predict
from llmsched.planning.problem import Problem
from llmsched.trace import Trace
from tests.hand import STAGES, outputs, trace_of


def problem(lengths: str, samples: int = 100) -> Problem:
    return Problem(trace_of(outputs(2, 4, 9)), STAGES, EngineConfig(), lengths, samples=samples)


@pytest.mark.parametrize(
    ("lengths", "seen", "error"),
    [
        ("oracle", [2, 4, 9], None),
        ("mean", [5, 5, 5], None),
        ("noisy:0.25", [2, 4, 9], 0.25),  # planned on the trace's, judged by draws around them
    ],
)
def test_a_plan_sees_the_lengths_that_are_known(
    lengths: str, seen: list[int], error: float | None
) -> None:
    planned = problem(lengths)
    assert planned.output_tokens().tolist() == seen
    assert planned.error == error


def test_a_line_is_refused_with_any_of_its_sequences() -> None:
    trace = trace_of(outputs(2, 4, 9, 3, 5))
    lines = np.array([0, 0, 1, 2, 2])
    config = EngineConfig(max_model_len=int(trace.input_tokens[0]) + 1)
    whole = Problem(trace, STAGES, EngineConfig(), line_of=lines)
    assert (whole.lines, whole.groups.tolist()) == (3, [0, 0, 1, 2, 2])
    prompts = trace.input_tokens.copy()
    prompts[1] += 5
    some = Problem(replace(trace, input_tokens=prompts), STAGES, config, line_of=lines)
    assert some.served.rows.tolist() == [2, 3, 4]
    assert (some.served.refusal > 0).tolist() == [True, True, False, False, False]
    assert (some.lines, some.groups.tolist()) == (2, [0, 1, 1])
    prompts[3:] += 5
    prompts[2] += 5
    with pytest.raises(InputError, match="no request is served"):
        Problem(replace(trace, input_tokens=prompts), STAGES, config, line_of=lines)


def test_requests_that_nothing_ties_are_groups_of_their_own() -> None:
    assert problem("oracle").groups.tolist() == [0, 1, 2]
    assert problem("oracle").lines == 3


def test_the_predictions_of_a_batch_file_are_its_trace() -> None:
    batch = replace(problem("max_tokens"), estimated=True)
    assert batch.output_tokens().tolist() == batch.seen().tolist() == [2, 4, 9]


def test_replicas_see_noisy_lengths_as_every_replay_does() -> None:
    planned = replace(problem("noisy:0.25"), seed=7)
    assert planned.seen().tolist() == predict(planned.trace, "noisy:0.25", 7).tolist()
    assert planned.seen().tolist() != [2, 4, 9]


def test_a_mode_that_there_is_not_is_refused() -> None:
    for mode in ("foo", "max_tokens"):
        with pytest.raises(InputError, match=r"^lengths: expected oracle, mean, noisy:CV or trace"):
            problem(mode).output_tokens()


def test_a_bad_error_is_refused_as_every_command_refuses_it() -> None:
    with pytest.raises(InputError, match=r"^lengths: noisy: expected a coefficient of variation"):
        _ = problem("noisy:much").error


def test_there_must_be_a_sample() -> None:
    with pytest.raises(InputError, match=r"^samples: expected an integer >= 1, got 0$"):
        problem("noisy:0.1", samples=0)


def test_an_objective_is_known_and_fits_the_lengths() -> None:
    with pytest.raises(InputError, match="objective: expected makespan or expected, got 'best'"):
        replace(problem("noisy:0.3"), objective="best")
    with pytest.raises(InputError, match="objective: 'expected' needs lengths noisy:CV"):
        replace(problem("mean"), objective="expected")


def test_a_trace_with_sessions_is_not_planned() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [2, 2], session=["a", "a"], name="chat")
    with pytest.raises(InputError) as error:
        Problem(trace, STAGES, EngineConfig())
    assert str(error.value) == (
        "chat: expected a trace without sessions to plan, whose requests are all known beforehand"
    )
