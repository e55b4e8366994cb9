"""The kind `stages`: a step is a prefill stage or a decode round, each with prices of its own."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.errors import InputError
from llmsched.hardware.step_time import Minorant, StepTime


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

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        """Return the seconds of a prefill stage or of a decode round.

        Raises
        ------
        InputError
            Both counts are positive: mixed steps have no price.
        """
        if prefill_tokens == 0:
            return self.decode_round + self.per_decode_seq * decode_seqs
        if decode_seqs:
            raise InputError("step_time.kind: stages has no price for prefill beside decodes")
        return self.per_stage + self.per_token * prefill_tokens

    @property
    def prefill_setup(self) -> float:
        """Seconds of an empty prefill stage."""
        return self.per_stage

    def minorants(self) -> tuple[Minorant, ...]:
        """Return the prices themselves: they are linear."""
        return (Minorant(self.per_stage, self.per_token, self.decode_round, self.per_decode_seq),)
