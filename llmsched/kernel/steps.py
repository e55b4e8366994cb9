"""Steps: prompt tokens and decode rounds are computed, priced, and written into the step table."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from llmsched.kernel.blocks import UNBOUNDED, Cache
from llmsched.kernel.preemption import Preemption
from llmsched.kernel.prices import Price
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal
from llmsched.kernel.state import SLOT_BITS, Knobs, Referee

_SLOT_BITS = SLOT_BITS
_SLOT = (1 << SLOT_BITS) - 1

_ROUNDS = 0x40_0000_0000
"""Fewer decode rounds than 2^38, so that one and a slot fit into an integer of C."""


class Steps(Preemption):
    """Makes one step at a time; whoever decides which calls it."""

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.finishing: list[int] = []  # heap of decode clocks and slots, some outdated
        self.ended: list[int] = []  # requests and slots that a step ends
        self.chunks = 0  # slots in `chunk_of`, with prompt tokens in the step being made

    def prefill(self, proposal: Proposal) -> bool:
        """Compute prompt tokens, beside one decode round if the step says so."""
        before = self.preempted
        if proposal.decode:
            self.make_room()
        whole = min(self.knobs.budget, proposal.budget)
        budget = whole - (self.decoding if proposal.decode else 0)
        self.chunks = 0
        if proposal.chunks is not None:
            self._compute_named(proposal, budget)
        elif proposal.shortest:
            self._shortest_first(proposal, budget)
        elif self.sharing and proposal.split:
            share = self._share(whole)
            budget = self._go_on(budget, share)
            if self.preempted == before:
                self._admit_sharing(proposal, budget, share)
        else:
            budget = self._go_on(budget, self.knobs.threshold)
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

    def _go_on(self, budget: int, most: int) -> int:
        """Give tokens to the prompts that have been begun, to none more than `most`.

        Returns what is left of the budget.
        """
        if not self.partial:
            return budget
        for slot in list(self.partial):
            if not self.admission[slot]:
                continue  # preempted for one before it
            tokens = min(self.target[slot] - self.computed[slot], most, budget)
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
            tokens = min(need, share, budget)
            if (tokens < need and cut >= knobs.shares) or not self.fits(request):
                return
            self._begin(request, tokens, named)
            cut += tokens < need
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
            left = self.need(request) if slot < 0 else self.target[slot] - self.computed[slot]
            tokens = min(left, most, self.knobs.threshold, budget)
            if tokens <= 0:
                continue
            if slot >= 0:
                if not self.extend(slot, tokens):
                    continue
                self._schedule(slot, tokens)
            elif (
                self.preempted == preempted  # else a slot of this step would be used twice
                and self.running < self.knobs.slots
                and self.fits(request)
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
                request = self._shorter(left)
            if request >= 0:
                left = self.need(request)
            elif slot < 0:
                return
            tokens = min(left, self.knobs.threshold, budget)
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

    def _shorter(self, left: int) -> int:
        """Return the next waiting request if it finds room and needs fewer tokens; else -1."""
        request = self.next_waiting() if self.waiting else -1
        return request if request >= 0 and self.need(request) < left and self.fits(request) else -1

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

    def _compute(self, n: int, mixed: bool) -> None:
        """Price and execute a step of chunks beside one round of `n` decodes.

        In a mixed step the last token of a recomputation, left alone by the chunks before it, is a
        decode like any other: it reads the context and yields the next token.
        """
        tokens = seqs = first_tokens = resumed = 0
        squares = crossed = 0.0
        kv_tokens = self.kv_tokens if n else 0
        stalls = self.stalls if self.decoding else None
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
            if stalls is not None:
                stalls.chunk(self.request[slot], chunk)
            tokens += chunk
            seqs += 1
            squares += float(chunk) * chunk
            crossed += float(chunk) * before
        duration = self.price.step(tokens, squares, crossed, n + resumed, kv_tokens)
        self.record(duration, 1, tokens, seqs, n + resumed, kv_tokens)
        rows, row = self.rows, self.rows.count - 1
        rows.first_tokens[row], rows.resumed[row] = first_tokens, resumed
        rows.squares[row], rows.crossed[row] = squares, crossed
        rows.blocks_end[row] = self.cache.used
        self.prompt_tokens += tokens + resumed
        if self.stalls is not None and tokens:
            self.stalls.prompt_s += duration
        if n:
            self.advance_rounds(n, 1)
        for i in range(self.chunks):
            slot = self.chunk_of[i]
            if self.computed[slot] == self.target[slot]:
                self._begin_decoding(slot)

    def _begin_decoding(self, slot: int) -> None:
        """Emit the token that a finished prefill yields; decode what is left."""
        request = self.request[slot]
        self.prompts_done += 1
        if self.last_token and request in self.last_token:
            gap = self.now - self.last_token.pop(request)
            self.rows.resume_gap.append(gap)
            del self.resuming[request]
            if self.stalls is not None:
                self.stalls.resume(request, gap)
        else:
            self.first_token[request] = self.now
            self.has_begun(request)
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
        if self.stalls is not None:
            self.stalls.begin(request, self.now)
        if self.knobs.longest_remaining:
            self.rank_victim(slot)

    def record(
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
        self.step_end = self.now
        self.just_left = self.just_begun = 0

    # Rounds.

    def advance_rounds(self, n: int, rounds: int) -> None:
        """Give each of the `n` decoding sequences `rounds` tokens; the last may end some."""
        self.cache.advance(self.clock, rounds)
        rows = self.rows
        row = rows.count - 1
        rows.blocks_end[row] = self.cache.used
        if self.stalls is not None:
            growth = self.price.per_kv_token_decode * n
            first_s = rows.duration[row] / rounds - growth * (rounds - 1) / 2
            self.stalls.rounds(
                self.clock,
                rounds,
                self.last_round_end,
                rows.start[row] + first_s,
                first_s + growth * (rounds - 1),
            )
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
        self.just_left += 1
        self.free_user()
