"""What must hold for a case, whatever was drawn."""

from __future__ import annotations

import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.sweep import oracle
from benchmarks.sweep.draw import Case
from llmsched import bounds, metrics
from llmsched.batching.lagrangian import Lagrangian
from llmsched.batching.whole_stage import WholeStage
from llmsched.catalog import find
from llmsched.engine import SimulationResult
from llmsched.engine.replicas import Assignment, count_replicas
from llmsched.engine.result import COMPLETED, PER_REQUEST, REFUSED
from llmsched.errors import InputError, LivelockError, PolicyError
from llmsched.orders.fcfs import Fcfs
from llmsched.planning.plans import plan_replicas
from llmsched.planning.problem import Problem
from llmsched.planning.stored import read_replicas
from llmsched.replay import simulate
from llmsched.report.plan import plan_document, plan_json
from llmsched.report.tables import requests_csv, steps_csv
from llmsched.verify.replay import Replay
from llmsched.verify.result import faults
from llmsched.verify.tables import read_requests, read_steps

RELATIVE = 1e-9
JUDGED_TOKENS = 20_000
"""Prompt tokens up to which the plain engine judges whether a livelock is one."""


@dataclass(frozen=True)
class Failure:
    """A law that a case broke."""

    kind: str
    message: str


@dataclass(frozen=True)
class Report:
    """What came of one case: the laws it broke, and how it was judged."""

    failures: list[Failure] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)


def check(case: Case) -> Report:
    """Replay `case` twice and hold it against every law."""
    report = Report()
    try:
        result = _replay(case, _assignment(case))
    except PolicyError as error:
        _judge_refusal(case, error, report)
        return report
    except InputError as error:
        if case.policy.knobs and "can never fit" in str(error):  # drawn to fit without them
            report.notes["does not fit under the policy's own knobs"] += 1
        elif "no request is served" in str(error) and not len(case.rows):
            report.notes["nobody is served"] += 1
        else:
            report.failures.append(Failure("exception", _shown(error)))
        return report
    except Exception as error:  # what no input may cause
        report.failures.append(Failure("exception", _shown(error)))
        return report
    for law in LAWS:
        try:
            messages = list(law(case, result, report.notes))
        except Exception as error:  # a result that a law, or a metric, cannot even be computed of
            messages = [f"cannot be judged: {_shown(error)}"]
        name = law.__name__.strip("_").replace("_", " ")
        report.failures.extend(Failure(name, message) for message in messages[:1])
        if messages and law is _clock:
            break  # the others take it for granted that time goes forward
    return report


def _replay(case: Case, assignment: Assignment | None) -> SimulationResult:
    """Replay on one engine, or a stored plan for replicas."""
    return simulate(
        *(case.trace, case.hardware, case.policy, case.config),
        predicted=case.predicted(),
        concurrency=case.concurrency,
        assignment=assignment,
        on_error=case.on_error,
    )


def _plan(case: Case) -> Assignment | None:
    """Plan for replicas, if there are any, and read the stored plan."""
    if case.replicas is None:
        return None
    asked = Problem(
        *(case.trace, case.hardware, case.config, case.lengths, case.index), on_error=case.on_error
    )
    answer = plan_replicas(asked, case.replicas)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plan.json")
        path.write_text(plan_json(answer))
        return read_replicas(path, case.trace)


_assignment = lru_cache(maxsize=1)(_plan)
"""For all laws of a case."""


def engines(case: Case, result: SimulationResult) -> list[SimulationResult]:
    """Return what each engine did, by itself; of several, `peak_blocks` is the fullest one's."""
    assignment = _assignment(case)
    if assignment is None:
        return [result]
    return [
        replace(result.of(rows), config=case.effective, works=(work,), streams=None)
        for rows, work in zip(assignment.rows(), result.works, strict=True)
    ]


def _judge_refusal(case: Case, error: PolicyError, report: Report) -> None:
    """A replay may be refused as endless, if it is; every policy drawn keeps to the contract."""
    if "livelock" not in str(error):
        report.failures.append(Failure("policy error", str(error)))
    elif case.replicas is not None or case.served.input_tokens.sum() > JUDGED_TOKENS:
        report.notes["livelock, not judged"] += 1
    elif oracle.by_plain_engine(case) is None:
        report.notes["livelock, a true one"] += 1
    else:
        report.failures.append(Failure("livelock", f"it would end, but: {error}"))


