"""Steps: prompt tokens and decode rounds are computed, priced, and written into the step table."""

from __future__ import annotations

from heapq import heappop, heappush

from llmsched.kernel.blocks import Cache
from llmsched.kernel.prices import Price
from llmsched.kernel.prompts import Prompts
from llmsched.kernel.rows import Rows
from llmsched.kernel.rules import Proposal
from llmsched.kernel.state import SLOT_BITS
from llmsched.kernel.waiting import Knobs, Referee

_SLOT_BITS = SLOT_BITS
_SLOT = (1 << SLOT_BITS) - 1

_ROUNDS = 0x40_0000_0000
"""Fewer decode rounds than 2^38, so that one and a slot fit into an integer of C."""


class Steps(Prompts):
    """Makes one step at a time; whoever decides which calls it."""

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.finishing: list[int] = []  # heap of decode clocks and slots, some outdated
        self.ended: list[int] = []  # requests and slots that a step ends
        self.parting: list[int] = []  # slots that are freed when it has been made

    def prefill(self, proposal: Proposal) -> bool:
        """Compute prompt tokens, beside one decode round if the step says so."""
        before, self.mixed = self.preempted, proposal.decode
        self.longest = self.most_of_a_prompt()
        self.held_back = self.paced and proposal.decode and self.holds_back() > 0
        if proposal.decode:
            self.make_room()
        self.choose(proposal, before)
        n = self.decoding if proposal.decode else 0
        if not self.chunks and not n:
            return False
        self._compute(n, proposal.decode)
        if self.paced or self.parting:
            self.step_over(before)
        return True

    def _compute(self, n: int, mixed: bool) -> None:
        """Price and execute a step of chunks beside one round of `n` decodes.

        In a mixed step the last token of a recomputation, left alone by the chunks before it, is a
        decode like any other: it reads the context and yields the next token.
        """
        tokens = seqs = first_tokens = resumed = 0
        prefill = False
        squares = crossed = 0.0
        kv_tokens = self.kv_tokens if n else 0
        stalls = self.stalls if self.decoding else None
        for i in range(self.chunks):
            slot = self.chunk_of[i]
            chunk, before, target = self.chunk[slot], self.computed[slot], self.target[slot]
            self.chunk[slot] = 0
            self.computed[slot] = before + chunk
            prefill = prefill or target - before > 1 or self.listed[slot] > 0
            if before + chunk < target:
                if not self.listed[slot]:
                    self.listed[slot] = 1
                    self.partial.append(slot)
            else:
                self.unlist(slot)
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
        if prefill:
            self.last_prefill = self.executed
        rows, row = self.rows, self.rows.count - 1
        rows.first_tokens[row], rows.resumed[row] = first_tokens, resumed
        rows.squares[row], rows.crossed[row] = squares, crossed
        rows.blocks_end[row] = self.cache.used
        self.prompt_tokens += tokens + resumed
        if self.stalls is not None and tokens:
            self.stalls.prompt_s += duration
        if n:
            self.advance_rounds(n, 1)
            if self.prefixes is None and self.is_last_of_any():
                self.finish_all()
        for i in range(self.chunks):
            slot = self.chunk_of[i]
            if self.computed[slot] == self.target[slot]:
                self._begin_decoding(slot)
        if self.prefixes is not None:
            self.finish_all()

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
        if not left and self.prefixes is not None:
            self.ended.append(self.admission[slot])
            return
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
        if self.prefixes is not None:
            self.prefixes.begin(request, tokens, self.clock)
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
        rows.waiting[row] = self.waiting + self.ghosts
        rows.blocks[row] = used
        rows.held_tokens[row] = self.kv_tokens + self.prompt_tokens
        rows.cached[row] = self.found_tokens
        rows.count = row + 1
        self.found_tokens = self.ghosts = 0
        self.executed += rounds
        if self.knobs.ahead:
            self.seen = self.now
            if rounds > 1:
                self.seen += self.price.rounds(decode_seqs, kv_tokens, rounds - 1)
            self.parting, self.leaving = self.leaving, []
        self.now += duration
        self.step_end = self.now
        if not self.knobs.ahead:
            self.seen = self.now
        self.just_left, self.just_begun, self.unheard = 0, self.unheard, 0

    def step_over(self, preempted: int) -> None:
        """Let those leave who held a slot while the step was scheduled that has been made.

        `preempted` are the preemptions before it.
        """
        if self.preempted == preempted and not self.held_back:
            self.crowded = self.waiting > 0
        if self.parting:
            for slot in self.parting:
                self.depart(slot, True)
            self.parting = []

    # Rounds.

    def advance_rounds(self, n: int, rounds: int) -> None:
        """Give each of the `n` decoding sequences `rounds` tokens: their last ones perhaps."""
        self.cache.advance(self.clock, rounds)
        rows = self.rows
        row = rows.count - 1
        rows.blocks_end[row] = self.cache.used
        if self.stalls is not None:
            first_s, growth = rows.duration[row], 0.0
            if rounds > 1:
                growth = self.price.per_kv_token_decode * n * (rounds - 1)
                first_s = first_s / rounds - growth / 2
            first_end = rows.start[row] + first_s
            self.stalls.rounds(self.clock, rounds, self.last_round_end, first_end, first_s + growth)
        self.clock += rounds
        self.kv_tokens += n * rounds
        self.last_round_end = self.now

    def is_last_of_any(self) -> bool:
        """Whether the last round may have been somebody's last."""
        first = self.finishing[0]
        return first >> _SLOT_BITS <= self.clock

    def finish_all(self) -> None:
        """Let the sequences leave that have got their last token, in the order of the trace.

        Where blocks stay known, it is the order of admission: who is freed last is forgotten last.
        """
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
                if self.prefixes is not None:
                    ended.append(self.admission[slot])
                elif self.watched:
                    ended.append((self.request[slot] << _SLOT_BITS) + slot)
                else:  # nobody is told, so that their order does not matter
                    self._finish(slot)
        if ended:
            ended.sort()
            for first in ended:
                self._finish(first & _SLOT)
            ended.clear()

    def _finish(self, slot: int) -> None:
        if self.until[slot] >= 0:
            self.stop_decoding(slot, self.last[slot])
        self._complete(slot)

    def _complete(self, slot: int) -> None:
        request = self.request[slot]
        self.finish[request] = self.now
        if self.knobs.ahead:
            self.computed[slot] = self.last[slot]
            self.prompt_tokens += self.last[slot]
            self.leaving.append(slot)
            if self.watched:
                del self.slot_of[request]
        else:
            self.leave(slot, self.last[slot])
            self.just_left += 1
        self.let_follow(request)
