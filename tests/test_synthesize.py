"""Synthetic traces: seeded, with the moments asked for, and like another trace's marginals."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsched import exporters
from llmsched.errors import InputError
from llmsched.importers import load
from llmsched.prefixes import reuse
from llmsched.synthesize import Arrivals, Beta, Lengths, Uniform, generate, parse_lengths, sampled
from llmsched.trace import Trace

RNG = np.random.default_rng


def small(**changes: object) -> Trace:
    settings: dict[str, object] = {
        "requests": 50,
        "arrivals": "gamma:2:3",
        "input_length": "lognormal:100:50",
        "output_length": "gamma:30:10:40",
        "seed": 7,
    }
    return generate(**{**settings, **changes})  # type: ignore[arg-type]  # fields by name


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    assert small().sha256 == small().sha256
    assert small().sha256 != small(seed=8).sha256


def test_changing_one_distribution_leaves_the_others_as_they_were() -> None:
    one, other = small(), small(input_length="fixed:9")
    assert set(other.input_tokens) == {9}
    np.testing.assert_array_equal(one.output_tokens, other.output_tokens)
    np.testing.assert_array_equal(one.arrival, other.arrival)


def test_the_first_request_comes_at_0_and_a_file_keeps_the_trace(tmp_path: Path) -> None:
    trace = small()
    exporters.write(trace, tmp_path / "trace.jsonl")
    assert trace.arrival[0] == 0
    assert load(tmp_path / "trace.jsonl").sha256 == trace.sha256


def test_the_note_tells_how_to_make_it_again() -> None:
    assert small().note == (
        "synthetic: requests 50, arrivals gamma:2:3, input_length lognormal:100:50, "
        "output_length gamma:30:10:40, seed 7"
    )


@pytest.mark.parametrize(
    ("text", "cv"), [("poisson:4", 1.0), ("gamma:4:0.5", 0.5), ("gamma:4:3", 3)]
)
def test_gaps_have_the_mean_and_the_variation_asked_for(text: str, cv: float) -> None:
    gaps = np.diff(Arrivals.parse(text).draw(200_000, RNG(0)))
    assert gaps.mean() == pytest.approx(1 / 4, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)


def test_a_variation_of_0_is_a_metronome_and_offline_is_all_at_once() -> None:
    assert Arrivals.parse("gamma:4:0").draw(3, RNG(0)).tolist() == [0, 0.25, 0.5]
    assert Arrivals.parse("offline").draw(3, RNG(0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("text", ["lognormal:1000:600", "gamma:1000:600", "beta:1000:600:2500"])
def test_lengths_have_the_mean_and_the_deviation_asked_for(text: str) -> None:
    lengths = parse_lengths("input_length", text).draw(200_000, RNG(0))
    assert lengths.mean() == pytest.approx(1000, rel=0.01)
    assert lengths.std() == pytest.approx(600, rel=0.02)


def test_a_cap_gathers_what_is_longer() -> None:
    free = Lengths("gamma", 300, 200).draw(10_000, RNG(1))
    capped = Lengths("gamma", 300, 200, cap=512).draw(10_000, RNG(1))
    np.testing.assert_array_equal(capped, np.minimum(free, 512))
    assert np.count_nonzero(capped == 512) == np.count_nonzero(free >= 512) > 1000


def test_uniform_lengths_are_all_as_likely_and_both_ends_are_among_them() -> None:
    lengths = parse_lengths("input_length", "uniform:3:7").draw(100_000, RNG(0))
    values, counts = np.unique(lengths, return_counts=True)
    assert values.tolist() == [3, 4, 5, 6, 7]
    np.testing.assert_allclose(counts / 100_000, 0.2, rtol=0.03)
    assert set(Uniform(5, 5).draw(10, RNG(0))) == {5}


def test_a_beta_of_two_equal_parameters_of_1_is_even_and_a_wide_one_gathers_at_both_ends() -> None:
    even = Beta(500, 1000 / math.sqrt(12), 1000).draw(100_000, RNG(0))
    np.testing.assert_allclose(np.quantile(even, [0.1, 0.5, 0.9]), [100, 500, 900], rtol=0.03)
    wide = Beta(500, 499, 1000).draw(10_000, RNG(0))
    assert np.isin(wide, [1, 1000]).mean() > 0.95
    assert (wide == 1000).mean() == pytest.approx(0.5, abs=0.02)


@given(st.integers(1, 2**30), st.integers(1, 2**30), st.integers(0, 9))
def test_a_uniform_length_is_between_its_ends(one: int, other: int, seed: int) -> None:
    low, high = sorted((one, other))
    lengths = Uniform(low, high).draw(20, RNG(seed))
    assert low <= lengths.min()
    assert lengths.max() <= high


@given(st.integers(2, 2**30), st.floats(0, 1), st.floats(0, 0.9998), st.integers(0, 9))
def test_a_beta_length_is_between_1_and_its_upper_end(
    most: int, at: float, width: float, seed: int
) -> None:
    mean = 1 + at * (most - 1) * 0.999
    widest = math.sqrt(mean * (most - mean))
    lengths = Beta(mean, max(1e-6, width * widest), most).draw(20, RNG(seed))
    assert lengths.min() >= 1
    assert lengths.max() <= most


@given(
    st.sampled_from(["lognormal", "gamma", "fixed"]),
    st.floats(1, 2**30),
    st.floats(0, 2**30),
    st.integers(0, 9),
)
def test_a_length_is_always_one_that_a_trace_takes(
    kind: str, mean: float, std: float, seed: int
) -> None:
    lengths = Lengths(kind, mean, std).draw(20, RNG(seed))
    Trace.from_columns(np.zeros(20), lengths, lengths)


@given(st.floats(1e-9, 1e12), st.floats(0, 1000), st.integers(0, 9))
def test_arrivals_never_go_back(rate: float, cv: float, seed: int) -> None:
    when = Arrivals(rate, cv).draw(20, RNG(seed))
    assert when[0] == 0
    assert (np.diff(when) >= 0).all()
    assert np.isfinite(when).all()


def test_like_follows_the_marginals_of_a_trace(tmp_path: Path) -> None:
    original = small(requests=4000)
    exporters.write(original, tmp_path / "trace.jsonl")
    copy = generate(like=str(tmp_path / "trace.jsonl"), seed=1)
    assert len(copy) == len(original)
    for one, other in (
        (original.input_tokens, copy.input_tokens),
        (original.output_tokens, copy.output_tokens),
        (np.diff(original.arrival), np.diff(copy.arrival)),
    ):
        assert other.mean() == pytest.approx(one.mean(), rel=0.15)
        assert other.std() == pytest.approx(one.std(), rel=0.2)
        assert one.min() - 1e-9 <= other.min() or one.min() < 1e-3
    assert copy.input_tokens.max() <= original.input_tokens.max()
    given_too = generate(like=str(tmp_path / "trace.jsonl"), output_length="fixed:3", requests=5)
    assert given_too.output_tokens.tolist() == [3] * 5


def test_like_an_offline_trace_is_offline(tmp_path: Path) -> None:
    exporters.write(small(arrivals="offline"), tmp_path / "trace.jsonl")
    assert generate(like=str(tmp_path / "trace.jsonl")).arrival.max() == 0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"requests": 0}, r"requests: expected an integer in 1..10000000, got 0"),
        ({"requests": None}, "requests: expected an integer"),
        ({"requests": 2.0}, "requests: expected an integer"),
        ({"requests": True}, "requests: expected an integer"),
        ({"seed": -1}, "seed: expected an integer in 0.."),
        ({"arrivals": "uniform:3"}, "arrivals: expected offline, poisson:RATE or gamma:RATE:CV"),
        ({"arrivals": "poisson"}, "arrivals: expected offline"),
        ({"arrivals": "poisson:0"}, r"arrivals: expected a rate in 1e-9..1e12, got 0.0"),
        ({"arrivals": "poisson:x"}, "arrivals: expected finite numbers"),
        ({"arrivals": "poisson:inf"}, "arrivals: expected finite numbers"),
        ({"arrivals": "gamma:1:-1"}, r"arrivals: expected a cv in 0..1000, got -1.0"),
        ({"arrivals": "poisson:1e-9"}, "arrivals: 50 requests at 1e-09 a second take over 272"),
        ({"arrivals": 3}, "arrivals: expected text, got 3"),
        ({"input_length": None}, "input_length: expected a distribution, or a trace to be like"),
        ({"input_length": "fixed:1.5"}, "input_length: expected fixed:N, uniform"),
        ({"output_length": "gamma:5"}, "output_length: expected fixed:N, uniform"),
        ({"input_length": "uniform:1:2.5"}, "input_length: expected fixed:N, uniform"),
        ({"input_length": "uniform:1"}, "input_length: expected fixed:N, uniform"),
        ({"input_length": "uniform:0:9"}, r"lengths: expected two integers in 1..*; got 0, 9"),
        ({"input_length": "uniform:9:8"}, r"lengths: expected .*, the least first; got 9, 8"),
        ({"input_length": "uniform:1:2e9"}, "lengths: expected two integers in 1..1073741824"),
        ({"output_length": "beta:5:1"}, "output_length: expected fixed:N, uniform"),
        ({"output_length": "beta:5:1:9.5"}, "output_length: expected fixed:N, uniform"),
        ({"output_length": "beta:5:1:0"}, r"lengths: expected a most in 1..1073741824, got 0"),
        ({"output_length": "beta:9:1:9"}, "lengths: expected a mean >= 1 and below 9, got 9.0"),
        ({"output_length": "beta:0.5:1:9"}, "lengths: expected a mean >= 1 and below 9, got 0.5"),
        (
            {"output_length": "beta:300:260:512"},
            "lengths: expected a std in 1e-06..252.165, as mean 300 in 0..512 allows; got 260.0",
        ),
        ({"output_length": "beta:300:0:512"}, "lengths: expected a std in 1e-06..252.165"),
        ({"output_length": "gamma:5:1:0"}, "lengths: expected a cap in 1.."),
        ({"output_length": "gamma:0:1"}, "lengths: expected a mean in 1.."),
        ({"output_length": "gamma:5:-1"}, "lengths: expected a std in 0.."),
        ({"output_length": "gamma:nan:1"}, "output_length: expected finite numbers"),
        ({"like": "/none"}, "/none: cannot read"),
        ({"turns": "fixed:0"}, "lengths: expected a mean in 1.."),
        ({"turns": "many"}, "turns: expected fixed:N, uniform"),
        ({"turns": 3}, "turns: expected text, got 3"),
        ({"delay_ms": "fixed:9"}, "generate: delay_ms: expected beside turns"),
        ({"burst": 3}, "generate: expected only requests, arrivals, .*; got 'burst'"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        small(**changes)


def test_parameters_are_validated_where_they_are_held() -> None:
    with pytest.raises(InputError, match="expected lognormal, gamma or fixed, got 'normal'"):
        Lengths("normal", 3)
    assert math.isinf(Arrivals().rate)


def test_a_sample_holds_different_requests_at_their_own_times() -> None:
    trace = small()
    part = sampled(trace, 20, seed=3)
    rows = [trace.id.tolist().index(name) for name in part.id]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(part.arrival, trace.arrival[rows])
    assert sampled(trace, 50, seed=0).sha256 == trace.sha256
    with pytest.raises(InputError, match=r"requests: expected an integer in 1..50, got 51"):
        sampled(trace, 51, seed=0)


def test_a_prompt_holds_all_that_was_said_in_its_session_before_it() -> None:
    trace = small(requests=7, turns="fixed:3", delay_ms="fixed:2000", input_length="fixed:10",
                  output_length="fixed:5", arrivals="offline")  # fmt: skip
    assert trace.session is not None
    assert trace.delay is not None
    names = trace.session.tolist()
    assert {name: names.count(name) for name in names} == {"0": 3, "1": 3, "2": 1}
    first = np.flatnonzero(trace.session == "0")
    assert trace.input_tokens[first].tolist() == [10, 25, 40]
    assert trace.delay[first].tolist() == [0.0, 2.0, 2.0]
    assert trace.arrival[first].tolist() == [0.0, 2.0, 4.0]
    assert trace.note.endswith("turns fixed:3, delay_ms fixed:2000, seed 7")


def test_arrivals_are_those_of_sessions_and_without_delays_turns_follow_at_once() -> None:
    trace, plain = small(turns="uniform:1:4"), small()
    first = trace.previous < 0
    sessions = int(first.sum())
    assert 50 / 4 <= sessions < 50
    assert trace.arrival[first].tolist() == plain.arrival[:sessions].tolist()
    assert trace.delay is not None
    assert not trace.delay.any()


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 99))
def test_each_turn_adds_a_prompt_to_what_the_one_before_it_left(
    n: int, most: int, seed: int
) -> None:
    trace = small(requests=n, turns=f"uniform:1:{most}", input_length="fixed:3", seed=seed)
    later = np.flatnonzero(trace.previous >= 0)
    before = trace.previous[later]
    grown = trace.input_tokens[before] + trace.output_tokens[before] + 3
    assert trace.input_tokens[later].tolist() == grown.tolist()
    assert (trace.input_tokens[trace.previous < 0] == 3).all()
    assert len(trace) == n


SHARED = {"prefixes": "3:1.0", "prefix_length": "uniform:20:90"}


def blocks_of(trace: Trace) -> list[tuple[int, ...]]:
    assert trace.hash_ids is not None
    return list(trace.hash_ids)


def test_prompts_begin_with_shared_prefixes_and_grow_by_them() -> None:
    plain, shared = small(requests=200), small(requests=200, **SHARED)
    added = shared.input_tokens - plain.input_tokens
    assert shared.output_tokens.tolist() == plain.output_tokens.tolist()
    assert len(set(added.tolist())) == 3
    assert shared.hash_block_size == 16
    groups: dict[int, list[tuple[int, ...]]] = {}
    for tokens, ids, prompt in zip(added, blocks_of(shared), shared.input_tokens, strict=True):
        assert len(ids) == -(-int(prompt) // 16)
        groups.setdefault(int(tokens), []).append(ids)
    for tokens, several in groups.items():
        (begin,) = {ids[: tokens // 16] for ids in several}
        others = [ids[tokens // 16 :] for ids in several]
        assert len({each for ids in others for each in ids}) == sum(map(len, others))
        assert not set(begin) & {each for ids in others for each in ids}
    assert len({ids[0] for ids in blocks_of(shared)}) == 3


def test_what_a_cache_saves_of_prefixes_is_all_but_the_first_of_each() -> None:
    trace = small(requests=50, prefixes="2", prefix_length="fixed:40", input_length="fixed:30")
    told = reuse(trace, 16)
    assert told is not None
    assert told.later.sum() == (50 - 2) * 32


def test_zipf_makes_the_first_prefixes_popular_and_0_makes_all_alike() -> None:
    def counts(prefixes: str) -> list[int]:
        trace = small(requests=6000, prefixes=prefixes, prefix_length="fixed:16")
        _, found = np.unique([ids[0] for ids in blocks_of(trace)], return_counts=True)
        return sorted(found.tolist(), reverse=True)

    np.testing.assert_allclose(counts("3:1"), [3273, 1636, 1091], rtol=0.1)  # 6 : 3 : 2 of 11
    np.testing.assert_allclose(counts("3"), [2000] * 3, rtol=0.1)
    assert counts("1:5") == [6000]


def test_a_session_keeps_its_prefix_and_shares_what_was_said() -> None:
    chats = {"requests": 60, "turns": "uniform:1:5", "delay_ms": "fixed:5"}
    plain, trace = small(**chats), small(**chats, **SHARED)
    assert trace.session is not None
    assert plain.session is not None
    assert trace.session.tolist() == plain.session.tolist()
    ids = blocks_of(trace)
    for row, before in enumerate(trace.previous.tolist()):
        if before >= 0:
            full = int(trace.input_tokens[before]) // 16
            assert ids[row][:full] == ids[before][:full]
    told, alone = reuse(trace, 16), reuse(plain, 16)
    assert told is not None
    assert alone is not None
    assert told.later.sum() > alone.later.sum() > 0
    later = trace.previous >= 0
    computed = (trace.input_tokens + trace.output_tokens - 1)[trace.previous]
    found = np.minimum(computed, trace.input_tokens - 1) // 16 * 16
    assert told.later[later].tolist() == found[later].tolist()


def test_prefixes_are_kept_by_a_file_and_are_the_same_bytes_again(tmp_path: Path) -> None:
    trace = small(**SHARED, turns="fixed:2", hash_block_size=512)
    exporters.write(trace, tmp_path / "t.jsonl")
    assert load(tmp_path / "t.jsonl").sha256 == trace.sha256
    again = small(**SHARED, turns="fixed:2", hash_block_size=512)
    assert exporters.text(again, "native") == exporters.text(trace, "native")
    assert "prefixes 3:1.0, prefix_length uniform:20:90, hash_block_size 512" in trace.note


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"prefixes": "3"}, "prefix_length: expected a distribution, beside prefixes"),
        ({"prefix_length": "fixed:9"}, "prefix_length: expected beside prefixes, of which it"),
        ({"hash_block_size": 16}, "hash_block_size: expected beside prefixes, of which it says"),
        (SHARED | {"prefixes": "x"}, "prefixes: expected N or N:EXPONENT, got 'x'"),
        (SHARED | {"prefixes": "3:1:2"}, "prefixes: expected N or N:EXPONENT, got '3:1:2'"),
        (SHARED | {"prefixes": "3:x"}, "prefixes: expected finite numbers after the first colon"),
        (SHARED | {"prefixes": "3:-1"}, r"prefixes: expected an exponent in 0\.\.100, got -1\.0"),
        (SHARED | {"prefixes": "0"}, r"prefixes: expected a number in 1\.\.1000000, got 0"),
        (SHARED | {"prefixes": 3}, "prefixes: expected text, got 3"),
        (SHARED | {"hash_block_size": 0}, r"hash_block_size: expected an integer in 1\.\.65536"),
        (
            SHARED | {"prefix_length": "fixed:100000000", "hash_block_size": 1},
            "prefixes: expected at most 50,000,000 blocks, got ",
        ),
    ],
)
def test_bad_prefixes_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        small(**changes)
