"""The engine's loop: it takes decisions, applies them, and leaps over equal decode rounds.

While the batch is decode-only and unchanged, the time of k rounds is a closed form in k, so the
engine jumps to the next event: a finish, an arrival while a slot is idle, KV blocks running out, or
the round at which the rule asked to be asked again. Whatever a policy says, only this moves time.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop
from math import inf
from typing import Any

from llmsched.kernel.blocks import Cache
from llmsched.kernel.known import Known
from llmsched.kernel.prices import Price
from llmsched.kernel.queues import Queue, RankQueue, Weighted
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal, Refill, Rule
from llmsched.kernel.state import SLOT_BITS
from llmsched.kernel.steps import Steps
from llmsched.kernel.waiting import TOLERANCE_S, Knobs, Referee

_SLOT_BITS = SLOT_BITS
_SLOT = (1 << SLOT_BITS) - 1

_TOLERANCE_S = TOLERANCE_S

_STEPS = 16
"""Steps of a rule that are kept, to be read but once."""


class Engine(Steps):
    """One engine, stepped: `submit` requests, `advance` to a time.

    A request that is submitted when it arrives and one that is submitted ahead are served alike,
    bit for bit: a leap that may have to end at an arrival yet unknown is not taken until time has
    been advanced beyond it.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.rule: Rule | None = None  # what is asked, if it is a rule of the kernel's own
        self.decide: Any = None  # else this function, whose steps the referee reads
        self.proposal = Proposal(None, False, False, False)  # what the last step amounts to
        self.proposals: dict[int, Proposal] = {}  # of steps that the rule has returned, by their id
        self.insert = self.otherwise = self.proposal  # those of the kernel's own rule
        self.pending = False  # a leap whose end is not known yet

    def begin(
        self,
        queue: object,
        decide: Callable[[], object],
        known: Known,
        trusted: bool,
    ) -> None:
        """Let a policy decide from here on.

        Parameters
        ----------
        queue : Queue or somebody else's
        decide : Rule or a function
            Of a rule of the kernel's own its conditions alone are asked.
        known : Known
            What the policy knows of requests; filled as they arrive if it can look.
        trusted : bool
            Whether nobody else can fill the queue; else what it offers is checked.
        """
        self.decide = decide
        if type(decide) in (Rule, Refill):
            rule: Any = decide
            self.rule = rule
            self.insert = self.referee.proposal(rule.insert)
            self.otherwise = self.referee.proposal(rule.otherwise)
        if trusted and type(queue) in (Queue, RankQueue, Weighted):
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
        if self.turns is not None:
            self.turns.horizon = until
            self.place_next()
        while self.rows.count < self.rows.most:
            limit = self.seen + _TOLERANCE_S
            if self.impatient:
                self._arrive_before(self.seen - _TOLERANCE_S)
                heard = self.seen if self.knobs.ahead else self.step_end
                if self._next_deadline() <= heard + _TOLERANCE_S:
                    if limit >= until:
                        return False
                    self._abort(heard + _TOLERANCE_S)
                    continue
            while self.arrived < self.dated and self.arrival[self.arrived] <= limit:
                self.arrive(self.arrived)
                limit = self.seen + _TOLERANCE_S
            if not self.running and not self.waiting:
                if self.arrived == self.dated or self.arrival[self.arrived] >= until:
                    return False
                self.now = self.seen = self.arrival[self.arrived]
                continue
            if limit >= until:
                return False
            if self.leaving and not self.waiting and self.running == len(self.leaving):
                self.drain()
                continue
            if not self.pending:
                self.proposal = self._ask()
            preempted = self.preempted
            if self._apply(self.proposal, until):
                continue
            if self.pending:
                return False
            if self.knobs.ahead and self.drain():
                continue
            if self.preempted == preempted:
                self.referee.idle(self, self.proposal.step)
        return True

    def _arrive_before(self, time: float) -> None:
        """Let those arrive who came during the last step: they met who leaves at its end."""
        while self.arrived < self.dated and self.arrival[self.arrived] < time:
            self.arrive(self.arrived)

    def _next_deadline(self) -> float:
        """Return when the next client leaves; infinite if none does."""
        while self.deadlines:
            time, request = self.deadlines[0]
            if not self.has_finished(request):
                return time
            heappop(self.deadlines)
        return inf

    def _abort(self, limit: float) -> None:
        """Let all clients leave whose deadline is no later."""
        while self._next_deadline() <= limit:
            self.abort(heappop(self.deadlines)[1])

    def _ask(self) -> Proposal:
        rule = self.rule
        if rule is not None:
            begun, empty = len(self.partial) > 0, self.running == 0
            insert = self.insert
            budget = min(self.knobs.budget, insert.budget)
            if insert.decode:
                budget -= self.decoding
            possible = self.can_prefill(budget, insert.decode)
            return insert if rule.inserts(possible, begun, empty) else self.otherwise
        step: object = self.decide()
        found = self.proposals.get(id(step))
        if found is not None and found.step is step:  # rules repeat themselves
            return found
        proposal: Proposal = self.referee.proposal(step)
        if not proposal.lasting:
            return proposal
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
            return self.prefill(proposal)
        return proposal.decode and self._decode(proposal, until)

    def _decode(self, proposal: Proposal, until: float) -> bool:
        """Leap over decode rounds to the next event."""
        k, preempted = proposal.rounds, self.preempted
        if self.paced:
            held = self.holds_back()
            if held and (self.partial or self.waiting):
                k = min(k, held)
            self.held_back = held > 0
        self.make_room()
        if (
            self.preempted != preempted
            or self.leaving
            or (self.prefixes is not None and self._may_find_more())
        ):
            k = 1  # the next step may admit again
        n = self.decoding
        if not n:
            return False
        to_finish = self._next_finish() - self.clock
        k = max(1, min(k, to_finish, self.cache.rounds_left(self.clock)))
        until_seen = self._seen_after(n, k)
        if self.deadlines:
            gap = self._next_deadline() - _TOLERANCE_S - self.now
            if gap < until_seen:
                k = min(k, self._rounds_to_see(n, gap))
                until_seen = self._seen_after(n, k)
        self.pending = False
        comes = self._next_heeded(proposal.heeds, self.now + until_seen)
        submitted = comes < self.submitted
        gap = (self.arrival[comes] if submitted else until) - _TOLERANCE_S
        gap -= self.now
        if gap < until_seen:
            if not submitted and k > 1:
                self.pending = True
                return False
            k = min(k, self._rounds_to_see(n, gap))
            until_seen = self._seen_after(n, k)
        duration = self.price.rounds(n, self.kv_tokens, k) if self.knobs.ahead else until_seen
        self.record(duration, k, 0, 0, n, self.kv_tokens)
        self.advance_rounds(n, k)
        if self.is_last_of_any():
            self.finish_all()
        if self.paced or self.parting:
            self.step_over(preempted)
        return True

    def _may_find_more(self) -> bool:
        """Whether the next token of somebody may be what the next request lacks to be admitted."""
        assert self.prefixes is not None
        if not self.waiting or self.running >= self.knobs.slots:
            return False
        request = self.next_waiting()
        if request < 0:
            return False
        self.found(request)
        return self.prefixes.may_find_more()

    def _seen_after(self, n: int, k: int) -> float:
        """Seconds from the start of k rounds to when the step after them is scheduled."""
        if self.knobs.ahead:
            return self.price.rounds(n, self.kv_tokens, k - 1) if k > 1 else 0.0
        return self.price.rounds(n, self.kv_tokens, k)

    def _rounds_to_see(self, n: int, gap: float) -> int:
        """Return the fewest rounds after which what happens in `gap` seconds is seen."""
        if not self.knobs.ahead:
            return self.price.rounds_until(n, self.kv_tokens, gap)
        return 1 + self.price.rounds_until(n, self.kv_tokens, gap) if gap > 0 else 1

    def _next_heeded(self, heeds: bool, end: float) -> int:
        """Return the next request whose arrival ends decode rounds that would last until `end`.

        One with a deadline always does: its client may leave before the rounds end. Where turns
        follow others it is not known who comes after the next one.
        """
        heeds = heeds or self.knobs.interval > 1
        if heeds or self.running < self.knobs.slots or (self.impatient and self.turns is not None):
            known = self.turns is None or self.arrived < self.dated
            return self.arrived if known else self.submitted
        if not self.impatient:
            return self.submitted
        request = self.arrived
        while request < self.submitted and self.arrival[request] < end:
            if self.timeout[request] < inf:
                return request
            request += 1
        return request

    def _next_finish(self) -> int:
        """Return the decode clock of the next finish; something must be decoding."""
        finishing = self.finishing
        while True:
            first = finishing[0]
            if self.until[first & _SLOT] == first >> _SLOT_BITS:
                return first >> _SLOT_BITS
            heappop(finishing)  # preempted meanwhile
