"""Which prompts a step computes, and how many tokens of each: in order, shared, shortest first."""

from __future__ import annotations

from typing import Any

from llmsched.kernel.blocks import UNBOUNDED, Cache
from llmsched.kernel.preemption import Preemption
from llmsched.kernel.prices import Price
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal
from llmsched.kernel.state import SLOT_BITS
from llmsched.kernel.waiting import Knobs, Referee

_SLOT_BITS = SLOT_BITS
_SLOT = (1 << SLOT_BITS) - 1


class Prompts(Preemption):
    """Chooses the chunks of the step being made; whoever is admitted gets a slot at once."""

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.chunks = 0  # slots in `chunk_of`, with prompt tokens in the step being made
        self.longest = UNBOUNDED  # tokens of a prompt in it
        self.held_back = False  # whether it may compute no prompt beside decodes

    def choose(self, proposal: Proposal, before: int) -> None:
        """Give the step's tokens to prompts: what begun ones and newcomers get is in `chunk`.

        Where there were `before` preemptions before this step and are more now, nobody is admitted.
        """
        whole = min(self.knobs.budget, proposal.budget)
        self.chunks = self.spent = 0
        if self.prefixes is not None:
            self.look(proposal.decode)
            if proposal.decode:
                self.cache.reserve(self.clock)
        if proposal.decode and self.partial and self.knobs.adaptive:
            self._starve(whole)
        budget = whole - (self.decoding if proposal.decode else 0)
        if proposal.chunks is not None:
            self._compute_named(proposal, budget)
        elif proposal.shortest:
            self._shortest_first(proposal, budget)
        elif self.sharing and proposal.split:
            share = self._share(whole)
            self._go_on(proposal, whole, share)
            if self.preempted == before:
                self._admit_sharing(proposal, budget - self.spent, share)
        else:
            self._go_on(proposal, whole, self.longest)
            if self.preempted == before:
                self._admit_next(proposal, budget - self.spent, whole)
        if self.preempted != before:
            self._drop_preempted()

    def _schedule(self, slot: int, tokens: int) -> None:
        """Compute that many prompt tokens of a sequence in the step being made."""
        self.chunk[slot] = tokens
        self.spent += tokens
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

    def _starve(self, whole: int) -> None:
        """Let decodes wait for whom prompts before them in the order of admission leave no token.

        So it is in vLLM where the share of prompts that were begun grows with those who leave.
        """
        wanted = self.decoding
        for slot in self.partial:
            wanted += min(self._left(slot), self.longest)
        if wanted <= whole or self.held_back:
            return
        for number in self.in_slots():
            slot = number & _SLOT
            if self.listed[slot]:
                whole -= min(self._left(slot), self.longest, whole)
            elif self.until[slot] >= 0:
                if whole:
                    whole -= 1
                else:
                    self.pause(slot)

    def _go_on(self, proposal: Proposal, whole: int, most: int) -> None:
        """Give tokens to the prompts that have been begun, to none more than `most`."""
        if not self.partial or (self.held_back and proposal.decode):
            return
        for slot in list(self.partial):
            if not self.admission[slot]:
                continue  # preempted for one before it
            budget = whole - self.spent - (self.decoding if proposal.decode else 0)
            tokens = min(self._left(slot), most, budget)
            if tokens <= 0:
                return
            if self.extend(slot, tokens):
                self._schedule(slot, tokens)
            elif not self.knobs.least_urgent:
                return

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
            due = self.due(request)
            if due > 1 and self.held_back and proposal.decode:
                return
            need = min(due, self.longest)
            tokens = min(need, budget)
            if tokens < need and not proposal.split and (self.chunks or need <= whole):
                return
            if not self.fits(request, tokens):
                return
            self._begin(request, tokens, len(proposal.skip) > 0)
            budget -= tokens
            slots -= 1

    def _share(self, whole: int) -> int:
        """Return the tokens that each prompt gets of a step that prompts share."""
        knobs, longs = self.knobs, 0
        for slot in self.partial:
            longs += self.target[slot] > knobs.long_prompt
        new = min(self.waiting_long, max(knobs.long_shares - longs, 0))
        prompts = len(self.partial) + self.waiting - self.waiting_long + new
        return max(1, whole // max(1, min(knobs.shares, prompts)))

    def _admit_sharing(self, proposal: Proposal, budget: int, share: int) -> None:
        """Admit waiting requests with at most a share each, and no long ones too many.

        Others pass those by, unless somebody's queue gives out none but the next.
        """
        knobs, cut, longs = self.knobs, 0, 0
        for slot in self.partial:
            if self.computed[slot] + self.chunk[slot] < self.target[slot]:
                cut += 1
                longs += self.target[slot] > knobs.long_prompt
        slots = min(knobs.slots - self.running, proposal.admissions)
        named = len(proposal.skip) > 0
        candidates = self._not_skipped(proposal) if named else []
        while slots > 0 and budget > 0 and (candidates or (self.waiting and not named)):
            request = candidates.pop() if named else self.next_waiting()
            if request < 0:
                return
            need = self.need(request)
            if need > knobs.long_prompt and longs >= knobs.long_shares:
                if self.waiting == self.waiting_long or not self._can_pass():
                    return
                if not named:
                    named, candidates = True, self._not_skipped(proposal)
                continue
            due = self.due(request)
            tokens = min(due, share, budget)
            if (tokens < due and cut >= knobs.shares) or not self.fits(request, tokens):
                return
            self._begin(request, tokens, named)
            cut += tokens < due
            longs += need > knobs.long_prompt
            budget -= tokens
            slots -= 1

    def _can_pass(self) -> bool:
        """Whether others than the next one can be taken out of the queue."""
        return self.foreign is None or hasattr(self.foreign, "remove")

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
        if self.knobs.longest_remaining:
            self.rank_victim(slot)
        self._schedule(slot, tokens)

    def _compute_named(self, proposal: Proposal, budget: int) -> None:
        """Compute the prompt tokens that a step names, as far as slots, budget and room go."""
        assert proposal.chunks is not None
        preempted = self.preempted
        for request, most in proposal.chunks:
            self.referee.named(self, request, "chunks")
            slot = self.slot(request)
            left = self.due(request) if slot < 0 else self._left(slot)
            tokens = min(left, most, self.longest, budget)
            if tokens <= 0:
                continue
            if slot >= 0:
                if not self.extend(slot, tokens):
                    continue
                self._schedule(slot, tokens)
            elif (
                self.preempted == preempted  # else a slot of this step would be used twice
                and self.running < self.knobs.slots
                and self.fits(request, tokens)
            ):
                self._begin(request, tokens, True)
            else:
                continue
            budget -= tokens

    def _shortest_first(self, proposal: Proposal, budget: int) -> None:
        """Compute prompts, begun or waiting, fewest tokens left first, while one more pays."""
        preempted, whole, at = self.preempted, budget, 0
        prompts = self.waiting + len(self.partial)
        n = self.decoding if proposal.decode else 0
        full = min(self.knobs.slots, self.running + min(proposal.admissions, self.knobs.slots))
        partial = list(self.partial)
        begun = sorted([(self._left(slot) << _SLOT_BITS) + i for i, slot in enumerate(partial)])
        while budget > 0:
            slot = partial[begun[at] & _SLOT] if at < len(begun) else -1
            if slot >= 0 and not self.admission[slot]:
                at += 1  # preempted for one before it
                continue
            left = self._left(slot) if slot >= 0 else UNBOUNDED
            request = -1
            if self.running < full and self.preempted == preempted:
                request = self._shorter(left, budget)
            if request >= 0:
                left = self.due(request)
            elif slot < 0:
                return
            tokens = min(left, self.longest, budget)
            if not self._pays(whole - budget, tokens, n, prompts):
                return
            if request >= 0:
                self._begin(request, tokens, False)
            elif self.extend(slot, tokens):
                self._schedule(slot, tokens)
                at += 1
            else:
                return
            budget -= tokens

    def _shorter(self, left: int, budget: int) -> int:
        """Return the next waiting request if it finds room and needs fewer tokens; else -1."""
        request = self.next_waiting() if self.waiting else -1
        if request < 0:
            return -1
        due = self.due(request)
        return request if due < left and self.fits(request, min(due, self.longest, budget)) else -1

    def _left(self, slot: int) -> int:
        """Tokens to compute of a begun prompt."""
        return self.target[slot] - self.computed[slot]

    def _pays(self, planned: int, tokens: int, n: int, prompts: int) -> bool:
        """Whether another prompt is better in the step being made than in one after it.

        Those in the step wait for the other's tokens; all others, and one that may yet arrive, are
        spared a step's set-up.
        """
        if not self.chunks:
            return True
        price = self.price
        step = price.step(planned, 0.0, 0.0, n, 0)
        longer = price.step(planned + tokens, 0.0, 0.0, n, 0) - step
        spared = price.step(tokens, 0.0, 0.0, n, 0) - longer
        return self.chunks * longer <= (prompts + 1 - self.chunks) * spared
