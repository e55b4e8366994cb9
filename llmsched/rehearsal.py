"""The hybrid's offline phase: rehearse candidate policies on what is known, keep the best.

Packing fixes who shares a slot. How long slots should wait for each other (the multiplier that is
left, see `llmsched.batching.lagrangian`), and whether the plan is worth following at all, depend on
the profile. A replay of the predicted batch takes milliseconds, so they are chosen by trying them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from llmsched.batching import BatchingRule
from llmsched.engine.limits import admissible_blocks
from llmsched.errors import PolicyError
from llmsched.orders import Jobs, Order
from llmsched.trace import Trace

if TYPE_CHECKING:
    from llmsched.policies import Policy

Candidate: TypeAlias = tuple[Order, BatchingRule]

MOST_REPLAYED = 100_000
"""Requests that a rehearsal replays in all (about a second): so many candidates get a try."""
LEAST_TRIED = 3
"""Candidates tried however large the batch: a replay costs less than packing it."""


@dataclass(frozen=True)
class Rehearsal:
    """Candidates to try, most promising first; the first is the default where there is no batch.

    Rehearsed are the requests known at time 0, at their predicted lengths: the future and the true
    lengths stay unknown. Candidates that need mixed steps drop out where those have no price.
    """

    candidates: Sequence[Candidate]

    def choose(self, jobs: Jobs) -> Candidate:
        """Return the candidate with the smallest total inference time on the known requests."""
        from llmsched.engine import simulate
        from llmsched.policies import Policy

        known = np.flatnonzero(jobs.arrival <= 0)
        if len(known) <= jobs.config.max_num_seqs:
            return self.candidates[0]
        lengths = jobs.predicted_output_tokens[known]
        blocks = admissible_blocks(jobs.config)
        if blocks is not None:  # a prediction may exceed what fits; the request itself does not
            room = blocks * jobs.config.block_size + 1 - jobs.input_tokens[known]
            lengths = np.minimum(lengths, room)
        batch = Trace.from_columns(np.zeros(len(known)), jobs.input_tokens[known], lengths)

        def makespan(candidate: Candidate) -> float:
            policy: Policy = Policy("rehearsal", *candidate)
            try:
                return simulate(batch, jobs.hardware, policy, jobs.config).makespan
            except PolicyError:  # it does not get through these requests at all
                return float("inf")

        able = [c for c in self.candidates if jobs.hardware.step_time.mixed or not c[1].mixed]
        return min(able[: max(LEAST_TRIED, MOST_REPLAYED // len(known))], key=makespan)
