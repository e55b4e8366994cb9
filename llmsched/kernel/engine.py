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

from llmsched.kernel.blocks import UNBOUNDED, Cache
from llmsched.kernel.known import Known
from llmsched.kernel.prices import Price
from llmsched.kernel.queues import Queue, RankQueue, Weighted
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal, Refill, Rule
from llmsched.kernel.state import Knobs, Referee, State

_SLOT_BITS = 24
_SLOT = (1 << _SLOT_BITS) - 1
"""A slot's number in one integer with a decode round, which orders it."""


_TOLERANCE_S = 1e-9
"""An arrival this close after a step's start counts as arrived: the same instant reached by sums of
durations in different order differs in its last digits, and that must not decide a schedule."""

_ROUNDS = 0x40_0000_0000
"""Fewer decode rounds than 2^38, so that one and a slot fit into an integer of C."""


_STEPS = 16
"""Steps of a rule that are kept, to be read but once."""


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
        self.finishing: list[int] = []  # heap of decode clocks and slots, some outdated
        self.rule: Rule | None = None  # what is asked, if it is a rule of the kernel's own
        self.decide: Any = None  # else this function, whose steps the referee reads
        self.proposal = Proposal(None, False, False, False)  # what the last step amounts to
        self.proposals: dict[int, Proposal] = {}  # of steps that the rule has returned, by their id
        self.insert = self.otherwise = self.proposal  # those of the kernel's own rule
        self.pending = False  # a leap whose end is not known yet
        self.next_finish = UNBOUNDED  # decode clock, as of the last look
        self.ended: list[int] = []  # requests and slots that a step ends
        self.chunks = 0  # slots in `chunk_of`, with prompt tokens in the step being made

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
        self.watched = self.rule is None or self.foreign is not None
        if self.watched or type(queue) is not Queue:
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
            limit = self.now + _TOLERANCE_S
            while self.arrived < self.dated and self.arrival[self.arrived] <= limit:
                self.arrive(self.arrived)
                limit = self.now + _TOLERANCE_S
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
            begun, empty = len(self.partial) > 0, self.running == 0
            return self.insert if rule.inserts(self.can_prefill(), begun, empty) else self.otherwise
        step: object = self.decide()
        found = self.proposals.get(id(step))
        if found is not None and found.step is step:  # rules repeat themselves
            return found
        proposal: Proposal = self.referee.proposal(step)
        if len(self.proposals) >= _STEPS:  # of a rule that makes a new one each time
            self.proposals.clear()
        self.proposals[id(step)] = proposal
        return proposal

    def _apply(self, proposal: Proposal, until: float) -> bool:
        """Make the step that is proposed; return whether it did anything."""
        if proposal.preempt and not self.pending:
            for request in proposal.preempt:
                self.referee.named(self, request, "preempt")
                self.preempt(self.slot(request))
        if proposal.prefill:
            return self._prefill(proposal)
        return proposal.decode and self._decode(proposal, until)

    # Decoding.

    def _decode(self, proposal: Proposal, until: float) -> bool:
        """Leap over decode rounds to the next event."""
        k, preempted = proposal.rounds, self.preempted
        self.make_room()
        if self.preempted != preempted:
            k = 1  # the next step may admit again
        n = self.decoding
        if not n:
            return False
        self._look_ahead()
        k = max(1, min(k, self.next_finish - self.clock, self.cache.rounds_left(self.clock)))
        duration = self.price.rounds(n, self.kv_tokens, k)
        self.pending = False
        if proposal.heeds or self.running < self.knobs.slots:
            submitted = self.arrived < self.submitted
            gap = (self.arrival[self.arrived] if submitted else until) - _TOLERANCE_S
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

    def _look_ahead(self) -> None:
        """Find the decode clock of the next finish; something must be decoding."""
        finishing = self.finishing
        while True:
            first = finishing[0]
            self.next_finish = first >> _SLOT_BITS
            if self.until[first & _SLOT] == self.next_finish:
                return
            heappop(finishing)  # preempted meanwhile

    def _advance_rounds(self, n: int, rounds: int) -> None:
        """Give each of the `n` decoding sequences `rounds` tokens; the last may end some."""
        self.cache.advance(self.clock, rounds)
        rows = self.rows
        rows.blocks_end[rows.count - 1] = self.cache.used
        self.clock += rounds
        self.kv_tokens += n * rounds
        self.last_round_end = self.now
        first = self.finishing[0]
        if first >> _SLOT_BITS <= self.clock:
            self._finish_all()

    def _finish_all(self) -> None:
        """Let the sequences leave that have got their last token, in the order of the trace."""
        finishing, ended, before = self.finishing, self.ended, -1
        while finishing:
            first = finishing[0]
            if first >> _SLOT_BITS > self.clock:
                break
            heappop(finishing)
            slot = first & _SLOT
            # An outdated entry may be the same as that of the slot's next sequence.
            if self.until[slot] == first >> _SLOT_BITS and first != before:
                before = first
                if self.watched:
                    ended.append((self.request[slot] << _SLOT_BITS) + slot)
                else:  # nobody is told, so that their order does not matter
                    self._finish(slot)
        if ended:
            ended.sort()
            for first in ended:
                self._finish(first & _SLOT)
            ended.clear()

    def _finish(self, slot: int) -> None:
        self.stop_decoding(slot, self.last[slot])
        self._complete(slot)

    def _complete(self, slot: int) -> None:
        self.finish[self.request[slot]] = self.now
        self.leave(slot, self.last[slot])
        if self.dated < self.submitted:
            assert self.dating is not None
            self.dating[self.dated] = self.now
            self.dated += 1

    # Prompts.

    def _prefill(self, proposal: Proposal) -> bool:
        """Compute prompt tokens, beside one decode round if the step says so."""
        before = self.preempted
        if proposal.decode:
            self.make_room()
        whole = min(self.knobs.budget, proposal.budget)
        budget = whole - (self.decoding if proposal.decode else 0)
        self.chunks = 0
        if proposal.chunks is not None:
            self._compute_named(proposal, budget)
        else:
            budget = self._go_on(budget)
            if self.preempted == before:
                self._admit_next(proposal, budget, whole)
        if self.preempted != before:
            self._drop_preempted()
        n = self.decoding if proposal.decode else 0
        if not self.chunks and not n:
            return False
        self._compute(n, proposal.decode)
        return True

    def _schedule(self, slot: int, tokens: int) -> None:
        """Compute that many prompt tokens of a sequence in the step being made."""
        self.chunk[slot] = tokens
        self.chunk_of[self.chunks] = slot
        self.chunks += 1

    def _drop_preempted(self) -> None:
        """Take out of the step who was preempted for one after it."""
        left = 0
        for i in range(self.chunks):
            if self.chunk[self.chunk_of[i]]:
                self.chunk_of[left] = self.chunk_of[i]
                left += 1
        self.chunks = left

    def _go_on(self, budget: int) -> int:
        """Give tokens to the prompts that have been begun; return what is left of the budget."""
        if not self.partial:
            return budget
        for slot in list(self.partial):
            if not self.admission[slot]:
                continue  # preempted for one before it
            tokens = min(self.target[slot] - self.computed[slot], self.knobs.threshold, budget)
            if tokens <= 0 or not self.extend(slot, tokens):
                break
            self._schedule(slot, tokens)
            budget -= tokens
        return budget

    def _admit_next(self, proposal: Proposal, budget: int, whole: int) -> None:
        """Admit waiting requests in queue order, each with its first chunk."""
        slots = min(self.knobs.slots - self.running, proposal.admissions)
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
        self._schedule(self.admit(request, tokens), tokens)

    def _compute_named(self, proposal: Proposal, budget: int) -> None:
        """Compute the prompt tokens that a step names, as far as slots, budget and room go."""
        assert proposal.chunks is not None
        for request, most in proposal.chunks:
            self.referee.named(self, request, "chunks")
            slot = self.slot(request)
            left = self.need(request) if slot < 0 else self.target[slot] - self.computed[slot]
            tokens = min(left, most, self.knobs.threshold, budget)
            if tokens <= 0:
                continue
            if slot >= 0:
                if not self.extend(slot, tokens):
                    continue
                self._schedule(slot, tokens)
            elif self.running < self.knobs.slots and self.fits(request):
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
        for i in range(self.chunks):
            slot = self.chunk_of[i]
            chunk, before, target = self.chunk[slot], self.computed[slot], self.target[slot]
            self.chunk[slot] = 0
            self.computed[slot] = before + chunk
            if before + chunk < target:
                if not before:
                    self.partial.append(slot)
            else:
                if before:
                    self.partial.remove(slot)
                first_tokens += target < self.last[slot]
                if mixed and chunk == 1 and target > self.prompt[self.request[slot]]:
                    resumed += 1
                    kv_tokens += before
                    continue
            tokens += chunk
            seqs += 1
            squares += float(chunk) * chunk
            crossed += float(chunk) * before
        duration = self.price.step(tokens, squares, crossed, n + resumed, kv_tokens)
        self._record(duration, 1, tokens, seqs, n + resumed, kv_tokens)
        rows, row = self.rows, self.rows.count - 1
        rows.first_tokens[row], rows.resumed[row] = first_tokens, resumed
        rows.squares[row], rows.crossed[row] = squares, crossed
        rows.blocks_end[row] = self.cache.used
        self.prompt_tokens += tokens + resumed
        if n:
            self._advance_rounds(n, 1)
        for i in range(self.chunks):
            slot = self.chunk_of[i]
            if self.computed[slot] == self.target[slot]:
                self._begin_decoding(slot)

    def _begin_decoding(self, slot: int) -> None:
        """Emit the token that a finished prefill yields; decode what is left."""
        request = self.request[slot]
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
            self._complete(slot)
            return
        self.ready_row[slot] = self.rows.gone + self.rows.count - 1
        self.ready_end[slot] = self.now
        self.since[slot] = self.clock
        self.until[slot] = until = self.clock + left
        if until >= _ROUNDS:
            raise OverflowError("expected fewer than 2**38 decode rounds")
        heappush(self.finishing, (until << _SLOT_BITS) + slot)
        self.decoding += 1
        self.kv_tokens += tokens
        self.cache.grow(tokens, self.clock)
        if self.knobs.longest_remaining:
            self.rank_victim(slot)

    def _record(
        self,
        duration: float,
        rounds: int,
        prefill_tokens: int,
        prefill_seqs: int,
        decode_seqs: int,
        kv_tokens: int,
    ) -> None:
        """Write a row of the step table, and move time to its end."""
        rows, row = self.rows, self.rows.count
        used = self.cache.used
        if decode_seqs:
            used += self.cache.demand(self.clock)
        rows.start[row] = self.now
        rows.duration[row] = duration
        rows.rounds[row] = rounds
        rows.prefill_tokens[row] = prefill_tokens
        rows.prefill_seqs[row] = prefill_seqs
        rows.decode_seqs[row] = decode_seqs
        rows.kv_tokens[row] = kv_tokens
        rows.running[row] = self.running
        rows.waiting[row] = self.waiting
        rows.blocks[row] = used
        rows.held_tokens[row] = self.kv_tokens + self.prompt_tokens
        rows.count = row + 1
        self.now += duration
