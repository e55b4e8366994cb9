"""A second simulator, deliberately plain: one step at a time over lists of objects.

It is written from the semantics alone and shares with the engine only the policy objects (orders
and batching rules, which see it through a look-alike of the view), the knobs and `StepTime.step`.
There are no leaps, no heap of finishes, no counting of block phases: every sequence counts its own
blocks and every round touches every sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from llmsched.config import EngineConfig
from llmsched.contract import Jobs, Order, Policy, Step, View, WaitingQueue
from llmsched.errors import PolicyError
from llmsched.hardware import HardwareProfile, StepTime
from llmsched.kernel.known import ledger
from llmsched.kernel.queues import Queue, RankQueue
from llmsched.kernel.rules import Rule
from llmsched.trace import Trace

SAME_INSTANT_S = 0.5e-9
NO_LIMIT = 10**15


@dataclass(eq=False)
class Request:
    row: int
    arrival: float
    prompt: int
    output: int
    predicted: int
    limit: int
    priority: int = 0
    index: int = -1  # number, once it has arrived
    delay: float = 0.0  # seconds from the end of its session's turn before
    follows: Request | None = None  # that one
    generated: int = 0
    computed: int = 0
    goal: int = 0  # tokens to compute before it decodes; 0 while it waits
    blocks: int = 0
    chunk: int = 0  # tokens of its prompt in the step being made
    admitted: float = float("nan")
    tokens_at: list[float] = field(default_factory=list)
    token_steps: list[int] = field(default_factory=list)  # the step that each token came in
    resumed: list[int] = field(default_factory=list)  # tokens that were the first after a loss
    preemptions: int = 0
    recomputed: int = 0

    @property
    def comes(self) -> tuple[bool, float, int]:
        """Who arrives first: whoever is known at the start, then in order of time, then of rows."""
        return self.follows is not None or self.arrival > 0, self.arrival, self.row

    @property
    def known(self) -> int:
        return self.prompt + self.generated

    @property
    def most(self) -> int:
        return self.prompt + self.limit - 1

    @property
    def begun(self) -> bool:
        return self.computed < self.goal

    @property
    def first_token(self) -> float:
        return self.tokens_at[0]

    @property
    def finish(self) -> float:
        return self.tokens_at[-1]


class PlainView:
    """The attributes of the engine's view, counted afresh at every look."""

    def __init__(self, engine: PlainEngine) -> None:
        self._engine = engine

    @property
    def now(self) -> float:
        return self._engine.now

    @property
    def clock(self) -> int:
        return self._engine.clock

    @property
    def running(self) -> int:
        return len(self._engine.running)

    @property
    def decoding(self) -> int:
        return len(self._engine.decoding())

    @property
    def prefilling(self) -> int:
        return sum(request.begun for request in self._engine.running)

    @property
    def waiting(self) -> int:
        return self._engine.waiting()

    @property
    def idle_slots(self) -> int:
        return self._engine.config.max_num_seqs - self.running

    @property
    def can_prefill(self) -> bool:
        if self.prefilling:
            return True
        if not self.waiting or not self.idle_slots or self._engine.queue.peek() < 0:
            return False
        return self._engine.fits(self._engine.head(), self._engine.next_chunk())

    @property
    def kv_tokens(self) -> int:
        return sum(request.computed for request in self._engine.decoding())

    @property
    def next_prefill_tokens(self) -> int:
        for request in self._engine.running:
            if request.begun:
                return request.goal - request.computed
        if not self.waiting or self._engine.queue.peek() < 0:
            return 0
        return self._engine.head().known

    def patience(self, extra: int) -> int | None:
        patience = getattr(self._engine.queue, "patience", None)
        return None if patience is None else patience(extra)

    @property
    def jobs(self) -> Jobs:
        return self._engine.jobs

    @property
    def config(self) -> EngineConfig:
        return self._engine.config

    @property
    def step_time(self) -> StepTime:
        return self._engine.price


class Numbered:
    """The ids of requests by their numbers."""

    def __init__(self, engine: PlainEngine) -> None:
        self._engine = engine

    def __getitem__(self, request: int) -> str:
        return str(self._engine.ids[self._engine.numbered[request].row])


