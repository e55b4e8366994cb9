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
    per_step_prefill : float or None
        Seconds of a step that holds a prefill, in place of `per_step`, which then is that of a
        decode round alone: such steps often run outside CUDA graphs. None: the same.
    """

    kind = "affine"

    per_step: float = 0.0
    per_prefill_token: float = 0.0
    per_decode_seq: float = 0.0
    per_step_prefill: float | None = None

    def _price(self) -> Price:
        return Linear(
            self._shared,
            self.per_step,
            self.prefill_setup,
            self.per_prefill_token,
            self.per_decode_seq,
        )

    @property
    def prefill_setup(self) -> float:
        """Seconds of a step with a prefill that are owed whatever it holds."""
        return self.per_step if self.per_step_prefill is None else self.per_step_prefill

    def minorants(self) -> tuple[Minorant, ...]:
        """Return the prices themselves: they are linear."""
        token, seq = self.per_prefill_token, self.per_decode_seq
        return (Minorant(self.prefill_setup, token, self.per_step, seq),)
