"""The engine: applies the steps that a batching rule proposes, and leaps over equal decode rounds.

Three ideas carry it:

- A *decode clock* counts decode rounds. A sequence that begins to decode at round r with m tokens
  to go finishes at round r + m, known at once; a heap holds those rounds.
- While the batch is decode-only and unchanged, the time of k rounds is a closed form in k, so the
  engine jumps to the next event: a finish, an arrival while a slot is idle, KV blocks running out,
  or the round at which the rule asked to be asked again.
- State is arrays with one entry a request, read through memory views: plain Python numbers in the
  loop, NumPy arrays afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

from llmsched.contract import DECODE, PREFILL, Decide, Jobs, Policy, Step, View
from llmsched.engine import allocation
from llmsched.engine.checks import (
    blaming,
    check_decide,
    check_next,
    check_popped,
    check_queue,
    check_step,
)
from llmsched.engine.laws import check_laws
from llmsched.engine.result import STEP_COLUMNS, SimulationResult
from llmsched.engine.state import UNBOUNDED, State
from llmsched.errors import PolicyError
from llmsched.trace import Trace

CLOCK_TOLERANCE_S = 1e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule."""

DECISIONS = 4096
"""Decisions after which a replay says how far it is."""

Tick: TypeAlias = Callable[[int, int], None]
"""What is told the requests that have finished and their total."""


def run(
    trace: Trace, jobs: Jobs, policy: Policy, on_progress: Tick | None = None
) -> SimulationResult:
    """Replay `trace` on one engine with the order and the rule of `policy`.

    Parameters
    ----------
    jobs : Jobs
        What the policy may know of the same requests, from `llmsched.engine.limits.admit`.
    on_progress : callable, optional
        Told the requests that have finished and their total, every few thousand decisions.

    Raises
    ------
    PolicyError
        The policy broke its contract (`llmsched.engine.checks`), raised an error, or proposed a
        step that does nothing.
    LivelockError
        Requests are preempted for ever; see `llmsched.engine.livelock`.
    Defect
        The result breaks a law: a mistake of this package.
    """
    with blaming(policy):
        engine = Engine(trace, jobs, policy)
        engine.run(on_progress)
        result = engine.result()  # which asks the policy's parts how they are written
    check_laws(result)
    return result


