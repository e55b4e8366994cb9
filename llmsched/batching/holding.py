"""What waiting has cost since the last prefill stage, which rules weigh against inserting one."""

from __future__ import annotations

from llmsched.contract import Step, View


class Holding:
    """Slot-seconds in which slots were idle though requests waited, since the last stage."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._since = 0.0
        self._idle = 0  # slots that have been idle since then while a request waited
        self.cost = 0.0

    @property
    def fillable(self) -> int:
        """Idle slots that have a waiting request: what one more second of waiting costs."""
        return min(self._view.idle_slots, self._view.waiting)

    def settle(self) -> None:
        """Charge the time since the last decision; rules do so before they decide."""
        self.cost += self._idle * (self._view.now - self._since)
        self._idle = 0

    def rounds_to(self, cost: float) -> int:
        """Return the decode rounds after which `cost` is reached; 0 if it has been."""
        view, missing = self._view, cost - self.cost
        if missing <= 0:
            return 0
        return view.step_time.rounds_until(view.decoding, view.kv_tokens, missing / self.fillable)

    def wait(self, rounds: int) -> Step:
        """Decode that many rounds, or until something changes."""
        self._since, self._idle = self._view.now, self.fillable
        return Step(decode=True, rounds=rounds)

    def insert(self, how: Step) -> Step:
        """End the wait by `how`."""
        self.cost = 0.0
        return how
