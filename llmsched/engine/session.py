"""One engine with a policy: stepped, or run through a whole trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from math import inf, isnan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.contract import DECODE, MIXED, PREFILL, Jobs, Policy, Step, View
from llmsched.engine.laws import check_requests, check_work
from llmsched.engine.limits import Intake
from llmsched.engine.referee import Referee, blaming, check_decide, check_queue, is_own
from llmsched.engine.refusal import Refusal
from llmsched.engine.result import COMPLETED, REFUSED, SimulationResult, Streams
from llmsched.engine.served import Served, check_served
from llmsched.engine.sharing import Sharing
from llmsched.engine.submitted import Classes, Names, Submitted
from llmsched.engine.table import Table
from llmsched.engine.whole import in_order_of_arrival, in_order_of_trace, in_rows, with_refused
from llmsched.engine.work import Instants, Work
from llmsched.errors import InputError, PolicyError
from llmsched.hardware import HardwareProfile
from llmsched.hardware.step_time import price_of
from llmsched.kernel.blocks import UNBOUNDED, Blocks, Cache, Rationed, Reserved
from llmsched.kernel.engine import Engine
from llmsched.kernel.known import ledger
from llmsched.kernel.queues import RankQueue
from llmsched.kernel.rows import ROWS, Rows
from llmsched.kernel.stalls import Stalls
from llmsched.kernel.waiting import Knobs
from llmsched.prefixes import cached_tree
from llmsched.trace import Trace

_STEPS = tuple((step, replace(step)) for step in (PREFILL, DECODE, MIXED))
"""The steps that all policies share, and what they are."""

Tick: TypeAlias = Callable[[int, int], None]
"""What is told the requests that have finished and their total."""


def run(
    intake: Intake,
    policy: Policy,
    on_progress: Tick | None = None,
    *,
    keep_steps: bool = True,
    stalls: bool = True,
) -> SimulationResult:
    """Replay a trace on one engine with the order and the rule of `policy`.

    Parameters
    ----------
    intake : Intake
        The requests, from `llmsched.engine.limits.admit`.
    on_progress : callable, optional
        Told the requests that have finished and their total, every few thousand steps.
    keep_steps : bool
        Whether the result has the step table, or only what it amounts to.
    stalls : bool
        Whether it has the worst gap of each request's stream, and its stall.

    Raises
    ------
    PolicyError
        The policy broke its contract (`llmsched.engine.referee`), raised an error, or proposed a
        step that does nothing.
    LivelockError
        Requests are preempted for ever; see `llmsched.engine.livelock`.
    Defect
        The result breaks a law: a mistake of this package.
    """
    session = Session(policy, intake.config, intake.hardware, keep_steps=keep_steps, stalls=stalls)
    session.submit(intake)
    session.advance(on_progress=on_progress)
    return session.result()


class Session:
    """One engine with a policy, on a clock of its own: submit requests, advance time, look.

    Parameters
    ----------
    policy : Policy
        Its order and rule; an offline phase has been gone through, if there is one.
    keep_steps : bool
        Whether the result has the step table.
    stalls : bool
        Whether it has what interrupted the requests' streams.
    block : int
        Rows of the step table after which they are folded, and progress is told.

    Examples
    --------
    >>> from llmsched import Trace, load_profile
    >>> from llmsched.catalog import find
    >>> from llmsched.engine import Session, admit
    >>> hardware, policy = load_profile("llama3-8b-a100"), find("vllm")
    >>> session = Session(policy, hardware.engine, hardware)
    >>> one, two = (Trace.from_columns([at], [80], [9]) for at in (0.0, 1.0))
    >>> session.submit(admit(one, hardware, policy, hardware.engine))
    >>> session.advance(until=1.0)  # nothing else arrives before that
    >>> session.view.waiting, session.view.running
    (0, 0)
    """

    def __init__(
        self,
        policy: Policy,
        config: EngineConfig,
        hardware: HardwareProfile,
        *,
        keep_steps: bool = True,
        stalls: bool = True,
        block: int = ROWS,
    ) -> None:
        self._policy, self._config, self._hardware = policy, config, hardware
        self._submitted = Submitted()
        self._rows = Rows(block)
        self._ahead = config.async_scheduling and policy.rule.mixed
        self._sharing: Sharing | None = None
        self._engine = Engine(
            _knobs(config, ahead=self._ahead),
            price_of(hardware.step_time),
            _cache(config),
            self._rows,
            Referee(policy, hardware, self._submitted.id_of),
        )
        self._stalls = self._engine.stalls = Stalls() if stalls else None
        self._work = Work(f"policy {policy.name}", config, hardware.step_time, keep_steps)
        self._instants = Instants()  # not the work's: nobody needs them once they are checked
        self._jobs = Jobs(
            [],
            [],
            [],
            config,
            hardware,
            job_class=Classes(self._submitted),
            names=Names(self._submitted),
        )
        self._view = View(self._engine, self._jobs)
        self._begun = False
        self._until = 0.0

    def submit(self, intake: Intake) -> None:
        """Add requests, which policies see when they arrive.

        Raises
        ------
        InputError
            One arrives before the time that the engine has been advanced to, or before one that
            was submitted earlier.
        """
        trace = intake.trace
        if len(trace):
            self._check_order(intake)
        self._share(intake)
        if self._submitted.rows is not None or trace.delay is not None:
            self._submit_turns(intake)
        else:
            self._engine.submit(
                intake.arrival,
                trace.input_tokens,
                trace.output_tokens,
                intake.predicted,
                intake.limit,
                trace.timeout,
                trace.priority,
            )
        if self._stalls is not None:
            self._stalls.submit(self._engine.submitted)
        self._submitted.add(intake)
        self._work.who = f"policy {self._policy.name} on {self._submitted.intakes[0].trace.name}"

    def _share(self, intake: Intake) -> None:
        """Let requests find each other's tokens, if the first ones say who shares what."""
        if not self._submitted.intakes and cached_tree(intake.trace, self._config) is not None:
            self._sharing = Sharing(self._config.block_size)
            self._engine.share(self._sharing.prefixes)
            self._work.shares = True
        if self._sharing is not None:
            self._sharing.add([*(one.trace for one in self._submitted.intakes), intake.trace])

    def _submit_turns(self, intake: Intake) -> None:
        trace, n = intake.trace, len(intake.trace)
        given = {
            "arrival": intake.arrival,
            "earliest": trace.arrival,
            "prompt": trace.input_tokens,
            "output": trace.output_tokens,
            "predicted": intake.predicted,
            "limit": intake.limit,
            "priority": np.zeros(n, np.int64) if trace.priority is None else trace.priority,
            "timeout": np.full(n, np.inf) if trace.timeout is None else trace.timeout,
        }
        delay = np.zeros(n) if trace.delay is None else trace.delay
        self._engine.submit_turns(given, trace.previous, delay)
        self._submitted.rows = self._engine.numbered()
        if self._sharing is not None and self._submitted.rows is not None:
            self._sharing.prefixes.number(self._submitted.rows)

    def _check_order(self, intake: Intake) -> None:
        first, least, why = float(intake.arrival[0]), self._until, "it has been advanced to"
        if self._submitted.intakes and (last := self._submitted.intakes[-1].last_known) > least:
            least, why = last, "the last one submitted"
        if first >= least and least < inf:
            return
        expected = f"an arrival no earlier than {least} s, {why}"
        if least == inf:
            ended = self._until == inf
            expected = f"none after {'the end' if ended else 'one that waits for a finish'}"
        raise InputError(f"request {intake.trace.id[0]!r}: expected {expected}; got {first} s")

    def advance(self, until: float = inf, on_progress: Tick | None = None) -> None:
        """Take all decisions before a time, by which all that arrives earlier was submitted.

        A leap over decode rounds that somebody's arrival may yet end is left for the next call.

        Raises
        ------
        InputError
            `until` is no number.
        PolicyError, LivelockError, Defect
            As `run`.
        """
        if isnan(until):
            raise InputError(f"until: expected seconds, got {until}")
        if until <= 0:
            return  # more may be submitted that is known at 0, when the policy begins
        with blaming(self._policy):
            if not self._begun:
                self._begin()
            self._until = max(self._until, until)
            while self._engine.advance(until):
                self._fold()
                if on_progress is not None:
                    on_progress(self.finished, self._engine.submitted)

    @property
    def view(self) -> View:
        """What the policy sees; looking changes nothing."""
        self._engine.tell(ledger(self._jobs))  # where the policy does not look, nobody has
        return self._view

    @property
    def finished(self) -> int:
        """Requests that have left: with their last token, refused, or aborted."""
        engine = self._engine
        return engine.arrived - engine.waiting - engine.running

    def _begin(self) -> None:
        """Let the policy build its queue, with what is known at 0, and its rule."""
        policy, jobs, view = self._policy, self._jobs, self._view
        for step, pristine in _STEPS:  # frozen, but nothing in Python is quite
            for field in fields(Step):
                object.__setattr__(step, field.name, getattr(pristine, field.name))
        for intake in self._submitted.intakes:
            ledger(jobs).extend(intake.known_at_start())
        queue = policy.order.queue(jobs, view)
        check_queue(policy, queue)
        if isinstance(queue, RankQueue):
            queue.later = partial(self._later_keys, queue)
        decide = policy.rule.start(view)
        check_decide(policy, decide)
        trusted = is_own(policy.order)
        self._engine.begin(queue, decide, ledger(jobs), trusted)
        self._begun = True

    def _later_keys(self, queue: RankQueue, first: int) -> list[float]:
        """Ask the order for the keys of requests from `first` on, and of the one before them."""
        before = max(first - 1, 0)
        again = self._policy.order.queue(self._jobs.part(before), self._view)
        keys = again.keys if isinstance(again, RankQueue) else []
        if first and keys[:1] != queue.keys[before:]:
            has = f"{keys[0]:g}" if keys else "none"
            who = f"request {self._submitted.id_of(before)!r}"
            raise PolicyError(
                f"policy {self._policy.name}: queue: keys: {who} had "
                f"{queue.keys[before]:g} and has {has} when the order is asked for later ones: an "
                "array holds each request's own key, a function (lambda request: ...) may do more"
            )
        return keys[first - before :]

    def _fold(self) -> None:
        table = Table(self._rows.written())
        self._work.add(table, self._rows.withdrawn)
        self._instants.add(table)
        self._rows.begin_block()

    def result(self) -> SimulationResult:
        """Return what became of the requests, all of which have finished.

        Raises
        ------
        InputError
            Some have not: time was not advanced far enough, or nothing was submitted.
        Defect
            A law is broken: a mistake of this package.
        """
        finished, submitted = self.finished, self._engine.submitted
        if not self._submitted.intakes or finished < submitted:
            raise InputError(
                f"policy {self._policy.name}: expected a session whose requests have all finished, "
                f"got {finished} of {submitted}: submit, then advance()"
            )
        self._fold()
        outcome = self._engine.outcome()
        trace, rows = self._trace()
        prompt, output = in_rows(trace.input_tokens, rows), in_rows(trace.output_tokens, rows)
        status = outcome["status"].astype(np.int8)
        completed = status == COMPLETED
        emitted, computed_input, left = output, prompt, outcome["finish"]
        if not completed.all():
            outcome["finish"] = np.where(status == REFUSED, np.nan, left)
            emitted = np.where(completed, emitted, outcome["emitted"])
            computed_input = np.where(completed, computed_input, outcome["computed_input"])
        times = {
            "arrival": outcome["arrival"],
            "admission": outcome["admitted"],
            "first token": outcome["first_token"],
            "finish": outcome["finish"],
        }
        who = self._work.who
        marks = (self._instants.ends, self._instants.prefill_ends)
        ends, prefill_ends = map(np.asarray, marks)
        check_requests(who, self._submitted.id_of, times, ends, prefill_ends, completed)
        if self._engine.impatient or self._config.is_capped:
            served = Served(
                prompt,
                output,
                None if trace.timeout is None else in_rows(trace.timeout, rows),
                outcome["arrival"],
                outcome["first_token"],
                left,
                status,
                emitted,
            )
            check_served(who, self._submitted.id_of, self._config, served, ends, self._ahead)
        due = int(computed_input.sum()) + int(emitted.sum())
        due -= int((emitted > 0).sum())  # the last token of each is not computed
        due += int(outcome["recomputed"].sum()) - int(outcome["cached"].sum())
        check_work(who, due, self._work.totals.computed_tokens)
        gaps = self._rows.resume_gap
        streams = None if self._stalls is None else Streams(*self._stalls.outcome(submitted))
        taken = SimulationResult(
            trace=trace,
            hardware=self._hardware,
            config=self._config,
            policy=self._policy.name,
            detail=self._detail(),
            arrival=outcome["arrival"],
            admitted=outcome["admitted"],
            first_token=outcome["first_token"],
            finish=outcome["finish"],
            status=status,
            refusal=np.where(status == REFUSED, Refusal.QUEUE_FULL, 0).astype(np.int8),
            emitted=emitted,
            computed_input=computed_input,
            preemptions=outcome["preemptions"],
            recomputed_tokens=outcome["recomputed"],
            cached_tokens=outcome["cached"],
            works=(self._work,),
            resume_gap=np.array(gaps, dtype=np.float64),
            streams=streams,
            peak_blocks=None if self._config.usable_blocks is None else self._engine.cache.peak,
        )
        return with_refused(in_order_of_trace(taken, rows), self._submitted.intakes)

    def _detail(self) -> str:
        with blaming(self._policy):
            return f"{self._policy.order} + {self._policy.rule}"

    def _trace(self) -> tuple[Trace, NDArray[np.int64] | None]:
        """Return the trace, and the row of each request by its number; None: they are the same."""
        traces, rows = [one.trace for one in self._submitted.intakes], self._submitted.rows
        if len(traces) == 1:
            return traces[0], rows
        if rows is not None:
            rows = np.argsort(in_order_of_arrival(traces))[rows]
        return Trace.joined(traces), rows


def _knobs(config: EngineConfig, *, ahead: bool) -> Knobs:
    return Knobs(
        config.most_running,
        config.max_num_batched_tokens or UNBOUNDED,
        config.largest_chunk or UNBOUNDED,
        first_chunk=config.admission == "first_chunk",
        longest_remaining=config.victim == "longest_remaining",
        least_urgent=config.victim == "least_urgent",
        adaptive=config.long_prefill_token_threshold_adaptive,
        interval=config.prefill_schedule_interval,
        ahead=ahead,
        shares=config.max_num_partial_prefills,
        long_shares=config.max_long_partial_prefills,
        long_prompt=config.long_prefill_token_threshold or UNBOUNDED,
        most_requests=config.max_num_queued_reqs or UNBOUNDED,
        most_prompt_tokens=config.max_num_queued_tokens or UNBOUNDED,
    )


def _cache(config: EngineConfig) -> Cache:
    usable = config.usable_blocks
    if usable is None:
        return Cache()
    sizes = usable, config.block_size, config.spare_blocks
    if config.reserve == "none":
        return Blocks(*sizes)
    if config.reserve == "max_output":
        return Reserved(*sizes)
    return Rationed(*sizes, config.reserved_share)
