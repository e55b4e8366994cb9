"""The kind `affine`: seven prices."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.hardware.step_time import Minorant, StepTime
from llmsched.kernel.prices import Linear, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Affine(StepTime):
    """A price per step, per prefill token and per decode sequence.

    Attributes
    ----------
    per_step, per_prefill_token, per_decode_seq : float
        Seconds.
    """

    kind = "affine"

    per_step: float = 0.0
    per_prefill_token: float = 0.0
    per_decode_seq: float = 0.0

    def _price(self) -> Price:
        return Linear(
            self._shared,
            self.per_step,
            self.per_step,
            self.per_prefill_token,
            self.per_decode_seq,
        )

    @property
    def prefill_setup(self) -> float:
        """Seconds of a step that are owed whatever it holds."""
        return self.per_step

    def minorants(self) -> tuple[Minorant, ...]:
        """Return the prices themselves: they are linear."""
        return (
            Minorant(self.per_step, self.per_prefill_token, self.per_step, self.per_decode_seq),
        )