class PlainEngine:
    """One replay; afterwards `requests` and `steps` hold what happened."""

    def __init__(
        self,
        trace: Trace,
        hardware: HardwareProfile,
        policy: Policy,
        config: EngineConfig,
        predicted: NDArray[np.int64] | None = None,
        concurrency: int | None = None,
    ) -> None:
        config = replace(config, **dict(policy.knobs))
        lengths = trace.output_tokens if predicted is None else predicted
        arrival = [float(time) for time in trace.arrival]
        if concurrency is not None:
            free = iter(range(concurrency))
            arrival = [
                0.0 if before < 0 and next(free, None) is not None else float("inf")
                for before in trace.previous.tolist()
            ]
        limits = [plain_limit(trace, config, row) for row in range(len(trace))]
        self.requests = [
            Request(i, arrival[i], int(prompt), int(output), int(guess), limit)
            for i, (prompt, output, guess, limit) in enumerate(
                zip(trace.input_tokens, trace.output_tokens, lengths, limits, strict=True)
            )
        ]
        for request, before in zip(self.requests, trace.previous.tolist(), strict=True):
            if before >= 0 and trace.delay is not None:
                request.follows, request.arrival = self.requests[before], float("inf")
                request.delay = float(trace.delay[request.row])
        if trace.priority is not None:
            for request, priority in zip(self.requests, trace.priority.tolist(), strict=True):
                request.priority = priority
        self.ids = trace.id
        self.numbered: list[Request] = []
        self.coming = sorted(self.requests, key=lambda request: request.comes)
        self.policy, self.config, self.price = policy, config, hardware.step_time
        self.now, self.clock, self.fruitless = 0.0, 0, 0
        self.running: list[Request] = []
        self.free = NO_LIMIT if config.num_gpu_blocks is None else config.num_gpu_blocks - 1
        self.spare = int(config.watermark * (config.num_gpu_blocks or 0))
        self.insert: Step | None = None  # what a rule of the kernel's own inserts
        self.usable, self.peak = self.free, 0
        self.share = NO_LIMIT  # tokens of a prompt in the step being made
        self.steps: list[list[int]] = []
        self.prompts: list[tuple[float, dict[int, int]]] = []  # seconds, prompt tokens by request
        order, self.rule = policy.order, policy.rule
        if policy.offline is not None:
            order, self.rule = policy.offline.choose(self._known_at_0(hardware))
        self.jobs = self._known_at_0(hardware)
        self.view = cast(View, PlainView(self))  # the same attributes, nothing else
        self.queue: WaitingQueue = order.queue(self.jobs, self.view)
        if isinstance(self.queue, RankQueue):
            self.queue.later = lambda first: self._more_keys(order, first)

    def _known_at_0(self, hardware: HardwareProfile) -> Jobs:
        known = [one for one in self.requests if one.arrival <= 0 and not one.follows]
        return Jobs(
            [request.arrival for request in known],
            [request.prompt for request in known],
            [request.predicted for request in known],
            self.config,
            hardware,
            [request.limit for request in known],
            priority=[request.priority for request in known],
            names=Numbered(self),
        )

    def _more_keys(self, order: Order, first: int) -> list[float]:
        queue = order.queue(self.jobs.part(first), self.view)
        assert isinstance(queue, RankQueue)
        return queue.keys

    def run(self) -> PlainEngine:
        decide = self.rule.start(self.view)
        self.insert = decide.insert if isinstance(decide, Rule) else None
        step, rounds = Step(), 0  # rounds: how many more of `step` the rule has allowed
        while self.coming or self.waiting() or self.running:
            if not self.running and not self.waiting():
                self.now = max(self.now, self.coming[0].arrival)
            came = self._arrive()
            if came and len(self.running) < self.config.max_num_seqs:
                rounds = 0
            if self.demand() > self.free:
                rounds = 0
            if not rounds:
                step = decide()
                rounds = 1 if step.prefill else step.rounds or NO_LIMIT
            lost, finished = self._lost(), self._finished()
            done = self._step(step)
            preempted = self._lost() > lost
            if not done and not preempted:
                raise PolicyError(f"{step} does nothing")
            rounds = 0 if preempted or self._finished() > finished else rounds - 1
        return self

    def decoding(self) -> list[Request]:
        return [request for request in self.running if not request.begun]

    def waiting(self) -> int:
        """Requests that have arrived, hold no slot and have not finished."""
        return len(self.requests) - len(self.coming) - len(self.running) - self._finished()

    def head(self) -> Request:
        return self.numbered[self.queue.peek()]

    def demand(self) -> int:
        """Blocks that the next decode round takes."""
        return sum(self._missing(request, 1) for request in self.decoding())

    def next_chunk(self) -> int:
        """Tokens of the next waiting prompt that a step would compute, if it is admitted."""
        budget = self.config.max_num_batched_tokens or NO_LIMIT
        if self.insert is not None:
            budget = min(budget, self.insert.max_tokens or NO_LIMIT)
            budget -= len(self.decoding()) if self.insert.decode else 0
        return min([self.head().known, budget, *self._threshold()])

    def fits(self, request: Request, chunk: int) -> bool:
        """Whether a request may be admitted; the next decode round's blocks are not for it."""
        tokens = request.known
        if self.config.admission == "first_chunk":
            tokens = chunk
        if self.config.reserve == "max_output":
            tokens = request.most
        if self.config.reserve.startswith("ratio"):
            return self._fits_beside_shares(request, tokens)
        return self._blocks(tokens) + self.kept() <= self.free - self.demand()

    def kept(self) -> int:
        """Blocks that an admission leaves free, while anything runs."""
        return self.spare if self.running else 0

    def _fits_beside_shares(self, request: Request, tokens: int) -> bool:
        """Whether it fits if each takes its share of what its limit leaves it, or a round's."""
        held = owed = due = 0
        for one in self.running:
            has = one.computed + one.chunk
            held += self._blocks(has)
            owed += self._blocks(self._expected(one, has)) - self._blocks(has)
            if not one.begun:
                due += self._blocks(has + 1) - self._blocks(has)
        need = self._blocks(self._expected(request, tokens)) + self.kept()
        return min(need, self.usable) <= self.usable - held - max(owed, due)

    def _expected(self, request: Request, tokens: int) -> int:
        return tokens + int(self.config.reserved_share * (request.most - tokens))

    def _arrive(self) -> bool:
        came = False
        while self.coming and self.coming[0].arrival <= self.now + SAME_INSTANT_S:
            request = self.coming.pop(0)
            if self.numbered:
                request.arrival = max(request.arrival, self.numbered[-1].arrival)
            self.now = max(self.now, request.arrival)
            request.index = len(self.numbered)
            self.numbered.append(request)
            if request.index == len(self.jobs):  # else it was known at the start
                ledger(self.jobs).append(
                    request.arrival,
                    request.prompt,
                    request.predicted,
                    request.limit,
                    request.priority,
                )
            self.queue.push(request.index)
            came = True
        return came

    def _step(self, step: Step) -> bool:
        """Take one step: one decode round, a prefill, or both."""
        lost = self._lost()
        decodes: list[Request] = []
        if step.decode:
            self._give_blocks_to_decodes()
        chunks: list[tuple[Request, int]] = []
        if step.prefill:
            whole = min(
                [step.max_tokens or NO_LIMIT, self.config.max_num_batched_tokens or NO_LIMIT]
            )
            budget = whole - (len(self.decoding()) if step.decode else 0)
            self.share = self._share(whole) if self._sharing(step) else NO_LIMIT
            if step.shortest_first:
                self._shortest_first(chunks, budget, step)
            else:
                budget = self._continue_prompts(chunks, budget)
                if self._lost() == lost and self._sharing(step):
                    self._admit_beside(chunks, budget, step)
                elif self._lost() == lost:
                    self._admit(chunks, budget, whole, step)
        chunks = [chunk for chunk in chunks if chunk[0] in self.running]
        decodes = self.decoding() if step.decode else []
        if not chunks and not decodes:
            return False
        self._execute(chunks, decodes, step.decode)
        return True

    def _give_blocks_to_decodes(self) -> None:
        for request in self.decoding():
            if request in self.running:
                self._grow(request, 1)

    def _continue_prompts(self, chunks: list[tuple[Request, int]], budget: int) -> int:
        """Go on with prompts that were begun, in order of admission; return the budget left."""
        for request in [request for request in self.running if request.begun]:
            if request not in self.running:
                continue
            left = request.goal - request.computed
            tokens = min([left, budget, self.share, *self._threshold()])
            if tokens <= 0:
                break
            if not self._grow(request, tokens, prompt=True):
                break
            chunks.append((request, tokens))
            request.chunk = tokens
            budget -= tokens
        return budget

    def _threshold(self) -> list[int]:
        threshold = self.config.long_prefill_token_threshold
        alone = self.waiting() + len(self.running) <= 1
        shared = self.config.max_num_partial_prefills > 1
        return [] if alone or shared or not threshold else [threshold]

    def _sharing(self, step: Step) -> bool:
        """Whether prompts share the step's budget."""
        return step.split and self.config.max_num_partial_prefills > 1

    def _long(self, request: Request) -> bool:
        return (request.goal or request.known) > self.config.long_prefill_token_threshold

    def _share(self, whole: int) -> int:
        """Tokens for each of those who would be prefilled, as far as they may be."""
        prompts = [request for request in self.running if request.begun]
        waits = [r for r in self.requests if r not in self.coming and r not in self.running]
        for request in (r for r in waits if r.generated < r.output):
            longs = sum(self._long(other) for other in prompts)
            if not self._long(request) or longs < self.config.max_long_partial_prefills:
                prompts.append(request)
        together = min(len(prompts), self.config.max_num_partial_prefills)
        return max(1, whole // max(1, together))

    def _admit_beside(self, chunks: list[tuple[Request, int]], budget: int, step: Step) -> None:
        """Admit one after the other who may be; who is long may have to let others pass."""
        given = dict(chunks)
        unfinished = [
            request
            for request in self.running
            if request.begun and request.computed + given.get(request, 0) < request.goal
        ]
        longs = sum(self._long(request) for request in unfinished)
        most_long = self.config.max_long_partial_prefills
        admitted, queued = 0, None  # the queue's order, once somebody has to be passed over
        while self.waiting() and budget > 0 and (queued is None or queued):
            if len(self.running) == self.config.max_num_seqs or admitted == step.max_new_seqs:
                return
            if queued is None and self.queue.peek() < 0:
                return
            request = self.head() if queued is None else self.numbered[queued.pop(0)]
            if self._long(request) and longs >= most_long:
                if not isinstance(self.queue, Queue):
                    return
                queued = self.queue.waiting() if queued is None else queued
                continue
            tokens = min(request.known, self.share, budget)
            if tokens < request.known and len(unfinished) >= self.config.max_num_partial_prefills:
                return
            if not self.fits(request, tokens):
                return
            self._take_slot(request, tokens)
            chunks.append((request, tokens))
            if tokens < request.known:
                unfinished.append(request)
            longs += self._long(request)
            budget -= tokens
            admitted += 1

    def _admit(
        self, chunks: list[tuple[Request, int]], budget: int, whole: int, step: Step
    ) -> None:
        admitted = 0
        while self.waiting() and len(self.running) < self.config.max_num_seqs and budget > 0:
            if admitted == step.max_new_seqs:
                return
            if self.queue.peek() < 0:
                return
            request = self.head()
            wanted = min([request.known, *self._threshold()])
            tokens = min(wanted, budget)
            if tokens < wanted and not step.split and (chunks or wanted <= whole):
                return
            if not self.fits(request, tokens):
                return
            self._take_slot(request, tokens)
            chunks.append((request, tokens))
            budget -= tokens
            admitted += 1

    def _take_slot(self, request: Request, tokens: int) -> None:
        if self.queue.peek() == request.index:
            self.queue.pop()
        else:
            assert isinstance(self.queue, Queue)
            self.queue.remove(request.index)
        self.running.append(request)
        request.goal, request.computed, request.chunk = request.known, 0, tokens
        if self.config.reserve == "max_output":
            self._take(request, self._blocks(request.most))
        else:
            self._take(request, self._blocks(tokens))
        if request.admitted != request.admitted:
            request.admitted = self.now

    def _shortest_first(self, chunks: list[tuple[Request, int]], budget: int, step: Step) -> None:
        """One prompt after another, who has fewest tokens left, as long as one more pays."""
        begun = [request for request in self.running if request.begun]
        begun.sort(key=lambda request: request.goal - request.computed)
        others = self.waiting() + len(begun) + 1
        lost, admitted = self._lost(), 0
        seqs = len(self.decoding()) if step.decode else 0

        def price(tokens: int) -> float:
            return self.price.step(tokens, 0, 0, seqs, 0)

        while budget > 0:
            begun = [request for request in begun if request in self.running]
            left, following = NO_LIMIT, None
            if begun:
                following, left = begun[0], begun[0].goal - begun[0].computed
            if (
                self._lost() == lost
                and admitted != step.max_new_seqs
                and len(self.running) < self.config.max_num_seqs
                and self.waiting()
                and self.queue.peek() >= 0
                and self.head().known < left
                and self.fits(self.head(), min([self.head().known, budget, *self._threshold()]))
            ):
                following, left = self.head(), self.head().known
            if following is None:
                return
            tokens = min([left, budget, *self._threshold()])
            if chunks:
                now = price(sum(of for _, of in chunks))
                longer = price(sum(of for _, of in chunks) + tokens) - now
                if len(chunks) * longer > (others - len(chunks)) * (price(tokens) - longer):
                    return
            if following in self.running:
                if not self._grow(following, tokens, prompt=True):
                    return
                begun.pop(0)
            else:
                self._take_slot(following, tokens)
                admitted += 1
            chunks.append((following, tokens))
            budget -= tokens

    def _execute(
        self, chunks: list[tuple[Request, int]], decodes: list[Request], mixed: bool
    ) -> None:
        self.peak = max(self.peak, self.usable - self.free)
        prefill = squares = crossed = 0
        seqs, kv = len(decodes), sum(request.computed for request in decodes)
        prompts: dict[int, int] = {}
        for request, tokens in chunks:
            newest = tokens == 1 and request.computed + 1 == request.known and request.generated
            if mixed and newest:
                seqs, kv = seqs + 1, kv + request.computed
            else:
                prefill += tokens
                prompts[request.row] = tokens
                squares += tokens * tokens
                crossed += tokens * request.computed
        self.steps.append([prefill, seqs, kv, len(self.running), self.waiting()])
        seconds = self.price.step(prefill, squares, crossed, seqs, kv)
        self.prompts.append((seconds, prompts))
        self.now += seconds
        self.clock += bool(decodes)
        for request in sorted(decodes, key=lambda request: request.index):
            request.computed += 1
            request.goal += 1
            self._emit(request)
        for request, tokens in chunks:
            request.chunk = 0
            request.computed += tokens
            if request.computed == request.goal:
                self._emit(request)

    def _emit(self, request: Request) -> None:
        request.generated += 1
        request.tokens_at.append(self.now)
        request.token_steps.append(len(self.steps) - 1)
        self.fruitless = 0  # preemptions since somebody got a token
        if request.generated < request.output:
            return
        self._leave(request)
        self._let_follow(request)

    def _let_follow(self, request: Request) -> None:
        """Date the next turn of a request's session, or else of who waits for a user."""
        turns = [one for one in self.coming if one.follows is request]
        waits = [one for one in self.coming if not one.follows and one.arrival == float("inf")]
        for one in turns or sorted(waits, key=lambda one: one.row)[:1]:
            one.arrival = self.now + one.delay
        self.coming.sort(key=lambda one: one.comes)

    def _grow(self, request: Request, tokens: int, prompt: bool = False) -> bool:
        """Give a running request blocks for `tokens` more; False if it lost its own instead."""
        while self._missing(request, tokens) > self.free - (self.demand() if prompt else 0):
            victim = self._victim()
            self._preempt(victim)
            if victim is request:
                return False
        self._take(request, self._missing(request, tokens))
        return True

    def _victim(self) -> Request:
        if self.config.victim == "last_arrived":
            return self.running[-1]
        if self.config.victim == "least_urgent":
            return max(self.running, key=lambda request: (request.priority, request.arrival))
        longest = self.running[-1]
        for request in reversed(self.running):
            if request.predicted - request.generated > longest.predicted - longest.generated:
                longest = request
        return longest

    def _preempt(self, request: Request) -> None:
        request.preemptions += 1
        request.resumed.append(request.generated)
        request.recomputed += request.computed
        self._leave(request)
        self.queue.push(request.index)
        self.fruitless += 1
        if self.fruitless > 10_000 + 100 * self.config.max_num_seqs:
            raise PolicyError("livelock")

    def _leave(self, request: Request) -> None:
        self.running.remove(request)
        self.free += request.blocks
        request.blocks = request.computed = request.goal = request.chunk = 0
        if self.queue.release is not None:
            self.queue.release(request.index)

    def _take(self, request: Request, blocks: int) -> None:
        self.free -= blocks
        request.blocks += blocks

    def _missing(self, request: Request, tokens: int) -> int:
        if self.config.num_gpu_blocks is None:
            return 0
        return max(0, self._blocks(request.computed + tokens) - request.blocks)

    def _blocks(self, tokens: int) -> int:
        if self.config.num_gpu_blocks is None:
            return 0
        return -(-tokens // self.config.block_size)

    def _lost(self) -> int:
        return sum(request.preemptions for request in self.requests)

    def _finished(self) -> int:
        return sum(request.generated == request.output for request in self.requests)


def plain_limit(trace: Trace, config: EngineConfig, row: int) -> int:
    """The output limit of one request: what it declared, else what somebody set, else a guess."""
    prompt, declared = int(trace.input_tokens[row]), 0
    left = None if config.max_model_len is None else config.max_model_len - prompt
    if trace.max_output_tokens is not None:
        declared = int(trace.max_output_tokens[row])
    limit = declared or config.max_output_tokens
    if limit is not None:
        return limit if left is None else min(limit, left)
    limit = 2**30
    if config.reserve != "none":
        limit = max(trace.longest_of_whole, *trace.output_tokens.tolist(), 1)
    if left is not None:
        limit = min(limit, left)
    if config.num_gpu_blocks is not None:
        room = (config.num_gpu_blocks - 1) * config.block_size
        limit = min(limit, room - prompt + 1)
    return max(limit, 1)