class Engine(State):
    """One replay, from its first decision to its result. Rules see it through a :class:`View`."""

    def run(self, on_progress: Tick | None = None) -> None:
        """Take decisions until every request has finished.

        Raises
        ------
        PolicyError
            The policy broke its contract.
        LivelockError
            Requests are preempted for ever.
        """
        decide = self._begin()
        while not self._take(decide, DECISIONS):
            if on_progress is not None:
                on_progress(self.arrived - self.waiting - len(self.running), len(self.trace))

    def _take(self, decide: Decide, decisions: int) -> bool:
        """Take that many decisions; return whether every request has finished by then."""
        n = len(self.trace)
        arrival, queue, running = self.arrival, self.queue, self.running
        sound = DECODE  # the last of a rule's own steps that was checked: rules repeat themselves
        for _ in range(decisions):
            while self.arrived < n and arrival[self.arrived] <= self.now + CLOCK_TOLERANCE_S:
                self.now = max(self.now, arrival[self.arrived])
                self.waiting += 1
                self.arrived += 1
                queue.push(self.arrived - 1)
            if not running and not self.waiting:
                if self.arrived == n:
                    return True
                self.now = arrival[self.arrived]
                continue
            step = decide()
            if step is not DECODE and step is not PREFILL and step is not sound:
                check_step(self.policy, step, self.hardware)
                sound = step
            preempted = self.preempted
            done = self._prefill(step) if step.prefill else step.decode and self._decode(step)
            if not done and self.preempted == preempted:
                raise PolicyError(
                    f"policy {self.policy.name}: at {self.now:.6f} s it proposed {step}, which "
                    f"does nothing with {len(running)} running and {self.waiting} waiting"
                )
        return False

    def _begin(self) -> Decide:
        """Let the policy build its queue; return what decides."""
        policy, view = self.policy, View(self)
        self.queue = policy.order.queue(self.jobs, view)
        check_queue(policy, self.queue)
        decide = policy.rule.start(view)
        check_decide(policy, decide)
        return decide

    def next_waiting(self) -> int:
        """Return the request that the queue offers, which does wait; -1 if it offers none."""
        request = self.queue.peek()
        if (
            request.__class__ is int
            and 0 <= request < self.arrived
            and request not in self.running
            and not self.has_finished(request)
        ):
            return request
        return check_next(self, request)

    def can_prefill(self) -> bool:
        """Whether a step with prefill would compute prompt tokens; see `View.can_prefill`."""
        if self.partial:
            return True
        if not self.waiting or len(self.running) >= self.config.max_num_seqs:
            return False
        if self.pool is None:
            request = self.queue.peek()
            return (request if request.__class__ is int else self.next_waiting()) >= 0
        request = self.next_waiting()
        return request >= 0 and allocation.fits(self, request)

    def next_prefill_tokens(self) -> int:
        """Return the tokens to compute of the prompt that is next; see `View`."""
        if self.partial:
            begun = next(iter(self.partial))
            return self.target[begun] - self.computed[begun]
        request = self.next_waiting() if self.waiting else -1
        return 0 if request < 0 else self.target[request]

    def _decode(self, step: Step) -> bool:
        """Leap over decode rounds to the next event."""
        pool, price = self.pool, self.step_time
        k = UNBOUNDED if step.rounds is None else int(step.rounds)
        if pool is not None and allocation.make_room(self):
            k = 1  # the next step may admit again
        n = self.decoding
        if not n:
            return False
        k = max(
            1, min(k, self._next_finish() - self.clock)
        )  # also if a rule wrote to a shared, frozen Step
        if pool is not None:
            k = min(k, pool.rounds_left(self.clock))
        duration = price.rounds(n, self.kv_tokens, k)
        if self.arrived < len(self.arrival) and len(self.running) < self.config.max_num_seqs:
            gap = self.arrival[self.arrived] - CLOCK_TOLERANCE_S - self.now
            if gap < duration:
                k = min(k, price.rounds_until(n, self.kv_tokens, gap))
                duration = price.rounds(n, self.kv_tokens, k)
        self._record(duration, k, (0, 0, n, self.kv_tokens), (0, 0, 0, 0))
        self._advance(n, k)
        return True

    def _prefill(self, step: Step) -> bool:
        """Compute prompt tokens, beside one decode round if the step says so."""
        preempted = step.decode and self.pool is not None and allocation.make_room(self)
        whole = self.budget if step.max_tokens is None else min(self.budget, int(step.max_tokens))
        budget = whole - (self.decoding if step.decode else 0)
        chunks: list[tuple[int, int]] = []
        for request in list(self.partial):
            if request not in self.partial:
                continue  # preempted for one before it
            tokens = min(self.target[request] - self.computed[request], self.threshold, budget)
            if tokens <= 0:
                break
            if self.pool is not None:
                before = self.preempted
                extended = allocation.extend(self, request, tokens)
                preempted |= self.preempted > before
                if not extended:
                    break
            chunks.append((request, tokens))
            budget -= tokens
        if preempted:
            chunks = [chunk for chunk in chunks if chunk[0] in self.partial]
        else:
            self._admit(step, chunks, budget, whole)
        n = self.decoding if step.decode else 0
        if not chunks and not n:
            return False
        self._apply(chunks, n, step.decode)
        return True

    def _admit(self, step: Step, chunks: list[tuple[int, int]], budget: int, whole: int) -> None:
        """Admit waiting requests in queue order and append their first chunks to `chunks`."""
        queue, running, target = self.queue, self.running, self.target
        slots = self.config.max_num_seqs - len(running)
        if step.max_new_seqs is not None:
            slots = min(slots, step.max_new_seqs)
        while slots > 0 and budget > 0 and self.waiting:
            request = self.next_waiting()
            if request < 0:
                return
            need = min(target[request], self.threshold)
            tokens = min(need, budget)
            if tokens < need and not step.split and (chunks or need <= whole):
                return
            if self.pool is not None:
                if not allocation.fits(self, request):
                    return
                allocation.allocate(self, request, tokens)
            popped = queue.pop()
            if popped.__class__ is not int or popped != request:
                check_popped(self, popped, request)
            self.waiting -= 1
            running[request] = self.partial[request] = None
            self.computed[request] = 0
            if self.admitted[request] != self.admitted[request]:  # NaN: not a resumption
                self.admitted[request] = self.now
            chunks.append((request, tokens))
            budget -= tokens
            slots -= 1

    def _apply(self, chunks: list[tuple[int, int]], n: int, mixed: bool) -> None:
        """Price and execute a step of `chunks` beside one round of `n` decodes.

        In a mixed step the last token of a recomputation, left alone by the chunks before it, is a
        decode like any other: it reads the context and yields the next token.
        """
        tokens = squares = crossed = first_tokens = resumed = 0
        kv_tokens = self.kv_tokens if n else 0
        ready = []
        for request, chunk in chunks:
            before, target = self.computed[request], self.target[request]
            self.computed[request] = before + chunk
            if before + chunk == target:
                ready.append(request)
                first_tokens += target < self.last[request]
                if mixed and chunk == 1 and target > self.jobs.input_tokens[request]:
                    resumed += 1
                    kv_tokens += before
                    continue
            tokens += chunk
            squares += chunk * chunk
            crossed += chunk * before
        counts = (tokens, len(chunks) - resumed, n + resumed, kv_tokens)
        duration = self.step_time.step(tokens, squares, crossed, n + resumed, kv_tokens)
        self._record(duration, 1, counts, (first_tokens, resumed, squares, crossed))
        self.prompt_tokens += tokens + resumed
        if n:
            self._advance(n, 1)
        for request in ready:
            self._begin_decoding(request)

    def _record(
        self,
        duration: float,
        rounds: int,
        counts: tuple[int, int, int, int],
        sums: tuple[int, int, int, int],
    ) -> None:
        """Append a row to the step table, and move time to its end."""
        queues = (len(self.running), self.waiting)
        blocks = 0 if self.pool is None else self.pool.usable - self.pool.free
        held = self.kv_tokens + self.prompt_tokens
        self.steps.extend((self.now, duration, rounds, *counts, *queues, *sums, blocks, held))
        self.now += duration

    def _advance(self, n: int, rounds: int) -> None:
        """Give each of the `n` decoding sequences `rounds` tokens; the last may end some."""
        if self.pool is not None:
            self.pool.advance(self.clock, rounds)
        self.clock += rounds
        self.kv_tokens += n * rounds
        self.last_round_end = self.now
        finishing = self.finishing
        while finishing and finishing[0][0] <= self.clock:
            until, request = heappop(finishing)
            if self.until[request] == until:
                self.stop_decoding(request, self.last[request])
                self._complete(request)

    def _next_finish(self) -> int:
        """Return the decode clock of the next finish; something must be decoding."""
        finishing = self.finishing
        while self.until[finishing[0][1]] != finishing[0][0]:
            heappop(finishing)  # preempted meanwhile
        return finishing[0][0]

    def _begin_decoding(self, request: int) -> None:
        """Emit the token that a finished prefill yields; decode what is left."""
        del self.partial[request]
        self.prompts_done += 1
        if request in self.last_token:
            self.resume_gap.append(self.now - self.last_token.pop(request))
        else:
            self.first_token[request] = self.now
        tokens = self.target[request]
        self.prompt_tokens -= tokens
        left = self.last[request] - tokens
        if not left:
            self._complete(request)
            return
        self.ready_row[request] = len(self.steps) // len(STEP_COLUMNS) - 1
        self.since[request] = self.clock
        self.until[request] = until = self.clock + left
        heappush(self.finishing, (until, request))
        self.decoding += 1
        self.kv_tokens += tokens
        if self.pool is not None and not self.reserves:
            self.pool.grow(tokens, self.clock)

    def _complete(self, request: int) -> None:
        self.finish[request] = self.now
        self.leave(request, self.last[request])
        if self.known < len(self.arrival):
            self.arrival[self.known] = self.now
            self.known += 1
