"""The state of one engine, and the changes that keep it consistent: who has a slot.

A slot is an entry of columns, one for each running sequence. The rules of admission and preemption
are those of vLLM's v1 scheduler unless a knob says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.kernel.blocks import UNBOUNDED, Cache, Rationed, Reserved
from llmsched.kernel.prefixes import Prefixes
from llmsched.kernel.prices import Price
from llmsched.kernel.rows import Rows
from llmsched.kernel.stalls import Stalls
from llmsched.kernel.waiting import Knobs, Referee, Waiting

SLOT_BITS = 24
"""Bits of a slot's number, in one integer with a number that orders slots."""

_SLOT_BITS = SLOT_BITS  # the same with a C type, as in each module that uses it
_UNBOUNDED = UNBOUNDED
_SLOT = (1 << SLOT_BITS) - 1


class State(Waiting):
    """Requests, slots and clocks.

    Attributes
    ----------
    step_end : float
        Seconds: when the last step ended, which is when clients leave.
    clock : int
        Decode rounds so far. A sequence that begins to decode at round r with m tokens to go
        finishes at round r + m, known at once.
    decoding, kv_tokens : int
        Sequences that a round would advance, and the context that these read.
    prompt_tokens : int
        Computed, of prompts begun and not finished.
    partial : list of int
        Slots whose prompt has been begun and not finished, in order of admission.
    leaving : list of int
        Slots of those who got their last token in a step that has not ended when the next one is
        scheduled: they hold them until that one is.
    ghosts : int
        Requests that were preempted while their last token was computed: they wait for nothing.
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, referee)
        self.price, self.cache, self.rows = price, cache, rows
        self.prefixes: Prefixes | None = None
        self.found_tokens = 0  # in the cache by those admitted in the step being made
        self.rations = isinstance(cache, Rationed)
        self.reserves = self.rations or isinstance(cache, Reserved)
        self.stalls: Stalls | None = None  # who wants to know of streams sets it before all else
        self.watched = False  # whether `slot_of` is kept
        self.clock = self.decoding = self.kv_tokens = self.prompt_tokens = 0
        self.prompts_done = 0  # prefills so far that yielded a token
        self.last_round_end = self.step_end = 0.0
        self.partial: list[int] = []
        self.leaving: list[int] = []
        self.ghosts = 0
        self.paced = knobs.interval > 1  # whether prompts may have to wait for their turn
        self.executed = 0  # steps so far
        self.last_prefill = -knobs.interval  # the last one that computed a prompt
        self.crowded = False  # whether the last step that might admit left requests waiting
        self.last_token: dict[int, float] = {}  # when that of preempted requests had come
        self.lost: dict[int, int] = {}  # most tokens that preempted requests had computed
        self.admissions: list[int] = []  # numbers that rise, and slots; some outdated
        self.admission_number = 0
        self.slots = 0
        self.free_slots: list[int] = []
        self._slots: dict[str, NDArray[Any]] = {}
        self._more_slots()

    def _more_slots(self) -> None:
        """Make twice as many slots."""
        first, self.slots = self.slots, max(64, 2 * self.slots)
        if self.slots > _SLOT:
            raise OverflowError("expected fewer than 2**24 sequences at once")

        def column(name: str, kind: type[np.generic] = np.int64) -> NDArray[Any]:
            new = np.zeros(self.slots, kind)
            new[:first] = self._slots.get(name, new)[:first]
            self._slots[name] = new
            return new

        self.request = ints(column("request"))
        self.admission = ints(column("admission"))  # entry in `admissions`; 0: it is free
        self.target = ints(column("target"))  # tokens to compute, then decode
        self.last = ints(column("last"))  # computed at the end
        self.computed = ints(column("computed"))  # while its prompt is not finished
        self.listed = ints(column("listed"))  # 1 while it is in `partial`
        self.chunk = ints(column("chunk"))  # tokens of it in the step being made
        self.chunk_of = ints(column("chunk_of"))  # slots of that step, in order
        self.takes = ints(column("takes"))  # 1 while it takes a block in the round being made
        self.since = ints(column("since"))  # decode clock at its first round
        self.until = ints(column("until"))  # decode clock after its last; -1: not decoding
        self.ready_row = ints(column("ready_row"))  # that finished its prompt
        self.ready_end = floats(column("ready_end", np.float64))
        self.free_slots.extend(range(self.slots - 1, first - 1, -1))

    def share(self, prefixes: Prefixes) -> None:
        """Let prompts find what others, or they themselves, have computed; nobody runs yet."""
        self.prefixes = self.cache.prefixes = prefixes

    def is_waiting(self, request: int) -> bool:
        """Whether a request that has arrived holds no slot and has not finished."""
        return self.slot(request) < 0 and not self.has_finished(request)

    def slot(self, request: int) -> int:
        """Return the slot of a request; -1 if it has none."""
        if self.watched:
            return self.slot_of.get(request, -1)
        for slot in range(self.slots):
            if self.admission[slot] and self.request[slot] == request:
                return slot
        return -1

    def most(self, request: int) -> int:
        """Most tokens of a request, if any are reserved: its output's last one is not computed."""
        return self.prompt[request] + self.limit[request] - 1 if self.reserves else 0

    def found(self, request: int) -> int:
        """Tokens of a waiting request that are in the cache: all but the last may be."""
        if self.prefixes is None:
            return 0
        size = self.prefixes.block_size
        return self.prefixes.find(request, (self.need(request) - 1) // size) * size

    def look(self, mixed: bool) -> None:
        """Look for prompts as a step would in which decodes get a token as well, or not."""
        assert self.prefixes is not None
        ahead = 1 if self.knobs.ahead else 0
        self.prefixes.clock = self.clock + (1 if mixed else 0) - ahead

    def due(self, request: int) -> int:
        """Tokens to compute of a waiting request before it decodes, if it is admitted now."""
        return self.need(request) - self.found(request)

    def fits(self, request: int, chunk: int) -> bool:
        """Whether a waiting request may be admitted with a chunk, with the room there is now."""
        tokens = self.need(request)
        found = self.found(request)  # what blocks it would share is known from here on
        if self.knobs.first_chunk:
            tokens = found + chunk
        owed = self.owed() if self.rations else 0
        spare = self.cache.spare if self.running else 0
        return self.cache.admits(tokens, self.most(request), self.clock, owed, spare)

    def most_of_a_prompt(self) -> int:
        """Tokens of one prompt that the step being made may compute, beside its budget."""
        knobs = self.knobs
        prompts = self.running + self.waiting
        if knobs.threshold == _UNBOUNDED or prompts <= 1:
            return _UNBOUNDED
        if knobs.adaptive:
            return max(knobs.threshold, knobs.budget // prompts)
        return knobs.threshold

    def holds_back(self) -> int:
        """Steps for which prompts have to wait since one was computed; 0 if they need not.

        As vLLM's `prefill_schedule_interval`: they need not where nothing decodes, or where the
        last step that might admit left somebody waiting whom it could not.
        """
        if not self.paced or self.crowded or not self.decoding + len(self.leaving):
            return 0
        return max(0, self.last_prefill + self.knobs.interval - self.executed - 1)

    def owed(self) -> int:
        """Blocks that an admission leaves to the running sequences for what they may yet become."""
        blocks = 0
        for slot in range(self.slots):
            if self.admission[slot] and slot not in self.leaving:
                most = self.most(self.request[slot])
                blocks += self.cache.owed(self.held_tokens(slot), most)
        return blocks

    def can_prefill(self, budget: int, mixed: bool) -> bool:
        """Whether a step with so many tokens left for prompts would compute any; see `Window`."""
        held = self.paced and mixed and self.holds_back() > 0
        if self.prefixes is not None:
            self.look(mixed)
        if self.partial and not held:
            return True
        if not self.waiting or self.running >= self.knobs.slots:
            return False
        if mixed and self.prefixes is not None:
            if self.cache.demand(self.clock) > self.cache.free:
                return False  # somebody is preempted, and nobody admitted
            self.cache.reserve(self.clock)
        request = self.next_waiting()
        if request < 0:
            return False
        due = self.due(request)
        if held and due > 1:
            return False
        return self.fits(request, min(due, self.most_of_a_prompt(), budget))

    def next_prefill_tokens(self) -> int:
        """Return the tokens to compute of the prompt that is next; see `Window`."""
        if self.partial:
            slot = self.partial[0]
            return self.target[slot] - self.computed[slot]
        request = self.next_waiting() if self.waiting else -1
        return 0 if request < 0 else self.due(request)

    # Running.

    def admit(self, request: int, tokens: int) -> int:
        """Give a waiting request a slot, and room for its first chunk; return the slot."""
        found = self.found(request)
        self.cache.admit(request, found + tokens, self.most(request))
        if self.prefixes is not None:
            self.prefixes.register(request, found + tokens)
            self._count_found(request, found)
        self.waiting -= 1
        if self.sharing:
            self.count_long(request, -1)
        self.running += 1
        if not self.free_slots:
            self._more_slots()
        slot = self.free_slots.pop()
        self.request[slot] = request
        self.target[slot] = self.need(request)
        self.last[slot] = self.prompt[request] + self.output[request] - 1
        self.computed[slot] = found
        self.prompt_tokens += found
        self.until[slot] = -1
        self.admission_number += 1
        number = (self.admission_number << _SLOT_BITS) + slot
        self.admission[slot] = number
        self.admissions.append(number)
        if len(self.admissions) > 2 * self.running + 64:
            self.admissions = self.in_slots()
        if self.watched:
            self.slot_of[request] = slot
        if self.admitted[request] != self.admitted[request]:  # NaN: not a resumption
            self.admitted[request] = self.now
        return slot

    def _count_found(self, request: int, tokens: int) -> None:
        """Count tokens that an admitted request finds in the cache.

        What it had computed itself before it was preempted, it need not compute again.
        """
        self.found_tokens += tokens
        again = 0
        if self.lost and request in self.lost:
            again = min(tokens, self.lost[request], self.recomputed[request])
            self.recomputed[request] -= again
        self.cached[request] += tokens - again

    def in_slots(self) -> list[int]:
        """Return the admissions of the running sequences in their order."""
        found = []
        for number in self.admissions:
            if self.admission[number & _SLOT] == number:
                found.append(number)  # noqa: PERF401  # in C the loop's variable has a type
        return found

    def sequences(self) -> list[tuple[int, int]]:
        """Return the running requests and their slots, in order of admission.

        Those who got their last token and hold a slot for a step longer are none any more.
        """
        slots = [number & _SLOT for number in self.in_slots()]
        if self.leaving:
            slots = [slot for slot in slots if slot not in self.leaving]
        return [(self.request[slot], slot) for slot in slots]

    def decoded_tokens(self, slot: int) -> int:
        """Tokens of a decoding sequence whose KV has been computed."""
        return self.target[slot] + self.clock - self.since[slot]

    def is_begun(self, slot: int) -> bool:
        """Whether a running sequence's prompt is not finished."""
        return self.until[slot] < 0

    def generated(self, slot: int) -> int:
        """Output tokens of a running sequence so far."""
        prompt = self.prompt[self.request[slot]]
        if self.until[slot] < 0:
            return self.target[slot] - prompt
        return self.decoded_tokens(slot) + 1 - prompt

    def held_tokens(self, slot: int) -> int:
        """Tokens of a running sequence that have room in the KV cache."""
        if self.until[slot] < 0:
            return self.computed[slot] + self.chunk[slot]
        return self.decoded_tokens(slot)

    def known_tokens(self, slot: int) -> int:
        """Tokens computed of a running sequence that blocks may be known by.

        Where steps are scheduled ahead, the token that the last one was computed for has not come.
        """
        tokens = self.held_tokens(slot)
        ahead = self.knobs.ahead and self.until[slot] >= 0 and self.since[slot] < self.clock
        return tokens - 1 if ahead else tokens

    def stop_decoding(self, slot: int, tokens: int) -> None:
        """Take a sequence of `tokens` computed tokens out of the decode batch."""
        if self.prefixes is not None:
            self.prefixes.register(self.request[slot], self.known_tokens(slot))
            self.prefixes.end(self.request[slot])
        if self.stalls is not None:
            self.stalls.end(self.request[slot], self.since[slot], self.clock)
        self.until[slot] = -1
        self.decoding -= 1
        self.kv_tokens -= tokens
        self.cache.settle(tokens, self.clock)

    def unlist(self, slot: int) -> None:
        """Take a slot out of those whose prompt is begun, if it is among them."""
        if self.listed[slot]:
            self.listed[slot] = 0
            self.partial.remove(slot)

    def depart(self, slot: int, known: bool) -> None:
        """Free the slot of who got its last token a step ago, known in full to the cache or not."""
        request, tokens = self.request[slot], self.computed[slot]
        self.prompt_tokens -= tokens
        if known and self.prefixes is not None:
            self.prefixes.register(request, tokens)
        self.leave(slot, tokens)
        self.just_left += 1

    def drain(self) -> bool:
        """Let the step in flight end before the next one is scheduled; False if there is none."""
        if not self.leaving and self.seen >= self.now:
            return False
        for slot in self.leaving:
            self.depart(slot, True)
        self.leaving = []
        self.just_begun += self.unheard
        self.unheard = 0
        self.seen = self.now
        return True

    def leave(self, slot: int, tokens: int) -> None:
        """Free the slot and the room of a sequence of `tokens` tokens."""
        request = self.request[slot]
        self.running -= 1
        self.admission[slot] = 0
        self.free_slots.append(slot)
        self.cache.leave(request, tokens, self.most(request))
        if self.watched:
            self.slot_of.pop(request, None)
            if self.foreign is not None and self.foreign.release is not None:
                self.foreign.release(request)