def _shown(error: Exception) -> str:
    """Return an exception with the place in our code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/llmsched/" in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    first = str(error).partition("\n")[0]
    return f"{type(error).__name__} at {place}: {first}"


def _same_twice(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """The same inputs give the same arrays, bit for bit."""
    again = _replay(case, _plan(case))
    if (again.detail, again.peak_blocks) != (result.detail, result.peak_blocks):
        yield f"detail, peak: {again.detail}, {again.peak_blocks} after {result.detail}"
    for name in (*PER_REQUEST, "step_rows", "resume_gap"):
        if getattr(result, name).tobytes() != getattr(again, name).tobytes():
            yield f"{name} differs from one run to the next"


def _clock(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Steps take what they cost, one after the other, and time never runs backwards."""
    for part in engines(case, result):
        start, seconds = part.column("start_s"), part.column("duration_s")
        yield from _first(
            part.column("rounds") < 1, "step row {}: no rounds", part.column("rounds")
        )
        yield from _first(seconds < 0, "step row {}: takes {} s", seconds)
        yield from _first(np.diff(start) < 0, "step row {}: {} s to the next start", np.diff(start))
        over = (start + seconds)[:-1] - start[1:]
        yield from _first(
            over > RELATIVE * (1 + np.abs(start[1:])), "step row {}: overlaps by {} s", over
        )
        cost = _cost(part)
        off = np.abs(seconds - cost) > RELATIVE * cost
        yield from _first(off, "step row {}: takes {} s, which is not its price", seconds)


def _cost(result: SimulationResult) -> NDArray[np.float64]:
    """Price every row of the step table again."""
    price = result.hardware.step_time
    names = (
        *("prefill_tokens", "sum_sq_prefill", "sum_prefill_x_context"),
        *("decode_seqs", "kv_tokens", "rounds"),
    )
    columns = (result.column(name).astype(np.int64).tolist() for name in names)
    return np.array(
        [
            price.rounds(n, kv, k) if k > 1 else price.step(tokens, squares, crossed, n, kv)
            for tokens, squares, crossed, n, kv, k in zip(*columns, strict=True)
        ]
    )


