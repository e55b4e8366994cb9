"""The batching rule of the installed vLLM itself, asked at every decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from llmsched.config import EngineConfig
from llmsched.contract import Decide, Step, View
from llmsched.errors import InputError, PolicyError
from llmsched.real.scheduler import RealScheduler, Scheduled

LONGEST = 1 << 24
"""Tokens of a context that no request reaches."""

_SAME = (
    "max_num_seqs",
    "max_num_batched_tokens",
    "num_gpu_blocks",
    "block_size",
    "watermark",
    "long_prefill_token_threshold",
    "long_prefill_token_threshold_adaptive",
    "max_num_active_seqs",
)
"""Knobs that this engine has from vLLM, under the same names."""

_ITS_DEFAULT = (
    "enable_prefix_caching",
    "async_scheduling",
    "prefill_schedule_interval",
    "max_num_partial_prefills",
    "reserve",
    "victim",
    "max_num_queued_reqs",
    "max_num_queued_tokens",
)
"""Knobs that say something to this engine which the rule cannot say to the scheduler."""


@dataclass(frozen=True)
class Real:
    """What the scheduler of the installed vLLM decides; the engine only carries it out."""

    mixed: ClassVar[bool] = True

    def start(self, view: View) -> Decide:
        return _Asked(view).decide


class _Asked:
    """vLLM's scheduler beside an engine: told of arrivals and of outputs, asked for steps."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._scheduler = RealScheduler(_knobs(view.config), LONGEST)
        self._step: Scheduled | None = None
        self._known = 0

    def decide(self) -> Step:
        decoding = self._tell()
        step = self._scheduler.schedule()
        while not step.tokens:  # whom it just preempted finds room, or nobody ever does
            if not step.preempted:
                raise PolicyError("vLLM's scheduler has nobody to schedule")
            self._scheduler.deliver(step)
            decoding -= set(step.preempted)
            step = self._scheduler.schedule()
        self._step = step
        going_on = decoding - set(step.preempted)
        if left := going_on - step.tokens.keys():
            raise PolicyError(f"vLLM's scheduler lets request {min(left)} pause, which none can")
        chunks = tuple((who, tokens) for who, tokens in step.tokens.items() if who not in going_on)
        return Step(
            prefill=bool(chunks),
            decode=bool(going_on),
            rounds=1,
            preempt=step.preempted,
            chunks=chunks or None,
        )

    def _tell(self) -> set[int]:
        """Tell of what the last step brought and of who has arrived; return who decodes."""
        view, jobs = self._view, self._view.jobs
        running = {each.request: each for each in view.sequences()}
        if self._step is not None:
            ended = self._step.sampled - running.keys()
            self._scheduler.deliver(self._step, ended)
            for who in self._step.tokens.keys() - ended:
                self._compare(who, running[who].computed_tokens if who in running else 0)
        for who in range(self._known, len(jobs)):
            prompt, most = int(jobs.input_tokens[who]), int(jobs.max_output_tokens[who])
            self._scheduler.add(who, float(jobs.arrival[who]), [1] * prompt, prompt, most=most)
        self._known = len(jobs)
        return {who for who, each in running.items() if each.decoding}

    def _compare(self, who: int, held: int) -> None:
        """Refuse to go on where the two have come apart."""
        computed = self._scheduler.computed(who)
        if computed != held:
            raise PolicyError(
                f"request {who}: vLLM's scheduler has computed {computed} tokens, the engine {held}"
            )


def _knobs(config: EngineConfig) -> dict[str, Any]:
    """Return vLLM's knobs for an engine's.

    Raises
    ------
    InputError
        One is missing that vLLM cannot do without, or set that the rule cannot pass on.
    """
    for name in ("max_num_batched_tokens", "num_gpu_blocks"):
        if getattr(config, name) is None:
            raise InputError(f"{name}: vllm-real needs a number")
    plain = EngineConfig()
    for name in _ITS_DEFAULT:
        if getattr(config, name) != getattr(plain, name):
            raise InputError(f"{name}: vllm-real cannot have it; policy vllm can")
    knobs = {name: getattr(config, name) for name in _SAME}
    knobs["scheduler_reserve_full_isl"] = config.admission == "full_prompt"
    return knobs
