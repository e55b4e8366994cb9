"""A policy that breaks its contract is told so in one line, and obeyed in nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from llmsched.batching.prefill_first import PrefillFirst
from llmsched.contract import DECODE, MIXED, PREFILL, Decide, Jobs, Policy, Step, View
from llmsched.errors import Defect, InputError, PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.affine import Affine
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.rank import RankQueue
from tests.hand import MIXED as MIXED_PRICES
from tests.hand import STAGES, outputs, replay


class Rule:
    """A rule whose `start` returns whatever it was made with."""

    mixed = False

    def __init__(self, started: Any) -> None:
        self.started = started

    def start(self, view: Any) -> Any:
        return self.started


class NoOrder:
    """An order whose queue is none."""

    def queue(self, jobs: Any, view: Any) -> Any:
        return [1, 2]


def refusal(policy: Policy, **knobs: Any) -> str:
    """Return the message with which a replay of three requests on two slots is refused."""
    with pytest.raises(PolicyError) as error:
        replay(policy, outputs(2, 3, 2), 2, MIXED_PRICES, **knobs)
    return str(error.value)


@pytest.mark.parametrize(
    ("started", "message"),
    [
        (None, "start: expected a function that returns a Step, got None"),
        (lambda: None, "expected a Step, got None"),
        (lambda: "decode", "expected a Step, got 'decode'"),
        (lambda: Step, "expected a Step, got <class 'llmsched.contract.Step'>"),
    ],
)
def test_a_rule_must_return_steps(started: Any, message: str) -> None:
    assert refusal(Policy("odd", Fcfs(), Rule(started))) == f"policy odd: {message}"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"rounds": -3}, "rounds: expected an integer >= 1 or None, got -3"),
        ({"rounds": 0}, "rounds: expected an integer >= 1 or None, got 0"),
        ({"rounds": True}, "rounds: expected an integer >= 1 or None, got True"),
        ({"rounds": 2.0}, "rounds: expected an integer >= 1 or None, got 2.0"),
        ({"rounds": float("nan")}, "rounds: expected an integer >= 1 or None, got nan"),
        ({"max_tokens": 0}, "max_tokens: expected an integer >= 1 or None, got 0"),
        ({"max_tokens": "4"}, "max_tokens: expected an integer >= 1 or None, got '4'"),
        ({"max_new_seqs": -1}, "max_new_seqs: expected an integer >= 1 or None, got -1"),
        ({"shortest_first": 1}, "shortest_first: expected True or False, got 1"),
        ({"shortest_first": True}, "shortest_first: expected split, no skip, no chunks"),
        (
            {"shortest_first": True, "split": True, "skip": (0,)},
            "shortest_first: expected split, no skip, no chunks",
        ),
        ({"split": "yes"}, "split: expected True or False, got 'yes'"),
        ({"decode": 1}, "decode: expected True or False, got 1"),
        ({"prefill": None}, "prefill: expected True or False, got None"),
    ],
)
def test_a_step_has_flags_and_counts_in_their_range(step: dict[str, Any], message: str) -> None:
    proposed = Step(**({"prefill": True, "decode": True} | step))
    told = refusal(Policy("odd", Fcfs(), Rule(lambda: proposed)))
    assert told == f"policy odd: Step: {message}"


def test_a_step_that_turns_bad_after_sound_ones_is_refused_too() -> None:
    steps = iter([PREFILL, DECODE, Step(decode=True, rounds=-1)])
    told = refusal(Policy("odd", Fcfs(), Rule(lambda: next(steps))))
    assert told == "policy odd: Step: rounds: expected an integer >= 1 or None, got -1"


def test_numbers_and_flags_of_numpy_are_as_good_as_pythons() -> None:
    step = Step(np.bool_(True), np.bool_(True), max_tokens=np.int64(1), split=True)  # type: ignore[arg-type]  # what a rule that computes with NumPy returns
    plain = Step(True, True, max_tokens=1, split=True)
    results = [
        replay(Policy("np", Fcfs(), Rule(lambda s=s: s)), outputs(2, 2), 2, MIXED_PRICES)
        for s in (step, plain)
    ]
    assert results[0].step_rows.tolist() == results[1].step_rows.tolist()


def test_a_step_that_does_nothing_is_refused() -> None:
    told = refusal(Policy("idle", Fcfs(), Rule(lambda: Step())))
    assert told.startswith("policy idle: at 0.000000 s it proposed Step(")
    assert told.endswith("which does nothing with 0 running and 3 waiting")


def test_an_order_must_return_a_queue() -> None:
    told = refusal(Policy("odd", NoOrder(), PrefillFirst()))
    lacking = "without push, peek, release"
    assert told == f"policy odd: queue: expected a WaitingQueue, got [1, 2] {lacking}"


def test_a_queue_is_told_of_releases_by_a_function_or_not_at_all() -> None:
    told = refusal(Policy("odd", Liar({"release": cast(Any, 5)}), PrefillFirst()))
    assert told.endswith("without release")
    assert refusal(Policy("odd", Liar({"peek": cast(Any, None)}), PrefillFirst())).endswith(
        "without peek"
    )


def test_a_rule_that_mixes_where_that_has_no_price_is_told_to_say_so() -> None:
    for profile in (STAGES, HardwareProfile("apart", Affine(per_step=1.0, mixed=False))):
        with pytest.raises(PolicyError) as error:
            replay(Policy("sly", Fcfs(), Rule(lambda: MIXED)), outputs(2, 3), 2, profile)
        assert str(error.value) == (
            "policy sly: it proposed prefill and decode in one step, which profile "
            f"{profile.name} cannot price; a rule that may must say so: mixed = True"
        )


def test_a_shared_step_that_a_rule_has_changed_does_not_turn_the_clock_back() -> None:
    class Vandal:
        mixed = False

        def start(self, view: Any) -> Any:
            object.__setattr__(DECODE, "rounds", -3)
            return PrefillFirst().start(view)

    try:
        told = refusal(Policy("vandal", Fcfs(), Vandal()))
        assert told == "policy vandal: Step: rounds: expected an integer >= 1 or None, got -3"
    finally:
        object.__setattr__(DECODE, "rounds", None)


class Lying(RankQueue):
    """First come first served, but for what it was made to say."""

    def __init__(self, jobs: Any, **lies: Callable[[], Any]) -> None:
        super().__init__(jobs.arrival)
        for name, lie in lies.items():
            setattr(self, name, lie)


@dataclass
class Liar:
    """An order with a lying queue."""

    lies: dict[str, Callable[[], Any]]

    def queue(self, jobs: Any, view: Any) -> Lying:
        return Lying(jobs, **self.lies)


@pytest.mark.parametrize(
    ("lies", "message"),
    [
        (
            {"peek": lambda: 0},
            "peek: expected a waiting request or -1, got '0', which is in a slot",
        ),
        (
            {"peek": lambda: 9},
            "peek: expected a waiting request or -1, got 9, which has not arrived at 0.000000 s",
        ),
        ({"peek": lambda: None}, "peek: expected a waiting request or -1, got None"),
        ({"peek": lambda: 0.0}, "peek: expected a waiting request or -1, got 0.0"),
        ({"peek": lambda: False}, "peek: expected a waiting request or -1, got False"),
        ({"pop": lambda: 2}, "pop: expected 0, which peek returned, got 2"),
        (
            {"pop": lambda: np.array([0, 1])},
            "pop: expected 0, which peek returned, got array([0, 1])",
        ),
        ({"pop": lambda: None}, "pop: expected 0, which peek returned, got None"),
    ],
)
def test_a_queue_gives_out_what_waits_and_what_it_promised(
    lies: dict[str, Callable[[], Any]], message: str
) -> None:
    told = refusal(Policy("liar", Liar(lies), PrefillFirst()))
    assert told == f"policy liar: queue: {message}"


def test_a_finished_request_is_not_served_again() -> None:
    names = iter([0, 0, 0, 0, 0, 0])
    order = Liar({"peek": lambda: next(names), "pop": lambda: 0})
    with pytest.raises(PolicyError, match=r"got '0', which has finished"):
        replay(Policy("liar", order, PrefillFirst()), outputs(1, 1), 1)


@pytest.mark.parametrize(
    "lies", [{"__len__": lambda: 0}, {"push": lambda request: None}, {"peek": lambda: -1}]
)
def test_a_run_cannot_end_with_requests_that_were_not_served(lies: dict[str, Any]) -> None:
    policy = Policy("loses", Liar(lies), PrefillFirst())
    if "__len__" in lies:  # what a queue says of its length decides nothing
        assert np.isfinite(replay(policy, outputs(2, 3, 2), 2).finish).all()
    else:
        assert "which does nothing with 0 running and 3 waiting" in refusal(policy)


def test_a_rule_that_empties_the_list_of_who_waits_takes_nothing_from_the_queue() -> None:
    seen: list[list[int]] = []

    class Thief:
        mixed = False

        def start(self, view: Any) -> Any:
            def decide() -> Step:
                seen.append(view.queued())
                view.queued().clear()
                return PREFILL if view.can_prefill else DECODE

            return decide

    rows = outputs(2, 3, 2)
    for order in (Fcfs(), Liar({})):  # the engine's own queue, and somebody else's
        seen.clear()
        result = replay(Policy("t", order, Thief()), rows, 2)
        assert seen[0] == [0, 1, 2]
        assert result.finish.tolist() == replay("fcfs", rows, 2).finish.tolist()


def test_a_queue_that_loses_a_request_it_was_given_is_found_out() -> None:
    class Forgetful(RankQueue):
        def push(self, request: int) -> None:
            if request:
                super().push(request)

    class Order:
        def queue(self, jobs: Any, view: Any) -> Forgetful:
            return Forgetful(jobs.arrival)

    told = refusal(Policy("f", Order(), PrefillFirst()))
    assert "does nothing with 0 running and 1 waiting" in told


class Raises:
    """A rule that fails at its first decision."""

    mixed = False

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def start(self, view: Any) -> Any:
        def decide() -> Step:
            raise self.error

        return decide


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (BrokenPipeError(), "BrokenPipeError"),
        (SystemExit(0), "SystemExit: 0"),
        (KeyError("two\nlines"), r"KeyError: 'two\nlines'"),
        (MemoryError(), "MemoryError"),
        (InputError("its own"), "InputError: its own"),
        (PolicyError("mine"), "PolicyError: mine"),
        (Defect("mine"), "Defect: defect in llmsched, please report it: mine"),
        (GeneratorExit(), "GeneratorExit"),
        (BaseException("of all"), "BaseException: of all"),
    ],
)
def test_whatever_a_policy_raises_names_it_with_file_and_line(
    error: BaseException, shown: str
) -> None:
    told = refusal(Policy("raises", Fcfs(), Raises(error)))
    line = Raises.start.__code__.co_firstlineno + 2
    assert told == f"policy raises: test_referee.py:{line}: {shown}"


def test_an_error_inside_a_library_names_the_line_of_the_policy_that_called_it() -> None:
    class Order:
        def queue(self, jobs: Any, view: Any) -> RankQueue:
            return RankQueue(np.concatenate([jobs.arrival, "x"]))

    told = refusal(Policy("odd", Order(), PrefillFirst()))
    line = Order.queue.__code__.co_firstlineno + 1
    assert told.startswith(f"policy odd: test_referee.py:{line}: ValueError: ")


def test_a_method_with_other_parameters_is_the_policys_mistake() -> None:
    class NoView:
        mixed = False

        def start(self) -> Any:
            return lambda: PREFILL

    class NoJobs:
        def queue(self) -> Any:
            return RankQueue([])

    told = refusal(Policy("short", Fcfs(), cast(Any, NoView())))
    assert told.startswith("policy short: TypeError: ")
    assert "start() takes 1 positional argument but 2 were given" in told
    assert "queue() takes 1 positional" in refusal(Policy("s", cast(Any, NoJobs()), PrefillFirst()))


def test_no_policy_can_write_to_what_others_read() -> None:
    class Vandal:
        def queue(self, jobs: Any, view: Any) -> RankQueue:
            column = jobs.input_tokens
            while isinstance(column.base, np.ndarray):
                column = column.base
            column.flags.writeable = True
            return RankQueue(jobs.arrival)

    assert "cannot set WRITEABLE flag" in refusal(Policy("vandal", Vandal(), PrefillFirst()))


def test_an_interrupt_is_not_the_policys_fault() -> None:
    with pytest.raises(KeyboardInterrupt):
        replay(Policy("raises", Fcfs(), Raises(KeyboardInterrupt())), outputs(2), 1)


def test_a_mistake_of_this_package_is_not_blamed_on_the_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("llmsched.engine.session.Work.add", None)  # in every kernel
    with pytest.raises(TypeError):
        replay("fcfs", outputs(2, 3), 2)


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        ([2, 2], r"predicted: expected one for each of 3 requests, got shape \(2,\)"),
        ([[2, 2, 2]], r"predicted: expected one for each of 3 requests, got shape \(1, 3\)"),
        ([2, 0, 2], "predicted: row 1: output length: expected an integer in 1..1073741824, got 0"),
        ([2, 2, float("nan")], "row 2: output length: expected an integer in .*, got nan"),
        ([float("inf"), 2, 2], "row 0: output length: expected an integer in .*, got inf"),
        ([2, 2, 2.5], "row 2: output length: expected an integer in .*, got 2.5"),
        (["2", "2", "2"], "row 0: output length: expected an integer in .*, got 2"),
    ],
)
def test_predicted_lengths_are_one_whole_number_a_request(predicted: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replay("ljf", outputs(2, 3, 2), 2, predicted=predicted)


@pytest.mark.parametrize("users", [0, -1, 2.0, float("nan")])
def test_the_users_of_a_closed_loop_are_counted(users: Any) -> None:
    with pytest.raises(InputError, match=r"concurrency: expected an integer >= 1, got"):
        replay("fcfs", outputs(2), 1, concurrency=users)


def test_a_mixed_step_may_be_asked_for_again_and_again() -> None:
    policy = Policy("mixed", Fcfs(), Rule(lambda: MIXED))
    assert replay(policy, outputs(3, 3), 2, MIXED_PRICES).makespan == 1.5 + 2 * 1.25


@dataclass(frozen=True)
class Names:
    """Names whose prompts to compute, step by step; then goes on by itself."""

    steps: tuple[tuple[tuple[int, int], ...], ...]
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        left = list(self.steps)

        def decide() -> Step:
            if left:
                return Step(prefill=True, chunks=left.pop(0))
            return PREFILL if view.can_prefill else DECODE

        return decide


def test_a_slot_that_a_preemption_frees_is_not_used_again_in_that_step() -> None:
    # Six blocks of 16: request 1's second chunk takes 0's blocks away, or 0's chunk takes 1's.
    steps = (((0, 16),), ((1, 48),), ((1, 16), (0, 48), (2, 16)))
    rows = [(0.0, 64, 4), (0.0, 64, 4), (0.0, 32, 4)]
    result = replay(
        Policy("names", Fcfs(), Names(steps)),
        rows,
        3,
        block_size=16,
        num_gpu_blocks=7,
        admission="first_chunk",
    )
    assert result.preemptions.sum() > 0
    assert (result.column("prefill_seqs") <= result.column("running")).all()


@dataclass(frozen=True)
class Filled:
    """Hands over a queue of the kernel's own kind that holds what never came."""

    request: int

    def queue(self, jobs: Jobs, view: View) -> RankQueue:
        queue = RankQueue(lambda request: -float(request))
        queue.push(self.request)
        return queue


@pytest.mark.parametrize("request_", [1, 10**9, 10**12])
def test_what_an_order_put_into_its_queue_beforehand_is_checked(request_: int) -> None:
    policy = Policy("filled", Filled(request_), PrefillFirst())
    with pytest.raises(PolicyError, match="expected a waiting request or -1"):
        replay(policy, [(0.0, 2, 3), (5.0, 2, 2)], 1)


def test_a_set_of_who_is_skipped_is_read_anew_each_time() -> None:
    skip: set[int] = {0}

    @dataclass(frozen=True)
    class Forgiving:
        mixed: ClassVar[bool] = False

        def start(self, view: View) -> Decide:
            insert = Step(prefill=True, skip=skip)

            def decide() -> Step:
                if view.decoding:
                    skip.clear()
                return insert if view.can_prefill else DECODE

            return decide

    result = replay(Policy("forgiving", Fcfs(), Forgiving()), [(0.0, 2, 2), (0.0, 2, 3)], 1)
    assert result.admitted.argsort().tolist() == [1, 0]
