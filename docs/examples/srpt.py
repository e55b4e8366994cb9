"""Shortest remaining predicted time first; a longer one gives up its slot and blocks for it."""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import ClassVar

from llmsched.contract import Decide, Step, View


@dataclass(frozen=True)
class Srpt:
    mixed: ClassVar[bool] = False

    def start(self, view: View) -> Decide:
        waiting: list[tuple[int, int]] = []  # heap of (predicted tokens to go, request)
        known, in_slots = 0, set[int]()

        def decide() -> Step:
            nonlocal known, in_slots
            for request in (*range(known, len(view.jobs)), *in_slots):
                if view.prefill_tokens(request):  # it has arrived, or was preempted
                    heappush(waiting, (view.predicted_left(request), request))
            known, running = len(view.jobs), view.sequences()
            in_slots = {one.request for one in running}
            chunks = [(one.request, one.prefill_left) for one in running if not one.decoding]
            if waiting and not (view.idle_slots and view.fits(waiting[0][1])):
                longest = max(running, key=lambda one: one.predicted_left)
                if longest.predicted_left > waiting[0][0]:
                    return Step(preempt=(longest.request,))
            else:
                for _ in range(min(view.idle_slots, len(waiting))):
                    request = heappop(waiting)[1]
                    in_slots.add(request)  # or it waits again, if it finds no room
                    chunks.append((request, view.prefill_tokens(request)))
            if chunks:
                return Step(prefill=True, chunks=tuple(chunks))
            return Step(decode=True, heed_arrivals=True)

        return decide
