"""Admit who fits at the predicted peak of the KV cache, and pass over who does not."""

from dataclasses import dataclass
from typing import ClassVar

from llmsched.contract import DECODE, Decide, Step, View


def peak(sequences: list[tuple[int, int]]) -> int:
    """Most tokens at once of sequences of (tokens to go, tokens now) that grow side by side."""
    most = held = 0
    for count, (left, now) in enumerate(sorted(sequences, reverse=True), 1):
        held += now  # of all that live at least as long as this one
        most = max(most, held + count * left)
    return most


@dataclass(frozen=True)
class PeakKv:
    look: int = 8  # waiting requests that are tried at a time, from the first on
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        room, block = view.config.kv_room or 2**60, view.config.block_size

        def decide() -> Step:
            kv, chunks, idle = [], [], view.idle_slots
            for s in view.sequences():  # each may begin a block in vain
                kv.append((max(1, s.predicted_left), s.computed_tokens + s.prefill_left + block))
                chunks += [] if s.decoding else [(s.request, s.prefill_left)]
            for request in view.queued()[: self.look] if idle else ():
                left, now = view.predicted_left(request), view.prefill_tokens(request)
                more = [*kv, (max(1, left), now + block)]
                if idle and view.fits(request) and (not kv or peak(more) <= room):
                    kv, idle = more, idle - 1
                    chunks.append((request, now))
            return Step(prefill=True, chunks=tuple(chunks)) if chunks else DECODE

        return decide
