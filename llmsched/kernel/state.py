"""The state of one engine, and the changes that keep it consistent: who has a slot.

A slot is an entry of columns, one for each running sequence. The rules of admission and preemption
are those of vLLM's v1 scheduler unless a knob says otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import floats, ints
from llmsched.kernel.blocks import Cache, Rationed, Reserved
from llmsched.kernel.prices import Price
from llmsched.kernel.rows import Rows
from llmsched.kernel.stalls import Stalls
from llmsched.kernel.waiting import Knobs, Referee, Waiting

SLOT_BITS = 24
"""Bits of a slot's number, in one integer with a number that orders slots."""

_SLOT_BITS = SLOT_BITS  # the same with a C type, as in each module that uses it
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
    """

    def __init__(
        self, knobs: Knobs, price: Price, cache: Cache, rows: Rows, referee: Referee
    ) -> None:
        super().__init__(knobs, referee)
        self.price, self.cache, self.rows = price, cache, rows
        self.rations = isinstance(cache, Rationed)
        self.reserves = self.rations or isinstance(cache, Reserved)
        self.stalls: Stalls | None = None  # who wants to know of streams sets it before all else
        self.watched = False  # whether `slot_of` is kept
        self.clock = self.decoding = self.kv_tokens = self.prompt_tokens = 0
        self.prompts_done = 0  # prefills so far that yielded a token
        self.last_round_end = self.step_end = 0.0
        self.partial: list[int] = []
        self.last_token: dict[int, float] = {}  # when that of preempted requests had come
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
        self.chunk = ints(column("chunk"))  # tokens of it in the step being made
        self.chunk_of = ints(column("chunk_of"))  # slots of that step, in order
        self.takes = ints(column("takes"))  # 1 while it takes a block in the round being made
        self.since = ints(column("since"))  # decode clock at its first round
        self.until = ints(column("until"))  # decode clock after its last; -1: not decoding
        self.ready_row = ints(column("ready_row"))  # that finished its prompt
        self.ready_end = floats(column("ready_end", np.float64))
        self.free_slots.extend(range(self.slots - 1, first - 1, -1))

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

    def fits(self, request: int) -> bool:
        """Whether a waiting request may be admitted with the room that there is now."""
        tokens = self.need(request)
        if self.knobs.first_chunk:
            tokens = min(tokens, self.knobs.threshold, self.knobs.budget)
        owed = self.owed() if self.rations else 0
        return self.cache.admits(request, tokens, self.most(request), self.clock, owed)

    def owed(self) -> int:
        """Blocks that an admission leaves to the running sequences for what they may yet become."""
        blocks = 0
        for slot in range(self.slots):
            if self.admission[slot]:
                most = self.most(self.request[slot])
                blocks += self.cache.owed(self.held_tokens(slot), most)
        return blocks

    def can_prefill(self) -> bool:
        """Whether a step with prefill would compute prompt tokens; see `Window.can_prefill`."""
        if self.partial:
            return True
        if not self.waiting or self.running >= self.knobs.slots:
            return False
        request = self.next_waiting()
        return request >= 0 and self.fits(request)

    def next_prefill_tokens(self) -> int:
        """Return the tokens to compute of the prompt that is next; see `Window`."""
        if self.partial:
            slot = self.partial[0]
            return self.target[slot] - self.computed[slot]
        request = self.next_waiting() if self.waiting else -1
        return 0 if request < 0 else self.need(request)

    # Running.

    def admit(self, request: int, tokens: int) -> int:
        """Give a waiting request a slot, and room for its first `tokens`; return the slot."""
        self.cache.admit(request, tokens, self.most(request))
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
        self.computed[slot] = 0
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

    def in_slots(self) -> list[int]:
        """Return the admissions of the running sequences in their order."""
        found = []
        for number in self.admissions:
            if self.admission[number & _SLOT] == number:
                found.append(number)  # noqa: PERF401  # in C the loop's variable has a type
        return found

    def sequences(self) -> list[tuple[int, int]]:
        """Return the running requests and their slots, in order of admission."""
        slots = [number & _SLOT for number in self.in_slots()]
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

    def stop_decoding(self, slot: int, tokens: int) -> None:
        """Take a sequence of `tokens` computed tokens out of the decode batch."""
        if self.stalls is not None:
            self.stalls.end(self.request[slot], self.since[slot], self.clock)
        self.until[slot] = -1
        self.decoding -= 1
        self.kv_tokens -= tokens
        self.cache.settle(tokens, self.clock)

    def leave(self, slot: int, tokens: int) -> None:
        """Free the slot and the room of a sequence of `tokens` tokens."""
        request = self.request[slot]
        self.running -= 1
        self.admission[slot] = 0
        self.free_slots.append(slot)
        self.cache.leave(request, tokens, self.most(request))
        if self.watched:
            del self.slot_of[request]
            if self.foreign is not None and self.foreign.release is not None:
                self.foreign.release(request)
