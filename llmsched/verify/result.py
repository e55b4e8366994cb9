"""An independent check of a replay: only its two tables, the trace, the knobs and the prices.

Nothing here comes from the engine but the meaning of its knobs. The tables are held against each
other: what the requests say happened must be what the steps say was computed. Up to the first
preemption the accounts are exact; it hides what is recomputed, and they become bounds. The time
line rests on steps that take time: one that takes none is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmsched.verify.blocks import kv_capacity, reserved_blocks
from llmsched.verify.prefixes import prefix_cache
from llmsched.verify.replay import Law, Replay, counted, named, row_name, slack, summed, wrong
from llmsched.verify.served import (
    caps,
    everybody_served_or_not,
    nobody_beyond_the_limits,
    timeouts,
)
from llmsched.verify.tables import ABORTED, COMPLETED, REFUSED, Requests


@dataclass(frozen=True)
class Fault:
    """One thing that cannot be: the law it breaks, and where."""

    law: str
    message: str

    def __str__(self) -> str:
        return f"{self.law}: {self.message}"


def faults(replay: Replay) -> list[Fault]:
    """Return everything that is wrong, nothing if the tables are those of a possible replay."""
    found: list[Fault] = []
    for laws in _LAWS:
        for law in laws:
            found += [Fault(law.__name__.replace("_", " "), message) for message in law(replay)]
        if found:
            break  # the laws that follow take these for granted
    return found


def same_requests(replay: Replay) -> Iterator[str]:
    """Each request of the trace has one row, with its lengths."""
    trace, requests = replay.trace, replay.requests
    given = tuple(trace.id)
    if given != requests.id:
        missing = sorted(set(given) - set(requests.id))
        extra = sorted(set(requests.id) - set(given))
        if missing or extra:
            yield f"missing {missing[:3]}, not in the trace {extra[:3]}"
        else:
            yield f"{len(requests.id)} rows for {len(given)} requests, or in another order"
        return
    ours = np.column_stack((requests.input_tokens, requests.output_tokens))
    theirs = np.column_stack((trace.input_tokens, trace.output_tokens))
    yield from wrong(
        (ours != theirs).any(axis=1),
        named(requests),
        lambda i: f"{ours[i].tolist()} input and output tokens, in the trace {theirs[i].tolist()}",
    )


def arrivals(replay: Replay) -> Iterator[str]:
    """Requests arrive as the trace says; in a closed loop, one whenever another has left.

    A later turn of a session arrives its delay after the one before has ended, and never sooner. In
    a closed loop a user begins the next session when the last turn of one has ended.
    """
    times, trace = replay.requests.arrival_s, replay.trace
    refused = replay.requests.status == REFUSED  # it ends when it arrives
    ends = np.where(refused, times, replay.requests.finish_s)
    first, expected = trace.previous < 0, trace.arrival.copy()
    if replay.concurrency is not None:
        opening = np.zeros(min(replay.concurrency, len(times)))
        free = np.sort(ends[trace.is_last])
        expected[first] = np.concatenate((opening, free))[: np.count_nonzero(first)]
    if trace.delay is not None:
        expected[~first] = ends[trace.previous[~first]] + trace.delay[~first]
    yield from wrong(
        np.abs(times - expected) > slack(expected),
        named(replay.requests),
        lambda i: f"arrived at {times[i]:.9g} s, expected {expected[i]:.9g} s",
    )


def order_of_events(replay: Replay) -> Iterator[str]:
    """A request arrives, is admitted, gets its first token, then its last."""
    r = replay.admitted
    who = named(r)
    early = r.admitted_s < r.arrival_s - slack(r.arrival_s)
    yield from wrong(early, who, "admitted before it arrived")
    r = replay.begun
    who = named(r)
    early = r.first_token_s <= r.admitted_s + slack(r.admitted_s)
    yield from wrong(early, who, "has its first token when it is admitted")
    later = r.finish_s - r.first_token_s
    bad = np.where(r.emitted_tokens == 1, np.abs(later), -later) > slack(r.finish_s)
    bad |= (r.emitted_tokens > 1) & (later <= 0)
    bad &= r.status == COMPLETED
    yield from wrong(bad, who, lambda i: f"finishes {later[i]:.9g} s after its first token")


def steps_in_order(replay: Replay) -> Iterator[str]:
    """Steps take time, follow each other, and never run at once."""
    s = replay.steps
    yield from wrong(s.duration_s <= 0, row_name, lambda i: f"takes {s.duration_s[i]} s")
    early = s.start_s[1:] < s.end_s[:-1] - slack(s.end_s[:-1])
    yield from wrong(early, row_name, "ends after the next one has started")


def rows_that_make_sense(replay: Replay) -> Iterator[str]:
    """A step computes something for sequences that hold a slot."""
    s = replay.steps
    yield from wrong(s.rounds < 1, row_name, "no rounds")
    yield from wrong(s.prefill_seqs + s.decode_seqs < 1, row_name, "computes nothing")
    prompts = (s.prefill_tokens < s.prefill_seqs) | ((s.prefill_seqs == 0) & (s.prefill_tokens > 0))
    yield from wrong(
        prompts, row_name, lambda i: f"{s.prefill_tokens[i]} tokens of {s.prefill_seqs[i]} prompts"
    )
    leap = (s.rounds > 1) & (s.prefill_seqs > 0)
    yield from wrong(leap, row_name, "several rounds with a prefill")
    yield from wrong(
        s.prefill_seqs + s.decode_seqs > s.running,
        row_name,
        lambda i: f"{s.prefill_seqs[i]} + {s.decode_seqs[i]} computed, {s.running[i]} running",
    )


def slots(replay: Replay) -> Iterator[str]:
    """No more sequences run than there are slots."""
    most, running = replay.config.max_num_seqs, replay.steps.running
    yield from wrong(running > most, row_name, lambda i: f"{running[i]} running in {most} slots")


def token_budget(replay: Replay) -> Iterator[str]:
    """No step computes more tokens than its budget."""
    budget = replay.config.max_num_batched_tokens
    if budget is not None:
        tokens = replay.steps.prefill_tokens + replay.steps.decode_seqs
        yield from wrong(tokens > budget, row_name, lambda i: f"{tokens[i]} tokens of {budget}")


def exclusive_steps(replay: Replay) -> Iterator[str]:
    """Prefill and decode share a step only where that has a price."""
    if replay.step_time is not None and not replay.step_time.mixed:
        both = (replay.steps.prefill_seqs > 0) & (replay.steps.decode_seqs > 0)
        yield from wrong(both, row_name, "mixes prefill and decode, which has no price")


def work_conserved(replay: Replay) -> Iterator[str]:
    """The engine rests only with nothing to do, starts with an arrival, ends with a finish."""
    s, r = replay.steps, replay.accepted
    if not len(r.id):
        yield f"{len(s.start_s)} step rows, and every request was refused"
        return
    arrived, finished = np.sort(r.arrival_s), np.sort(r.finish_s)
    rest = s.start_s[1:] > s.end_s[:-1] + slack(s.end_s[:-1])
    left = counted(arrived, s.end_s[:-1]) - counted(finished, s.end_s[:-1])
    yield from wrong(
        rest & (left > 0), row_name, lambda i: f"nothing runs after it, with {left[i]} to serve"
    )
    starts = np.concatenate(([s.start_s[0]], s.start_s[1:][rest]))
    late = counted(arrived, starts) == np.searchsorted(arrived, starts - slack(starts))
    yield from wrong(late, lambda i: f"start at {starts[i]:.9g} s", "nothing arrived")
    if abs(s.end_s[-1] - finished[-1]) > slack(finished[-1:])[0]:
        yield f"the last step ends at {s.end_s[-1]:.9g} s, the last request at {finished[-1]:.9g} s"


def times_on_the_time_line(replay: Replay) -> Iterator[str]:
    """Requests are admitted at starts of prefills, and get first and last tokens at ends."""
    s = replay.steps
    every = s.prefill_seqs + s.decode_seqs
    yield from _on_marks(replay.admitted, "admitted", "admitted_s", s.start_s, s.prefill_seqs)
    yield from _on_marks(replay.begun, "first token", "first_token_s", s.end_s, s.prefill_seqs)
    done = replay.begun.take(replay.begun.status == COMPLETED)
    yield from _on_marks(done, "finish", "finish_s", s.end_s, every)
    left = replay.accepted.take(replay.accepted.status == ABORTED)
    yield from _on_marks(left, "abort", "finish_s", s.end_s, np.full_like(every, len(left.id)))


def _on_marks(
    requests: Requests,
    label: str,
    column: str,
    marks: NDArray[np.float64],
    room: NDArray[np.int64],
) -> Iterator[str]:
    """Each time lies on a mark, and no more of them than there is room for."""
    times = getattr(requests, column)
    row = np.maximum(counted(marks, times) - 1, 0)
    off = np.abs(marks[row] - times) > slack(times)
    yield from wrong(
        off, named(requests), lambda i: f"{label} at {times[i]:.9g} s, where no step says so"
    )
    many = np.bincount(row, minlength=len(marks))
    yield from wrong(
        many > room,
        row_name,
        lambda i: f"{label} of {many[i]} requests, it computes {room[i]} such",
    )


def queue_lengths(replay: Replay) -> Iterator[str]:
    """Who has been accepted and not left is running or waiting.

    Where steps are scheduled ahead, whoever ends in the one before holds its slot for one more.
    Whether a request that arrives within the slack of a step's start was seen by it is open.
    """
    s, r, held_slot = replay.steps, replay.accepted, replay.admitted
    seen, arrival, finish = replay.scheduled_s, np.sort(r.arrival_s), np.sort(r.finish_s)
    arrived = counted(arrival, s.start_s)
    unseen = arrived - np.searchsorted(arrival, seen - slack(seen), side="right")
    admitted = counted(np.sort(held_slot.admitted_s), s.start_s)
    there, held = s.running + s.waiting, arrived - counted(finish, seen)
    gone = counted(finish, s.start_s) - counted(finish, seen)
    yield from wrong(
        (there > held) | (there < held - unseen - gone),
        row_name,
        lambda i: f"{s.running[i]} running + {s.waiting[i]} waiting, {held[i]} in the system",
    )
    finish = np.sort(held_slot.finish_s)
    slot = admitted - counted(finish, seen)
    least = 0 if replay.preempted else admitted - counted(finish, s.start_s)
    bad = (s.running > slot) | (s.running < least)
    yield from wrong(bad, row_name, lambda i: f"{s.running[i]} running, {slot[i]} hold a slot")


def prompts_conserved(replay: Replay) -> Iterator[str]:
    """Prompts are computed after their admission, by their first token, and only once.

    What is found in the prefix cache is not computed.
    """
    s, r = replay.steps, replay.admitted
    done = np.cumsum(s.prefill_tokens)
    b = replay.begun
    due = np.maximum(0, b.input_tokens - b.cached_tokens)
    owed = summed(b.first_token_s, due, s.end_s)
    again = int((r.preemptions * (r.input_tokens + r.emitted_tokens)).sum())
    found = np.where(r.preemptions > 0, 0, r.cached_tokens)  # some perhaps after a preemption
    allowed = summed(r.admitted_s, r.input_tokens - found, s.start_s) + again
    yield from wrong(
        done < owed, row_name, lambda i: f"{done[i]} prompt tokens computed, {owed[i]} were needed"
    )
    yield from wrong(
        done > allowed, row_name, lambda i: f"{done[i]} prompt tokens computed of {allowed[i]}"
    )


def tokens_conserved(replay: Replay) -> Iterator[str]:
    """Each request decodes once for each token after the first."""
    r = replay.begun
    rounds = replay.rounds_at(r.finish_s) - replay.rounds_first
    left = r.emitted_tokens - 1
    bad = np.where(r.preemptions == 0, rounds != left, rounds < left - r.preemptions)
    yield from wrong(
        bad, named(r), lambda i: f"{rounds[i]} decode rounds for {left[i]} further tokens"
    )
    total, due = int((replay.steps.decode_seqs * replay.steps.rounds).sum()), int(left.sum())
    if not due - int(r.preemptions.sum()) <= total <= due:
        yield f"all steps decode {total} tokens, the requests need {due}"
    again = total + int(replay.steps.prefill_tokens.sum()) - due - int(r.input_tokens.sum())
    a = replay.admitted
    again += int(a.cached_tokens.sum())
    # Each loses a token at least, unless it is found again, or has its last one under way.
    sure = replay.reuse is None and not replay.ahead
    lost = int(a.preemptions[a.status == COMPLETED].sum()) if sure else 0
    unknown = a.preemptions.any() or len(a.id) > len(r.id)  # or some of a prompt was computed
    if again < lost or (again and not unknown):
        yield f"{again} tokens computed again, for {lost} preemptions"


def decode_batches(replay: Replay) -> Iterator[str]:
    """A decode round advances everybody who has a first token and not the last."""
    s, r = replay.steps, replay.begun
    begun = counted(np.sort(r.first_token_s), s.start_s)
    ended = counted(np.sort(r.finish_s), s.start_s)
    due, rows = begun - ended, s.decode_seqs > 0
    exact = np.maximum.accumulate(_put_back(replay)) == 0  # nothing was preempted so far
    if replay.ahead:  # slots of those who have ended hide it
        exact &= not replay.preempted
    bad = rows & np.where(exact, s.decode_seqs != due, s.decode_seqs > due)
    yield from wrong(bad, row_name, lambda i: f"{s.decode_seqs[i]} decode, {due[i]} could")
    base = r.input_tokens - replay.rounds_first
    context = summed(r.first_token_s, base, s.start_s) - summed(r.finish_s, base, s.start_s)
    context += due * replay.rounds_before[:-1]
    most = context + int(r.preemptions.sum())
    bad = rows & np.where(exact, s.kv_tokens != context, s.kv_tokens > most)
    bad |= ~rows & (s.kv_tokens > 0)
    yield from wrong(
        bad, row_name, lambda i: f"{s.kv_tokens[i]} KV tokens read, {context[i]} there"
    )


def preemptions_accounted_for(replay: Replay) -> Iterator[str]:
    """A preemption costs its request a step, and shows where its slot is given up.

    A request gets at most one token a step, and none in the step that it is preempted in. Whoever
    was admitted, has not finished and does not run was preempted.
    """
    s, r = replay.steps, replay.admitted
    steps = np.concatenate(([0], np.cumsum(s.rounds)))
    held = steps[counted(s.end_s, r.finish_s)] - steps[counted(s.end_s, r.admitted_s)]
    most = held - r.emitted_tokens + replay.ahead  # who has ended may still hold a slot
    yield from wrong(
        r.preemptions > most,
        named(r),
        lambda i: f"{r.preemptions[i]} preemptions, {most[i]} steps without a token",
    )
    if replay.ahead:
        return  # slots of those who have ended hide who gave up its own
    seen, total = int(np.maximum(np.diff(_put_back(replay), prepend=0), 0).sum()), r.preemptions
    if seen > total.sum():
        yield f"{total.sum()} preemptions, {seen} requests gave up their slot"


def _put_back(replay: Replay) -> NDArray[np.int64]:
    """How many preempted requests wait in each row."""
    s, r = replay.steps, replay.admitted
    admitted = counted(np.sort(r.admitted_s), s.start_s)
    return admitted - counted(np.sort(r.finish_s), s.start_s) - s.running


def prices(replay: Replay) -> Iterator[str]:
    """A step takes what its profile says; attention within prompts is known only by bounds."""
    price, s = replay.step_time, replay.steps
    if price is None:
        return
    longest = int((replay.admitted.input_tokens + replay.admitted.emitted_tokens).max(initial=0))
    low, high = np.empty(len(s.start_s)), np.empty(len(s.start_s))
    columns = (s.prefill_tokens, s.prefill_seqs, s.decode_seqs, s.kv_tokens, s.rounds)
    for i, (tokens, seqs, n, kv, k) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        if tokens and n and not price.mixed:  # no price to hold it against: `exclusive_steps`
            low[i], high[i] = -np.inf, np.inf
            continue
        per_kv = price.per_kv_token_mixed if tokens else price.per_kv_token_decode
        seconds = k * price.base(tokens, n) + per_kv * (k * kv + n * k * (k - 1) / 2)
        least = tokens * tokens / max(seqs, 1)
        low[i] = seconds + price.per_prefill_token_sq * least
        high[i] = seconds + price.per_prefill_token_sq * tokens * tokens
        high[i] += price.per_prefill_token_x_context * tokens * longest
    off = (s.duration_s < low * (1 - 1e-6)) | (s.duration_s > high * (1 + 1e-6))
    yield from wrong(
        off, row_name, lambda i: f"takes {s.duration_s[i]:.9g} s, its price is {low[i]:.9g} s"
    )


def first_come_first_served(replay: Replay) -> Iterator[str]:
    """With order fcfs, nobody is admitted before an earlier arrival that may not be passed over."""
    if replay.order != "fcfs":
        return
    r, config = replay.admitted, replay.config
    shared = config.max_num_partial_prefills > 1
    long = shared & (r.input_tokens > config.long_prefill_token_threshold)
    off = np.zeros(len(long), dtype=np.bool_)
    for lane in (long, ~long):
        by_arrival = np.flatnonzero(lane)[np.argsort(r.arrival_s[lane], kind="stable")]
        admitted = r.admitted_s[by_arrival]
        latest = np.maximum.accumulate(admitted)
        off[by_arrival] = admitted < latest - slack(latest)
    yield from wrong(
        off, lambda i: f"request {r.id[i]}", "admitted before one that arrived earlier"
    )


_LAWS: tuple[tuple[Law, ...], ...] = (
    (same_requests,),
    (
        everybody_served_or_not,
        nobody_beyond_the_limits,
        order_of_events,
        steps_in_order,
        rows_that_make_sense,
    ),
    (
        arrivals,
        caps,
        timeouts,
        slots,
        token_budget,
        exclusive_steps,
        work_conserved,
        times_on_the_time_line,
        queue_lengths,
        prompts_conserved,
        tokens_conserved,
        decode_batches,
        preemptions_accounted_for,
        prefix_cache,
        kv_capacity,
        reserved_blocks,
        prices,
        first_come_first_served,
    ),
)
LAWS = tuple(law.__name__.replace("_", " ") for laws in _LAWS for law in laws)
"""Names of everything that is checked."""
