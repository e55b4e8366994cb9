"""The state of one replay: arrays with one entry a request, queues, clocks and the block pool.

Arrays are read through memory views: plain Python numbers in the loop, NumPy arrays afterwards.
Only the engine changes them: `llmsched.engine.loop` by computing, `llmsched.engine.allocation` by
taking blocks away.
"""

from __future__ import annotations

from array import array

import numpy as np

from llmsched.columns import floats, ints
from llmsched.contract import Jobs, Policy, WaitingQueue
from llmsched.engine.livelock import LivelockWatch
from llmsched.engine.result import STEP_COLUMNS, SimulationResult
from llmsched.kernel.blocks import BlockPool
from llmsched.trace import Trace

UNBOUNDED = 1 << 62
"""More tokens or rounds than any replay has."""


class State:
    """Everything that changes during a replay, with the changes that keep it consistent."""

    def __init__(self, trace: Trace, jobs: Jobs, policy: Policy) -> None:
        config = jobs.config
        self.trace, self.jobs, self.policy, self.config = trace, jobs, policy, config
        self.hardware, self.step_time = jobs.hardware, jobs.hardware.step_time
        self.queue: WaitingQueue
        self.now = 0.0
        self.clock = 0
        self.decoding = 0
        self.kv_tokens = 0  # of decoding sequences
        self.prompt_tokens = 0  # computed, of prompts in `partial`
        self.arrived = 0
        self.waiting = 0  # counted here: what a queue says of itself decides nothing
        self.running: dict[int, None] = {}  # in order of admission
        self.partial: dict[int, None] = {}  # running, prompt not finished
        self.finishing: list[tuple[int, int]] = []  # heap of (until, request), some outdated
        self.budget = config.max_num_batched_tokens or UNBOUNDED
        self.threshold = config.long_prefill_token_threshold or UNBOUNDED
        self.reserves = config.reserve == "max_output"
        usable = config.usable_blocks
        self.pool = None if usable is None else BlockPool(usable, config.block_size)
        self.preempted = 0  # preemptions so far
        self.prompts_done = 0  # prefills so far that yielded a token
        self.livelock = LivelockWatch()
        self.last_round_end = 0.0
        self.last_token: dict[int, float] = {}  # of preempted requests
        self.resume_gap = array("d")
        self.steps = array("d")
        self._lay_out(trace, jobs)

    def _lay_out(self, trace: Trace, jobs: Jobs) -> None:
        """Make the arrays with one entry a request."""
        n = len(trace)
        arrival = np.array(jobs.arrival)
        self.known = int(np.isfinite(arrival).sum())  # in a closed loop the rest wait for a finish
        self.arrival = floats(arrival)
        self.admitted = floats(np.full(n, np.nan))
        self.first_token = floats(np.full(n, np.nan))
        self.finish = floats(np.full(n, np.nan))
        self.preemptions = ints(np.zeros(n, dtype=np.int64))
        self.recomputed = ints(np.zeros(n, dtype=np.int64))
        self.target = ints(np.array(trace.input_tokens))  # tokens to compute, then decode
        self.last = ints(trace.input_tokens + trace.output_tokens - 1)  # computed at the end
        most = trace.input_tokens + jobs.max_output_tokens - 1
        self.reserved = ints(most)  # most that may ever be computed
        self.computed = ints(np.zeros(n, dtype=np.int64))  # while in `partial`
        self.held = ints(np.zeros(n, dtype=np.int64))  # tokens with blocks, in `partial`
        self.since = ints(np.zeros(n, dtype=np.int64))  # decode clock at its first round
        self.until = ints(np.full(n, -1))  # decode clock after its last; -1: not decoding
        self.ready_row = ints(np.zeros(n, dtype=np.int64))  # step that finished its prompt

    def has_finished(self, request: int) -> bool:
        """Whether a request has got its last token."""
        return self.finish[request] == self.finish[request]  # not NaN

    def next_arrival(self) -> float:
        """When the next request arrives as far as is known; infinite if none does."""
        return self.arrival[self.arrived] if self.arrived < len(self.arrival) else float("inf")

    def enqueue(self, request: int) -> None:
        """Let a request wait that has arrived or was preempted."""
        self.waiting += 1
        self.queue.push(request)

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
        if self.pool is not None and not self.reserves:
            self.pool.settle(tokens, self.clock)

    def leave(self, request: int, tokens: int) -> None:
        """Free the slot and the blocks of a sequence of `tokens` computed tokens."""
        del self.running[request]
        if self.pool is not None:
            self.pool.free += self.pool.blocks(self.reserved[request] if self.reserves else tokens)
        if self.queue.release is not None:
            self.queue.release(request)

    def result(self) -> SimulationResult:
        """Return what the replay leaves behind, as NumPy arrays."""
        return SimulationResult(
            trace=self.trace,
            hardware=self.hardware,
            config=self.config,
            policy=self.policy.name,
            detail=f"{self.policy.order} + {self.policy.rule}",
            arrival=np.asarray(self.arrival),
            admitted=np.asarray(self.admitted),
            first_token=np.asarray(self.first_token),
            finish=np.asarray(self.finish),
            preemptions=np.asarray(self.preemptions),
            recomputed_tokens=np.asarray(self.recomputed),
            step_rows=np.frombuffer(self.steps).reshape(-1, len(STEP_COLUMNS)),
            resume_gap=np.frombuffer(self.resume_gap) if self.resume_gap else np.empty(0),
            peak_blocks=None if self.pool is None else self.pool.peak,
        )
