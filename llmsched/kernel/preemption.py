"""Who loses its slot when KV blocks run out: preemption by recompute, as in vLLM's v1 scheduler."""

from __future__ import annotations

from heapq import heappop, heappush

from llmsched.kernel.blocks import Cache
from llmsched.kernel.prices import Price
from llmsched.kernel.requests import ABORTED
from llmsched.kernel.rows import Rows
from llmsched.kernel.state import SLOT_BITS, State
from llmsched.kernel.waiting import Knobs, Referee

_SLOT = (1 << SLOT_BITS) - 1


class Preemption(State):
    """Takes slots and KV blocks away, for a decode round, a begun prompt, a rule, or a client.

    Attributes
    ----------
    preempted : int
        Preemptions so far.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, price, cache, rows, referee)
        self.preempted = 0  # preemptions so far
        self.asking = 0  # admission of who is given room in the step being made
        self.mixed = False  # whether decodes get a token in the step being made
        self.spent = 0  # tokens of the chunks in the step being made
        self.preempted_at_clock = self.preempted_at = -1  # what tokens and arrivals had come to
        self.reached: dict[int, int] = {}  # most tokens computed of a prompt before a preemption
        self.begun_by_length: list[tuple[int, int]] = []  # heaps of victims, some outdated
        self.decoding_by_length: list[tuple[int, int]] = []

    def extend(self, slot: int, tokens: int) -> bool:
        """Give a begun prompt the room for `tokens` more tokens; preempt others for it.

        Returns False if it had to be preempted itself.
        """
        request, held = self.request[slot], self.computed[slot]
        self.asking = self.admission[slot] if self.mixed else 0
        while not self.cache.extend(request, held, tokens, self.clock):
            victim = self.victim()
            self.preempt(victim)
            if self.mixed:
                self.cache.reserve(self.clock)  # perhaps for one decode fewer
            if victim == slot:
                self.asking = 0
                return False
        self.asking = 0
        if self.prefixes is not None:
            self.prefixes.register(request, held + tokens)
        return True

    def make_room(self) -> None:
        """Preempt until the free blocks suffice for the next decode round.

        Walks the running sequences in order, as the real engine does: the first ones take the free
        blocks, and where none is left a victim gives up its own.
        """
        cache = self.cache
        if cache.demand(self.clock) <= cache.free:
            return
        takers = 0
        numbers = self.in_slots()
        for number in numbers:
            slot = number & _SLOT
            if self.until[slot] < 0 or not cache.grows(self.decoded_tokens(slot)):
                continue
            self.takes[slot] = 1
            takers += 1
            self.asking = number
            while self.takes[slot] and takers > cache.free:
                if self.prefixes is not None:  # those before have taken whatever was free
                    self.prefixes.evict(self.prefixes.idle)
                victim = self.victim()
                takers -= self.takes[victim]
                self.takes[victim] = 0
                self.preempt(victim)
        self.asking = 0
        for number in numbers:
            self.takes[number & _SLOT] = 0

    def preempt(self, slot: int) -> None:
        """Take a running sequence's slot and room; it waits again and recomputes what it had."""
        request = self.request[slot]
        self.preemptions[request] += 1
        self.preempted += 1
        if self.leaving and slot in self.leaving:
            self.leaving.remove(slot)
            self.depart(slot, False)
            self.ghosts += 1
            return
        held = tokens = self.held_tokens(slot)
        if self.until[slot] < 0:
            tokens = self.computed[slot]
            self.prompt_tokens -= tokens
            self.unlist(slot)
            if self.deadlines and tokens > self.reached.get(request, 0):
                self.reached[request] = tokens
        else:
            self._note_last_token(slot)
            if self.prefixes is not None and self.admission[slot] < self.asking:
                # It had its turn in this step: what that fills is known, though never computed.
                self.prefixes.register(request, self.known_tokens(slot) + 1)
            self.stop_decoding(slot, tokens)
            self.resuming[request] = tokens + 1  # its newest token has no KV yet
        self.spent -= self.chunk[slot]
        self.chunk[slot] = 0
        self.recomputed[request] += tokens
        if self.prefixes is not None:
            self.lost[request] = max(tokens, self.lost.get(request, 0))
        self.leave(slot, held)
        self.enqueue(request)
        # Most preemptions are followed by a token, and need no description.
        at = self.prompts_done + self.arrived
        if self.clock == self.preempted_at_clock and at == self.preempted_at:
            self.referee.preempted(self, request)
        self.preempted_at_clock, self.preempted_at = self.clock, at

    def abort(self, request: int) -> None:
        """Let a client leave: its request waits or runs, and what it holds is freed.

        What a preemption lost and nothing computed again is not recomputed any more.
        """
        slot, prompt, held = self.slot(request), self.prompt[request], 0
        if slot < 0:
            emitted = self.need(request) - prompt
            self.waiting -= 1
            if self.sharing:
                self.count_long(request, -1)
            self.withdraw(request)
        else:
            emitted, held = self.generated(slot), self.held_tokens(slot)
            if self.until[slot] < 0:
                self.prompt_tokens -= held
                self.unlist(slot)
            else:
                if self.since[slot] == self.clock:
                    self.rows.withdrawn.append(self.ready_row[slot])
                self.stop_decoding(slot, held)
            self.leave(slot, held)
        once = prompt + emitted - 1 if emitted else max(held, self.reached.get(request, 0))
        self.emitted[request] = emitted
        self.computed_input[request] = min(once, prompt)
        self.recomputed[request] += held - once
        self.status[request] = ABORTED
        self.finish[request] = self.step_end
        if not emitted:
            self.has_begun(request)
        self.just_left += 1
        self.resuming.pop(request, None)
        self.last_token.pop(request, None)
        self.reached.pop(request, None)
        self.lost.pop(request, None)
        self.let_follow(request)

    def pause(self, slot: int) -> None:
        """Let a decoding sequence wait for a step that has a token left for it.

        Its newest token is then a prompt's last, alone: computing it yields the next one.
        """
        request, tokens = self.request[slot], self.decoded_tokens(slot)
        self._note_last_token(slot)
        self.stop_decoding(slot, tokens)
        self.resuming[request] = self.target[slot] = tokens + 1
        self.computed[slot] = tokens
        self.prompt_tokens += tokens
        self.listed[slot] = 1
        at = 0
        while at < len(self.partial) and self.admission[self.partial[at]] < self.admission[slot]:
            at += 1
        self.partial.insert(at, slot)

    def _note_last_token(self, slot: int) -> None:
        """Remember when the last token of a sequence came that stops to decode."""
        request = self.request[slot]
        if self.since[slot] < self.clock:
            self.last_token[request] = self.last_round_end
        else:  # it never decoded: its last token is the one its prefill emitted
            self.last_token[request] = self.ready_end[slot]
            self.rows.withdrawn.append(self.ready_row[slot])

    def victim(self) -> int:
        """Return the slot that is preempted next: who came last, or has most predicted to go.

        Of two with as many tokens to go it is the one that came later; of the least urgent ones it
        is the first of those that arrived last.
        """
        if self.knobs.least_urgent:
            return self._least_urgent()
        if not self.knobs.longest_remaining:
            while True:
                number = self.admissions[len(self.admissions) - 1]  # C counts from the front
                if self.admission[number & _SLOT] == number:
                    return number & _SLOT
                self.admissions.pop()
        begun = self._longest(self.begun_by_length, False)
        best = self._longest(self.decoding_by_length, True)
        if best is None or (
            begun is not None
            and (begun[0], begun[1]) < (best[0] + self.clock, best[1])  # each round, one token less
        ):
            best = begun
        assert best is not None
        return -best[1] & _SLOT

    def _least_urgent(self) -> int:
        best = -1
        for number in self.in_slots():
            slot = number & _SLOT
            if best < 0:
                best = slot
                continue
            one, other = self.request[best], self.request[slot]
            if self.priority[other] > self.priority[one] or (
                self.priority[other] == self.priority[one]
                and self.arrival[other] > self.arrival[one]
            ):
                best = slot
        return best

    def _longest(self, heap: list[tuple[int, int]], decoding: bool) -> tuple[int, int] | None:
        """Return the top of a heap of victims, once those are gone that are none any more."""
        while heap:
            number = -heap[0][1]
            slot = number & _SLOT
            if self.admission[slot] == number and (self.until[slot] >= 0) == decoding:
                return heap[0]
            heappop(heap)
        return None

    def rank_victim(self, slot: int) -> None:
        """Note the predicted tokens to go of a sequence that is admitted, or begins to decode.

        A decoding one's are noted as of round 0, so that no round changes their order.
        """
        left = self.predicted[self.request[slot]] - self.generated(slot)
        if self.until[slot] < 0:
            heappush(self.begun_by_length, (-left, -self.admission[slot]))
        else:
            heappush(self.decoding_by_length, (-left - self.clock, -self.admission[slot]))
