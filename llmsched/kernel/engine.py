"""The engine's loop: it takes decisions, applies them, and leaps over equal decode rounds.

While the batch is decode-only and unchanged, the time of k rounds is a closed form in k, so the
engine jumps to the next event: a finish, an arrival while a slot is idle, KV blocks running out, or
the round at which the rule asked to be asked again. Whatever a policy says, only this moves time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any

from llmsched.kernel.blocks import Cache
from llmsched.kernel.known import Known
from llmsched.kernel.prices import Price
from llmsched.kernel.queues import Queue, RankQueue, Weighted
from llmsched.kernel.rows import WIDTH, Rows
from llmsched.kernel.rules import Proposal, Refill, Rule
from llmsched.kernel.state import Knobs, Referee, State

CLOCK_TOLERANCE_S = 1e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule."""

_REQUESTS = 1 << 28
"""Requests of one engine, so that one integer holds a decode round and a request."""
_ROUNDS = 1 << 35
"""Decode rounds of one engine, likewise."""


class Engine(State):
    """One engine, stepped: `submit` requests, `advance` to a time.

    A request that is submitted when it arrives and one that is submitted ahead are served alike,
    bit for bit: a leap that may have to end at an arrival yet unknown is not taken until time has
    been advanced beyond it.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.finishing: list[int] = []  # heap of decode clocks and requests, some outdated
        self.rule: Rule | None = None  # what is asked, if it is a rule of the kernel's own
        self.decide: Any = None  # else this function, whose steps the referee reads
        self.step: object = None  # the last one it returned
        self.proposal = Proposal(None, False, False, False)  # what that amounts to
        self.insert = self.otherwise = self.proposal  # those of the kernel's own rule
        self.pending = False  # a leap whose end is not known yet
        self.chunks: list[int] = []  # requests with prompt tokens in the step being made

    def begin(
        self,
        queue: object,
        decide: Callable[[], object],
        known: Known,
        labels: list[str],
    ) -> None:
        """Let a policy decide from here on.

        Parameters
        ----------
        queue : Queue or somebody else's
        decide : Rule or a function
            Of a rule of the kernel's own its conditions alone are asked.
        known : Known
            What the policy knows of requests; filled as they arrive if it can look.
        labels : list of str
            Job classes of the requests submitted so far and later; empty if there are none.
        """
        self.labels = labels
        self.decide = decide
        if type(decide) in (Rule, Refill):
            rule: Any = decide
            self.rule = rule
            self.insert = self.referee.proposal(rule.insert)
            self.otherwise = self.referee.proposal(rule.otherwise)
        if type(queue) in (Queue, RankQueue, Weighted):
            own: Any = queue
            self.queue = own
        else:
            self.foreign = queue
        if self.rule is None or type(queue) is not Queue:
            self.known = known

    def advance(self, until: float = inf) -> bool:
        """Take all decisions before a time; every arrival before it has been submitted.

        Returns whether a block of rows is full: take it, and advance again.

        Raises
        ------
        PolicyError, LivelockError
            As the referee finds.
        """
        while self.rows.count < self.rows.most:
            limit = self.now + CLOCK_TOLERANCE_S
            while self.arrived < self.dated and self.arrival[self.arrived] <= limit:
                self.arrive(self.arrived)
                limit = self.now + CLOCK_TOLERANCE_S
            if not self.running and not self.waiting:
                if self.arrived == self.dated or self.arrival[self.arrived] >= until:
                    return False
                self.now = self.arrival[self.arrived]
                continue
            if limit >= until:
                return False
            if not self.pending:
                self.proposal = self._ask()
            preempted = self.preempted
            if self._apply(self.proposal, until):
                continue
            if self.pending:
                return False
            if self.preempted == preempted:
                self.referee.idle(self, self.proposal.step)
        return True

    def _ask(self) -> Proposal:
        rule = self.rule
        if rule is not None:
            begun, empty = len(self.partial) > 0, len(self.running) == 0
            return self.insert if rule.inserts(self.can_prefill(), begun, empty) else self.otherwise
        step: object = self.decide()
        if step is not self.step:  # rules repeat themselves
            self.proposal = self.referee.proposal(step)
            self.step = step
        return self.proposal

    def _apply(self, proposal: Proposal, until: float) -> bool:
        """Make the step that is proposed; return whether it did anything."""
        if proposal.preempt and not self.pending:
            for request in proposal.preempt:
                self.referee.named(self, request, "preempt")
                self.preempt(request)
        if proposal.prefill:
            return self._prefill(proposal)
        return proposal.decode and self._decode(proposal, until)

    # Decoding.

    def _decode(self, proposal: Proposal, until: float) -> bool:
        """Leap over decode rounds to the next event."""
        k = proposal.rounds
        if self.make_room():
            k = 1  # the next step may admit again
        n = self.decoding
        if not n:
            return False
        k = min(k, self._next_finish() - self.clock, self.cache.rounds_left(self.clock))
        k = max(1, k)
        duration = self.price.rounds(n, self.kv_tokens, k)
        self.pending = False
        if len(self.running) < self.knobs.slots:
            submitted = self.arrived < self.submitted
            gap = (self.arrival[self.arrived] if submitted else until) - CLOCK_TOLERANCE_S
            gap -= self.now
            if gap < duration:
                if not submitted and k > 1:
                    self.pending = True
                    return False
                k = min(k, self.price.rounds_until(n, self.kv_tokens, gap))
                duration = self.price.rounds(n, self.kv_tokens, k)
        self._record(duration, k, 0, 0, n, self.kv_tokens)
        self._advance_rounds(n, k)
        return True

    def _next_finish(self) -> int:
        """Return the decode clock of the next finish; something must be decoding."""
        finishing = self.finishing
        while True:
            first: int = finishing[0]
            slot: int = self.running.get(first % _REQUESTS, -1)
            if slot >= 0 and self.until[slot] == first // _REQUESTS:
                return first // _REQUESTS
            heappop(finishing)  # preempted meanwhile

    def _advance_rounds(self, n: int, rounds: int) -> None:
        """Give each of the `n` decoding sequences `rounds` tokens; the last may end some."""
        self.cache.advance(self.clock, rounds)
        self.rows.cell[self.rows.count * WIDTH - 1] = self.cache.used
        self.clock += rounds
        self.kv_tokens += n * rounds
        self.last_round_end = self.now
        finishing = self.finishing
        while finishing:
            first: int = finishing[0]
            if first // _REQUESTS > self.clock:
                return
            heappop(finishing)
            request: int = first % _REQUESTS
            slot: int = self.running.get(request, -1)
            if slot >= 0 and self.until[slot] == first // _REQUESTS:
                self.stop_decoding(slot, self.last[slot])
                self._complete(request, slot)

    def _complete(self, request: int, slot: int) -> None:
        self.finish[request] = self.now
        self.leave(request, slot, self.last[slot])
        if self.dated < self.submitted:
            self.arrival[self.dated] = self.now
            self.dated += 1

    # Prompts.

    def _prefill(self, proposal: Proposal) -> bool:
        """Compute prompt tokens, beside one decode round if the step says so."""
        before = self.preempted
        if proposal.decode:
            self.make_room()
        whole = min(self.knobs.budget, proposal.budget)
        budget = whole - (self.decoding if proposal.decode else 0)
        self.chunks = []
        if proposal.chunks is not None:
            self._compute_named(proposal, budget)
        else:
            budget = self._go_on(budget)
            if self.preempted == before:
                self._admit_next(proposal, budget, whole)
        if self.preempted != before:
            self.chunks = [request for request in self.chunks if request in self.partial]
        n = self.decoding if proposal.decode else 0
        if not self.chunks and not n:
            return False
        self._compute(n, proposal.decode)
        return True

    def _go_on(self, budget: int) -> int:
        """Give tokens to the prompts that have been begun; return what is left of the budget."""
        for request, slot in list(self.partial.items()):
            if request not in self.partial:
                continue  # preempted for one before it
            tokens = min(self.target[slot] - self.computed[slot], self.knobs.threshold, budget)
            if tokens <= 0 or not self.extend(request, slot, tokens):
                break
            self.chunk[slot] = tokens
            self.chunks.append(request)
            budget -= tokens
        return budget

    def _admit_next(self, proposal: Proposal, budget: int, whole: int) -> None:
        """Admit waiting requests in queue order, each with its first chunk."""
        slots = min(self.knobs.slots - len(self.running), proposal.admissions)
        candidates = self._not_skipped(proposal) if proposal.skip else []
        while slots > 0 and budget > 0 and self.waiting:
            if proposal.skip:
                request = candidates.pop() if candidates else -1
            else:
                request = self.next_waiting()
            if request < 0:
                return
            need = min(self.need(request), self.knobs.threshold)
            tokens = min(need, budget)
            if tokens < need and not proposal.split and (self.chunks or need <= whole):
                return
            if not self.fits(request):
                return
            self._begin(request, tokens, len(proposal.skip) > 0)
            budget -= tokens
            slots -= 1

    def _not_skipped(self, proposal: Proposal) -> list[int]:
        """Return the waiting requests that a step does not pass over, the next one last."""
        return [request for request in reversed(self.in_order()) if request not in proposal.skip]

    def _begin(self, request: int, tokens: int, named: bool) -> None:
        """Take a request out of the queue, by name if it need not be the next, and admit it."""
        if self.foreign is None:
            if named:
                self.queue.remove(request)
            else:
                self.queue.pop()
        elif named:
            self.foreign.remove(request)
        else:
            popped: Any = self.foreign.pop()
            if popped.__class__ is not int or popped != request:
                self.referee.popped(self, popped, request)
        slot = self.admit(request, tokens)
        self.chunk[slot] = tokens
        self.chunks.append(request)

    def _compute_named(self, proposal: Proposal, budget: int) -> None:
        """Compute the prompt tokens that a step names, as far as slots, budget and room go."""
        assert proposal.chunks is not None
        for request, most in proposal.chunks:
            self.referee.named(self, request, "chunks")
            slot: int = self.running.get(request, -1)
            left = self.need(request) if slot < 0 else self.target[slot] - self.computed[slot]
            tokens = min(left, most, self.knobs.threshold, budget)
            if tokens <= 0 or request in self.chunks:
                continue
            if slot >= 0:
                if request not in self.partial or not self.extend(request, slot, tokens):
                    continue
                self.chunk[slot] = tokens
                self.chunks.append(request)
            elif len(self.running) < self.knobs.slots and self.fits(request):
                self._begin(request, tokens, True)
            else:
                continue
            budget -= tokens

    def _compute(self, n: int, mixed: bool) -> None:
        """Price and execute a step of chunks beside one round of `n` decodes.

        In a mixed step the last token of a recomputation, left alone by the chunks before it, is a
        decode like any other: it reads the context and yields the next token.
        """
        tokens = seqs = first_tokens = resumed = 0
        squares = crossed = 0.0
        kv_tokens = self.kv_tokens if n else 0
        ready: list[int] = []
        for request in self.chunks:
            slot: int = self.running[request]
            chunk, before, target = self.chunk[slot], self.computed[slot], self.target[slot]
            self.chunk[slot] = 0
            self.computed[slot] = before + chunk
            if before + chunk == target:
                ready.append(request)
                first_tokens += target < self.last[slot]
                if mixed and chunk == 1 and target > self.prompt[request]:
                    resumed += 1
                    kv_tokens += before
                    continue
            tokens += chunk
            seqs += 1
            squares += float(chunk) * chunk
            crossed += float(chunk) * before
        duration = self.price.step(tokens, squares, crossed, n + resumed, kv_tokens)
        row = self._record(duration, 1, tokens, seqs, n + resumed, kv_tokens)
        cell = self.rows.cell
        cell[row + 9], cell[row + 10] = first_tokens, resumed
        cell[row + 11], cell[row + 12] = squares, crossed
        self.prompt_tokens += tokens + resumed
        if n:
            self._advance_rounds(n, 1)
        for request in ready:
            self._begin_decoding(request)

    def _begin_decoding(self, request: int) -> None:
        """Emit the token that a finished prefill yields; decode what is left."""
        slot: int = self.partial.pop(request)
        self.prompts_done += 1
        if self.last_token and request in self.last_token:
            self.rows.resume_gap.append(self.now - self.last_token.pop(request))
            del self.resuming[request]
        else:
            self.first_token[request] = self.now
        tokens = self.target[slot]
        self.prompt_tokens -= tokens
        left = self.last[slot] - tokens
        if not left:
            self._complete(request, slot)
            return
        self.ready_row[slot] = self.rows.gone + self.rows.count - 1
        self.ready_end[slot] = self.now
        self.since[slot] = self.clock
        self.until[slot] = until = self.clock + left
        if until >= _ROUNDS or request >= _REQUESTS:
            raise OverflowError("expected fewer than 2**35 decode rounds of 2**28 requests")
        heappush(self.finishing, until * _REQUESTS + request)
        self.decoding += 1
        self.kv_tokens += tokens
        self.cache.grow(tokens, self.clock)
        self.rank_victim(request, slot)

    def _record(
        self,
        duration: float,
        rounds: int,
        prefill_tokens: int,
        prefill_seqs: int,
        decode_seqs: int,
        kv_tokens: int,
    ) -> int:
        """Write a row of the step table, and move time to its end; return where it begins."""
        rows = self.rows
        cell, row = rows.cell, rows.count * WIDTH
        rows.count += 1
        cell[row] = self.now
        cell[row + 1] = duration
        cell[row + 2] = rounds
        cell[row + 3] = prefill_tokens
        cell[row + 4] = prefill_seqs
        cell[row + 5] = decode_seqs
        cell[row + 6] = kv_tokens
        cell[row + 7] = len(self.running)
        cell[row + 8] = self.waiting
        cell[row + 9] = cell[row + 10] = cell[row + 11] = cell[row + 12] = 0.0
        used = self.cache.used + (self.cache.demand(self.clock) if decode_seqs else 0)
        cell[row + 13] = cell[row + 15] = used
        cell[row + 14] = self.kv_tokens + self.prompt_tokens
        self.now += duration
        return row
