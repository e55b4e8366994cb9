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

from array import array
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.engine import memory
from llmsched.engine.config import EngineConfig
from llmsched.engine.kv import BlockPool
from llmsched.engine.limits import check_decide, check_limits, check_queue
from llmsched.engine.result import STEP_COLUMNS, SimulationResult
from llmsched.engine.step import Step
from llmsched.engine.view import View
from llmsched.errors import PolicyError
from llmsched.orders.queue import Jobs
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.hardware import HardwareProfile
    from llmsched.policies import Policy

CLOCK_TOLERANCE_S = 1e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule."""

_UNBOUNDED = 1 << 62


def simulate(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig | None = None,
    *,
    predicted: NDArray[np.int64] | None = None,
    concurrency: int | None = None,
) -> SimulationResult:
    """Replay `trace` under `policy` on a simulated engine.

    Parameters
    ----------
    config : EngineConfig, optional
        The engine's knobs; the profile's by default.
    predicted : int64, shape (n,), optional
        Output lengths as the policy sees them; the true ones by default.
    concurrency : int, optional
        Closed loop: ignore the trace's arrivals, start with this many requests at 0 and let the
        next one arrive whenever one finishes.

    Raises
    ------
    InputError
        The profile cannot price the policy's steps, the knobs contradict each other, or a request
        can never fit.
    PolicyError
        The policy proposed a step that does nothing, or preempts without end.

    Examples
    --------
    >>> from llmsched import Trace, load_profile
    >>> from llmsched.catalog import find
    >>> trace = Trace.from_columns([0, 0], input_tokens=[80, 20], output_tokens=[9, 5])
    >>> result = simulate(trace, load_profile("llama65b-8gpu-paper"), find("fcfs"))
    >>> round(result.makespan, 3)  # a prefill of 100 tokens, and 8 rounds of 68.9 ms
    0.579
    """
    config = replace(hardware.engine if config is None else config, **dict(policy.knobs))
    check_limits(trace, hardware, policy, config, concurrency)
    engine = Engine(trace, hardware, policy, config, predicted, concurrency)
    engine.run()
    return engine.result()


class Engine:
    """State of one replay. Rules see it through a :class:`View`."""

    def __init__(
        self,
        trace: Trace,
        hardware: HardwareProfile,
        policy: Policy,
        config: EngineConfig,
        predicted: NDArray[np.int64] | None,
        concurrency: int | None,
    ) -> None:
        n = len(trace)
        self.trace, self.hardware, self.policy, self.config = trace, hardware, policy, config
        self.step_time = hardware.step_time
        self.now = 0.0
        self.clock = 0
        self.decoding = 0
        self.kv_tokens = 0
        self.running: dict[int, None] = {}  # in order of admission
        self.partial: dict[int, None] = {}  # running, prompt not finished
        self.budget = config.max_num_batched_tokens or _UNBOUNDED
        self.threshold = config.long_prefill_token_threshold or _UNBOUNDED

        arrival = np.array(trace.arrival)
        self.known = n  # arrivals known so far; in a closed loop the rest wait for a finish
        if concurrency is not None:
            arrival[:concurrency], arrival[concurrency:] = 0.0, np.inf
            self.known = min(concurrency, n)
        self.arrived = 0
        self.arrival = floats(arrival)
        self.admitted = floats(np.full(n, np.nan))
        self.first_token = floats(np.full(n, np.nan))
        self.finish = floats(np.full(n, np.nan))
        self.preemptions = ints(np.zeros(n, dtype=np.int64))
        self.recomputed = ints(np.zeros(n, dtype=np.int64))
        self.target = ints(np.array(trace.input_tokens))  # tokens to compute, then decode
        self.last = ints(trace.input_tokens + trace.output_tokens - 1)  # computed at the end
        self.computed = ints(np.zeros(n, dtype=np.int64))  # while in `partial`
        self.held = ints(np.zeros(n, dtype=np.int64))  # tokens with blocks, in `partial`
        self.since = ints(np.zeros(n, dtype=np.int64))  # decode clock at its first round
        self.until = ints(np.full(n, -1))  # decode clock after its last; -1: not decoding
        self.finishing: list[tuple[int, int]] = []  # heap of (until, request), some outdated

        usable = config.usable_blocks
        self.pool = None if usable is None else BlockPool(usable, config.block_size)
        self.fruitless = 0  # preemptions since a request last finished
        self.last_round_end = 0.0
        self.ready_row = ints(np.zeros(n, dtype=np.int64))  # step that finished its prompt
        self.last_token: dict[int, float] = {}  # of preempted requests
        self.resume_gap = array("d")
        self.steps = array("d")

        lengths = trace.output_tokens if predicted is None else predicted
        self.jobs = Jobs(arrival.copy(), trace.input_tokens, lengths, config, hardware)
        order, self.rule = (
            policy.offline.choose(self.jobs) if policy.offline else (policy.order, policy.rule)
        )
        self.detail = f"{order} + {self.rule}"
        self.queue = order.queue(self.jobs, View(self))
        check_queue(policy, self.queue)

    def run(self) -> None:
        """Take decisions until every request has finished.

        Raises
        ------
        PolicyError
            The rule proposed a step that does nothing, or preempts without end.
        """
        decide = self.rule.start(View(self))
        check_decide(self.policy, decide)
        n = len(self.trace)
        arrival, queue, running = self.arrival, self.queue, self.running
        while True:
            while self.arrived < n and arrival[self.arrived] <= self.now + CLOCK_TOLERANCE_S:
                self.now = max(self.now, arrival[self.arrived])
                queue.push(self.arrived)
                self.arrived += 1
            if not running and not len(queue):
                if self.arrived == n:
                    return
                self.now = arrival[self.arrived]
                continue
            step = decide()
            if step.__class__ is not Step:
                raise PolicyError(f"policy {self.policy.name}: expected a Step, got {step!r}")
            fruitless = self.fruitless
            done = self._prefill(step) if step.prefill else step.decode and self._decode(step)
            if not done and self.fruitless == fruitless:
                raise PolicyError(
                    f"policy {self.policy.name}: at {self.now:.6f} s it proposed {step}, which "
                    f"does nothing with {len(running)} running and {len(queue)} waiting"
                )

    def can_prefill(self) -> bool:
        """Whether a step with prefill would compute prompt tokens; see `View.can_prefill`."""
        if self.partial:
            return True
        if not len(self.queue) or len(self.running) >= self.config.max_num_seqs:
            return False
        request = self.queue.peek()
        return request >= 0 and (self.pool is None or memory.fits(self, request))

    def _decode(self, step: Step) -> bool:
        """Leap over decode rounds to the next event."""
        pool, price = self.pool, self.step_time
        k = step.rounds or _UNBOUNDED
        if pool is not None and memory.make_room(self):
            k = 1  # the next step may admit again
        n = self.decoding
        if not n:
            return False
        k = min(k, self._next_finish() - self.clock)
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
        preempted = step.decode and self.pool is not None and memory.make_room(self)
        whole = min(self.budget, step.max_tokens or _UNBOUNDED)
        budget = whole - (self.decoding if step.decode else 0)
        chunks: list[tuple[int, int]] = []
        for request in list(self.partial):
            if request not in self.partial:
                continue  # preempted for one before it
            tokens = min(self.target[request] - self.computed[request], self.threshold, budget)
            if tokens <= 0:
                break
            if self.pool is not None:
                before = self.fruitless
                extended = memory.extend(self, request, tokens)
                preempted |= self.fruitless > before
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
        while slots > 0 and budget > 0 and len(queue):
            request = queue.peek()
            if request < 0:
                return
            need = min(target[request], self.threshold)
            tokens = min(need, budget)
            if tokens < need and not step.split and (chunks or need <= whole):
                return
            if self.pool is not None:
                if not memory.fits(self, request):
                    return
                memory.allocate(self, request, tokens)
            queue.pop()
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
        queues = (len(self.running), len(self.queue))
        blocks = 0 if self.pool is None else self.pool.usable - self.pool.free
        self.steps.extend((self.now, duration, rounds, *counts, *queues, *sums, blocks))
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
        if request in self.last_token:
            self.resume_gap.append(self.now - self.last_token.pop(request))
        else:
            self.first_token[request] = self.now
        tokens = self.target[request]
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
        if self.pool is not None:
            memory.follow(self, tokens)

    def decoded_tokens(self, request: int) -> int:
        """Tokens of a decoding sequence whose KV has been computed."""
        return self.target[request] + self.clock - self.since[request]

    def known_tokens(self, request: int) -> int:
        """Prompt and generated tokens of a running sequence."""
        decoding = self.until[request] >= 0
        return self.decoded_tokens(request) + 1 if decoding else self.target[request]

    def stop_decoding(self, request: int, tokens: int) -> None:
        """Take a sequence of `tokens` computed tokens out of the decode batch."""
        self.until[request] = -1
        self.decoding -= 1
        self.kv_tokens -= tokens
        if self.pool is not None:
            memory.unfollow(self, tokens)

    def _complete(self, request: int) -> None:
        self.finish[request] = self.now
        self.fruitless = 0
        self.leave(request, self.last[request])
        if self.known < len(self.arrival):
            self.arrival[self.known] = self.now
            self.known += 1

    def leave(self, request: int, tokens: int) -> None:
        """Free the slot and the blocks of a sequence of `tokens` computed tokens."""
        del self.running[request]
        if self.pool is not None:
            memory.release(self, request, tokens)
        if self.queue.release is not None:
            self.queue.release(request)

    def result(self) -> SimulationResult:
        """Return what the replay leaves behind, as NumPy arrays."""
        return SimulationResult(
            trace=self.trace,
            hardware=self.hardware,
            config=self.config,
            policy=self.policy.name,
            detail=self.detail,
            arrival=np.asarray(self.arrival),
            admitted=np.asarray(self.admitted),
            first_token=np.asarray(self.first_token),
            finish=np.asarray(self.finish),
            preemptions=np.asarray(self.preemptions),
            recomputed_tokens=np.asarray(self.recomputed),
            steps=np.frombuffer(self.steps).reshape(-1, len(STEP_COLUMNS)),
            resume_gap=np.frombuffer(self.resume_gap) if self.resume_gap else np.empty(0),
            peak_blocks=None if self.pool is None else self.pool.peak,
        )
