"""What a policy sees of an engine: counts, and who runs; nothing that it could change."""

from __future__ import annotations

from typing import Any, NamedTuple

from llmsched.kernel.blocks import UNBOUNDED
from llmsched.kernel.state import State


class Sequence(NamedTuple):
    """A running sequence, as a scheduler knows it.

    Attributes
    ----------
    request : int
        Its number: the place of its entry in the columns of `Jobs`.
    decoding : bool
        Whether its prompt is computed.
    computed_tokens, prefill_left : int
        Tokens in the KV cache, and how many more are to be computed before it decodes.
    generated_tokens, predicted_left : int
        Output tokens so far, and how many more are predicted; the latter is below 0 where it has
        outlived its prediction.
    blocks : int
        KV blocks that it holds; 0 where they are not limited.
    arrival : float
        Seconds.
    job_class : str
        Its class; empty where it has none.
    """

    request: int
    decoding: bool
    computed_tokens: int
    prefill_left: int
    generated_tokens: int
    predicted_left: int
    blocks: int
    arrival: float
    job_class: str


class Window:
    """A window on the engine. Counts are of requests, times in seconds."""

    __slots__ = ("_state",)

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def now(self) -> float:
        """The time at which the next step would start."""
        return self._state.now

    @property
    def clock(self) -> int:
        """Decode rounds so far."""
        return self._state.clock

    @property
    def running(self) -> int:
        """Sequences in slots, whether prefilling or decoding."""
        return self._state.running

    @property
    def decoding(self) -> int:
        """Sequences that a decode round would advance."""
        return self._state.decoding

    @property
    def prefilling(self) -> int:
        """Sequences whose prompt has been begun and not finished."""
        return len(self._state.partial)

    @property
    def waiting(self) -> int:
        """Requests that have arrived and hold no slot."""
        return self._state.waiting

    @property
    def idle_slots(self) -> int:
        """Slots that hold no sequence."""
        return self._state.knobs.slots - self._state.running

    @property
    def can_prefill(self) -> bool:
        """Whether a prompt can be computed now: one has been begun, or the next waiting request
        finds a slot and KV blocks beside what the next decode round takes."""
        return self._state.can_prefill(self._state.knobs.budget, False)

    @property
    def kv_tokens(self) -> int:
        """Context tokens that a decode round would read."""
        return self._state.kv_tokens

    @property
    def free_blocks(self) -> int | None:
        """KV blocks that nobody holds; None where they are not limited."""
        free = self._state.cache.free
        return None if free == UNBOUNDED else free

    @property
    def next_prefill_tokens(self) -> int:
        """Tokens that the next prefill finds to compute of one prompt: what is left of the first
        one begun, else all of the next waiting request; 0 if there is neither."""
        return self._state.next_prefill_tokens()

    def sequences(self) -> list[Sequence]:
        """Return the running sequences in order of admission."""
        state, known = self._state, self._state.known  # which whoever looks has been told
        if known is None or not known.has_classes():
            known = None
        found: list[Sequence] = []
        for request, slot in state.sequences():
            held, generated = state.held_tokens(slot), state.generated(slot)
            found.append(
                Sequence(
                    request,
                    state.until[slot] >= 0,
                    held,
                    state.target[slot] - held if state.until[slot] < 0 else 0,
                    generated,
                    state.predicted[request] - generated,
                    state.cache.held(held, state.most(request)),
                    state.arrival[request],
                    "" if known is None else known.class_of(request),
                )
            )
        return found

    def queued(self) -> list[int]:
        """Return the waiting requests in the queue's order.

        Raises
        ------
        PolicyError
            The order's queue cannot tell: it lacks the methods ``waiting`` and ``remove``.
        """
        return self._state.in_order()

    def _waits(self, request: int) -> bool:
        """Whether it is the number of a request that has arrived and waits."""
        return 0 <= request < self._state.arrived and self._state.is_waiting(request)

    def prefill_tokens(self, request: int) -> int:
        """Return the tokens to compute of a waiting request: after a preemption more than its
        prompt's."""
        if not self._waits(request):
            return 0
        return self._state.due(request)

    def predicted_left(self, request: int) -> int:
        """Return the output tokens that a waiting request is predicted to get yet: after a
        preemption fewer than at first, and below 0 where it has outlived its prediction."""
        if not self._waits(request):
            return 0
        state = self._state
        return state.predicted[request] + state.prompt[request] - state.need(request)

    def fits(self, request: int) -> bool:
        """Whether a waiting request finds KV blocks beside what the next decode round takes."""
        if not self._waits(request):
            return False
        state = self._state
        chunk = min(state.due(request), state.most_of_a_prompt(), state.knobs.budget)
        return state.fits(request, chunk)

    def patience(self, extra: int) -> int | None:
        """Return the decode rounds for which idle slots can wait for their next prefill at no cost.

        The queue knows if it follows a plan: `extra` are the rounds by which the plan may end later
        than planned. None means that it has nothing to say of it.
        """
        ask: Any = getattr(self._state.foreign, "patience", None)
        if ask is None:
            return None
        rounds: int | None = ask(extra)
        return rounds