def _who_is_served(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """The engine refuses whom the independent checker would, and cuts answers where it does."""
    status = np.full(len(case.trace), REFUSED)
    status[case.rows] = COMPLETED
    yield from _first(result.status != status, "request {}: status {}", result.status)
    emitted = np.zeros(len(case.trace), dtype=np.int64)
    emitted[case.rows] = case.served.output_tokens
    yield from _first(result.emitted != emitted, "request {}: {} tokens emitted", result.emitted)
    notes["some are refused"] += len(case.rows) < len(case.trace)
    notes["answers are cut"] += bool((emitted < case.trace.output_tokens)[case.rows].any())


def _tokens(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Every token that is served is computed once, and again for what preemptions lost."""
    prefill = result.column("prefill_tokens").sum()
    decoded = (result.column("decode_seqs") * result.column("rounds")).sum()
    owed = (case.served.input_tokens + case.served.output_tokens - 1).sum()
    lost = result.recomputed_tokens.sum()
    if prefill + decoded != owed + lost:
        yield f"{prefill:.0f} + {decoded:.0f} computed, {owed} owed and {lost} lost"


def _blocks(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """KV blocks in use are never below zero or above what there is."""
    for part in engines(case, result):
        usable = part.config.usable_blocks
        if usable is None:
            continue
        begin, blocks = part.column("kv_blocks"), part.column("kv_blocks_end")
        yield from _first((begin < 0) | (blocks > usable), "step row {}: {} blocks", blocks)
        yield from _first(begin > blocks, "step row {}: {} blocks, and fewer at its end", begin)
        if part.peak_blocks is None or not blocks.max() <= part.peak_blocks <= usable:
            yield f"peak of {part.peak_blocks} blocks, {blocks.max()} seen and {usable} usable"


def _verify_result(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """`llmsched verify result` finds nothing, by way of the files that a user would have."""
    shortest, longest = result.column("duration_s").min(), result.ended
    if shortest <= 2 * RELATIVE * max(1.0, longest):  # it cannot tell the instants apart
        notes["verify result left out: steps of no time, or nanoseconds"] += 1
        return
    ordered = case.policy.offline is None and isinstance(case.policy.order, Fcfs)
    with tempfile.TemporaryDirectory() as folder:
        requests, steps = Path(folder, "requests.csv"), Path(folder, "steps.csv")
        for part in engines(case, result):
            requests.write_text(requests_csv(part))
            steps.write_text(steps_csv(part))
            evidence = Replay(
                *(part.trace, read_requests(requests), read_steps(steps), part.config),
                *(part.hardware.step_time, case.concurrency, "fcfs" if ordered else "any"),
            )
            yield from map(str, faults(evidence))


def _latencies(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Every latency of the summary is what an oracle makes of the tokens, one by one."""
    told: oracle.Told | None = None
    if case.replicas is None and oracle.small(result):
        told = oracle.by_plain_engine(case)
        if told is None:
            yield "the plain engine does not come to an end"
            return
        if _weighs_seconds(case) and not _same_schedule(told, result.of(case.rows)):
            notes["schedules differ, perhaps by a tie of a rule that weighs seconds"] += 1
            told = None
    served = result.of(case.rows)
    if told is not None:
        notes["latencies by the plain engine"] += 1
    elif result.preemptions.any():
        notes["latencies not judged: preemptions in a big trace"] += 1
        return
    else:
        notes["latencies by the step table"] += 1
        told = oracle.by_step_table(result, engines(case, result))
    counts = np.array([len(tokens) for tokens in told.tokens])
    yield from _first(counts != case.served.output_tokens, "request {}: {} tokens", counts)
    first, last = (np.array([tokens[at] for tokens in told.tokens]) for at in (0, -1))
    scale = max(1.0, float(np.abs(last).max()))
    for name, times in (
        ("arrival", told.arrival),
        ("admitted", told.admitted),
        ("first_token", first),
        ("finish", last),
    ):
        off = np.abs(getattr(served, name) - times) > RELATIVE * scale
        yield from _first(off, f"request {{}}: {name} {{}} s in the oracle", times)
    row = metrics.summarize(result)
    for name, value in oracle.row(told).items():
        if not np.isclose(row[name], value, rtol=1e-7, atol=1e-7 * scale, equal_nan=True):
            yield f"{name}: {row[name]!r}, {value!r} by the oracle"


def _weighs_seconds(case: Case) -> bool:
    """Whether the rule compares sums of durations: their last digits decide exact ties."""
    return case.policy.offline is not None or isinstance(case.policy.rule, Lagrangian | WholeStage)


def _same_schedule(told: oracle.Told, result: SimulationResult) -> bool:
    first, last = (np.array([tokens[at] for tokens in told.tokens]) for at in (0, -1))
    pairs = (
        (told.admitted, result.admitted),
        (first, result.first_token),
        (last, result.finish),
    )
    return all(np.allclose(one, other, rtol=RELATIVE) for one, other in pairs)


def _late(case: Case) -> float:
    """Return the seconds from the first arrival to that of the first who is served."""
    arrival = case.trace.arrival
    return 0.0 if case.concurrency is not None else float(arrival[case.rows[0]] - arrival[0])


def _bound(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Nothing ends before its lower bound."""
    bound = _late(case) + bounds.lower_bound(
        *(case.served, case.hardware, case.config, case.concurrency),
        total_speed=len(result.works),
    )
    gap = metrics.summarize(result, lower_bound_s=bound)["gap_percent"]
    if not np.isfinite(bound) or bound < 0:
        yield f"bound of {bound} s"
    if result.makespan < bound * (1 - RELATIVE) or gap < -100 * RELATIVE:
        yield f"makespan {result.makespan!r} s, bound {bound!r} s"


def _efficiency(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """The share of time that its work needs is one, and no slower policy has a higher one."""
    asked = (case.served, case.hardware, case.config, case.concurrency, len(result.works))
    work = bounds.least_work(*asked)
    if not 0 <= work <= bounds.lower_bound(*asked) * (1 + RELATIVE):
        yield f"least work of {work!r} s, which is not within the bound"
    try:
        static = replace(find("static"), knobs=case.policy.knobs)  # which the requests fit into
        other = _replay(replace(case, policy=static), _assignment(case))
    except PolicyError:
        notes["efficiency not held against that of static: it does not end"] += 1
        other = result
    fast, slow = sorted((result, other), key=lambda one: one.makespan)
    high, low = (metrics.summarize(one, least_work_s=work)["efficiency"] for one in (fast, slow))
    if work and fast.makespan and not 0 <= low <= high <= 1:
        yield f"{low!r} in {slow.makespan!r} s, {high!r} in {fast.makespan!r} s"


def _summary(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Shares are shares, counts are those of the trace and of who is served, none is negative."""
    row = metrics.summarize(result)
    for name in ("utilization", "kv_peak", "kv_mean"):
        if not (np.isnan(row[name]) or -RELATIVE <= row[name] <= 1 + RELATIVE):
            yield f"{name}: {row[name]!r} is no share"
    served, offered = case.served, len(case.trace)
    totals = {
        "offered": offered,
        "completed": len(served),
        "refused": offered - len(served),
        "aborted": 0,
        "total_input_tokens": int(served.input_tokens.sum()),
        "total_output_tokens": int(served.output_tokens.sum()),
        "wasted_output_tokens": 0,
    }
    for name, total in totals.items():
        if row[name] != total:
            yield f"{name}: {total} became {row[name]}"
    below = [name for name, value in row.items() if value < 0]
    if below:
        yield f"{below[0]}: {row[below[0]]!r} is negative"
    usable = case.effective.usable_blocks
    room = None if usable is None else usable * case.config.block_size * len(result.works)
    if room is not None and row["kv_peak_tokens"] > room:
        yield f"kv_peak_tokens: {row['kv_peak_tokens']} in {room}"
    if not len(result.step_rows) or not np.isfinite(result.finish[case.rows]).all():
        yield "not every request has finished"


def _hybrid(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """Where it knows everything beforehand, the hybrid is not worse than any of its parts."""
    known = not case.trace.arrival.any() and case.concurrency is None and not case.replicas
    known &= case.trace.delay is None
    exact = (case.seen() == case.served.output_tokens).all()
    if case.policy.name != "hybrid" or not known or not exact:
        return
    notes["hybrid held against its parts"] += 1
    parts = ["online", "offline", "plan+lagrangian"]
    parts += ["ljf+chunked"] if case.hardware.step_time.mixed else []
    for name in parts:
        try:
            other = _replay(replace(case, policy=find(name)), None)
        except PolicyError:
            continue
        if result.makespan > other.makespan * (1 + RELATIVE):
            yield f"hybrid {result.makespan!r} s, {name} {other.makespan!r} s"


def _promise(case: Case, result: SimulationResult, notes: Counter[str]) -> Iterator[str]:
    """A plan for replicas promises the time that its replay takes."""
    if case.replicas is None or ".py:" in case.policy.name:
        return
    asked = Problem(case.trace, case.hardware, case.config, on_error=case.on_error)
    try:
        answer = plan_replicas(asked, case.replicas, case.policy.name)
    except LivelockError:
        notes["livelock of a plan's policy, not judged"] += 1
        return
    promised = float(str(plan_document(answer)["makespan"])) / 1000  # it is in milliseconds
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "plan.json")
        path.write_text(plan_json(answer))
        assignment = read_replicas(path, case.trace)
    kept = simulate(
        *(case.trace, case.hardware, case.policy, case.config),
        predicted=case.trace.output_tokens,
        assignment=assignment,
        on_error=case.on_error,
    )
    took = kept.makespan - _late(case)  # a plan counts from the first request that it is of
    if count_replicas(assignment) != case.replicas:
        yield f"{count_replicas(assignment)} replicas of {case.replicas} asked for"
    if not np.isclose(promised, took, rtol=RELATIVE, atol=RELATIVE):
        yield f"promised {promised!r} s, took {took!r} s"


def _first(bad: NDArray[np.bool_], says: str, values: NDArray[np.generic]) -> Iterator[str]:
    """Yield a message for the first place where `bad`."""
    if bad.any():
        at = int(bad.argmax())
        yield says.format(at + 1, values[at])


Law = Callable[[Case, SimulationResult, Counter[str]], Iterator[str]]

LAWS: tuple[Law, ...] = (
    *(_clock, _who_is_served, _tokens, _blocks, _summary, _bound, _efficiency, _same_twice),
    *(_verify_result, _latencies, _hybrid, _promise),
)
"""Everything that is checked of a replay that comes to an end."""
