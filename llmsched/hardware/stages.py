"""The kind `stages`: a step is a prefill stage or a decode round, each with prices of its own."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.hardware.step_time import Minorant, StepTime
from llmsched.kernel.prices import Linear, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages(StepTime):
    """An affine decode round and an affine prefill stage; a step is one or the other.

    Attributes
    ----------
    decode_round : float
        Seconds of a decode round, whatever the batch.
    per_decode_seq : float
        Seconds of a decode round for each sequence in it.
    per_stage, per_token : float
        Seconds of a prefill stage, and of each token in it.
    """

    kind = "stages"

    decode_round: float
    per_stage: float
    per_token: float
    per_decode_seq: float = 0.0
    mixed: bool = False

    def _price(self) -> Price:
        return Linear(
            self._shared, self.decode_round, self.per_stage, self.per_token, self.per_decode_seq
        )

    @property
    def prefill_setup(self) -> float:
        """Seconds of an empty prefill stage."""
        return self.per_stage

    def minorants(self) -> tuple[Minorant, ...]:
        """Return the prices themselves: they are linear."""
        return (Minorant(self.per_stage, self.per_token, self.decode_round, self.per_decode_seq),)
