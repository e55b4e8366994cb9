"""What a policy sees of the output lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched.errors import InputError
from llmsched.lengths import chosen_mode, in_words, predict
from llmsched.trace import Trace

TRACE = Trace.from_columns([0, 0, 0], [1, 1, 1], [10, 20, 61], name="three")


def test_the_oracle_knows_the_truth() -> None:
    assert predict(TRACE).tolist() == predict(TRACE, "oracle").tolist() == [10, 20, 61]


def test_the_mean_is_the_same_for_everybody() -> None:
    assert predict(TRACE, "mean").tolist() == [30, 30, 30]


def test_predictions_that_came_with_the_trace_are_used() -> None:
    trace = Trace.from_columns([0, 0], [1, 1], [5, 6], predicted_output_tokens=[7, 8])
    assert predict(trace, "trace").tolist() == [7, 8]


def test_the_default_is_the_traces_own_prediction_where_it_has_one() -> None:
    own = Trace.from_columns([0], [1], [5], predicted_output_tokens=[7])
    assert chosen_mode(own, None) == "trace"
    assert chosen_mode(TRACE, None) == "oracle"
    assert chosen_mode(own, "oracle") == "oracle"
    assert chosen_mode(own, "") == ""  # asked for, and refused by who predicts


def test_a_title_says_whose_predictions_they_are() -> None:
    assert in_words("trace") == "the trace's predicted lengths"
    assert in_words("noisy:0.3") == "noisy:0.3 lengths"


def test_no_error_is_the_truth() -> None:
    assert predict(TRACE, "noisy:0", seed=3).tolist() == [10, 20, 61]


@pytest.mark.parametrize("cv", [0.1, 0.3, 0.5])
def test_noise_is_unbiased_and_of_the_given_spread(cv: float) -> None:
    n = 40_000
    trace = Trace.from_columns(np.zeros(n), np.ones(n), np.full(n, 1000))
    predicted = predict(trace, f"noisy:{cv}", seed=1)
    # The mean of n draws has a standard error of 1000 cv / sqrt(n); allow five of them.
    assert abs(predicted.mean() - 1000) < 5 * 1000 * cv / n**0.5
    assert predicted.std() / 1000 == pytest.approx(cv, rel=0.05)


def test_noise_is_lognormal() -> None:
    n = 40_000
    trace = Trace.from_columns(np.zeros(n), np.ones(n), np.full(n, 100_000))
    logs = np.log(predict(trace, "noisy:0.5", seed=2) / 100_000)
    variance = np.log(1.25)
    assert logs.mean() == pytest.approx(-variance / 2, abs=5 * (variance / n) ** 0.5)
    assert logs.var() == pytest.approx(variance, rel=0.05)
    assert abs(((logs - logs.mean()) ** 3).mean()) < 0.02


def test_a_seed_gives_the_same_noise_and_another_seed_another() -> None:
    same = [predict(TRACE, "noisy:0.5", seed=s).tolist() for s in (4, 4, 5)]
    assert same[0] == same[1] != same[2]


@given(st.lists(st.integers(1, 5), min_size=1), st.floats(0, 10), st.integers(0, 2**70))
def test_a_prediction_is_at_least_one_token(output: list[int], cv: float, seed: int) -> None:
    trace = Trace.from_columns(np.zeros(len(output)), np.ones(len(output)), output)
    predicted = predict(trace, f"noisy:{cv}", seed)
    assert predicted.dtype == np.int64
    assert predicted.shape == (len(output),)
    assert (predicted >= 1).all()


COEFFICIENT = "lengths: noisy: expected a coefficient of variation in 0..10, got "


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("best", "lengths: expected oracle, mean, noisy:CV or trace, got 'best'"),
        ("", "lengths: expected oracle, mean, noisy:CV or trace, got ''"),
        ("oracle:1", "lengths: expected oracle, mean, noisy:CV or trace, got 'oracle:1'"),
        ("trace", "lengths: three carries no predicted_output_length"),
        ("noisy", COEFFICIENT + "''"),
        ("noisy:x", COEFFICIENT + "'x'"),
        ("noisy:-0.1", COEFFICIENT + "'-0.1'"),
        ("noisy:nan", COEFFICIENT + "'nan'"),
        ("noisy:inf", COEFFICIENT + "'inf'"),
        ("noisy:11", COEFFICIENT + "'11'"),
    ],
)
def test_a_bad_mode_is_refused(mode: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        predict(TRACE, mode)
    assert str(error.value) == message


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match=r"^seed: expected an integer >= 0, got -2$"):
        predict(TRACE, "oracle", seed=-2)
