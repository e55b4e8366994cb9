"""The kind `affine`: seven prices."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.hardware.step_time import Minorant, StepTime


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

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        """Return the seconds that depend on the two counts."""
        return (
            self.per_step
            + self.per_prefill_token * prefill_tokens
            + self.per_decode_seq * decode_seqs
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
