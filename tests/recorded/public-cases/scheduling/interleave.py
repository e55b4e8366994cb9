"""A rule that no shipped policy is: a chunk of a prompt, then N decode rounds, by turns."""

from dataclasses import dataclass

from llmsched.batching import Decide
from llmsched.engine import PREFILL, Step, View


@dataclass(frozen=True)
class Interleave:
    """`n` decode rounds between two chunks."""

    n: int = 1
    mixed = False

    def start(self, view: View) -> Decide:
        """Take turns from here on."""
        turn_of_decode = False

        def decide() -> Step:
            nonlocal turn_of_decode
            if view.can_prefill and not (turn_of_decode and view.decoding):
                turn_of_decode = True
                return PREFILL
            turn_of_decode = False
            return Step(decode=True, rounds=self.n)

        return decide
