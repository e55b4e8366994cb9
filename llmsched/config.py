"""The engine's knobs, under the names vLLM gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from llmsched.errors import InputError
from llmsched.schema import check_fields

MOST = 2**30
"""Knobs above this are refused: products of two of them stay exact in 64 bits."""
MOST_IN_A_BLOCK = 2**16
"""Larger blocks are refused: the engine counts sequences by their place within a block."""

_Count = Annotated[int, Meta(ge=1, le=MOST)]
_Two = Annotated[int, Meta(ge=2, le=MOST)]
_RESERVE = Meta(pattern="^(none|max_output|ratio:(0|1|1[.]0|0?[.][0-9]+))$")


@dataclass(frozen=True)
class EngineConfig:
    """Limits and variants of the simulated engine.

    Attributes
    ----------
    max_num_seqs : int
        Slots: sequences that may run at once.
    max_num_batched_tokens : int or None
        Tokens one step may compute; None means no limit.
    block_size : int
        Tokens a KV-cache block holds.
    num_gpu_blocks : int or None
        KV-cache blocks of the device, one of which the engine reserves; None means no limit.
    watermark : float
        Share of the blocks that an admission must leave free while anything runs (vLLM).
    enable_prefix_caching : bool
        Whether blocks keep what was computed until they are needed for something else, so that a
        prompt that begins with the same tokens finds them (vLLM's automatic prefix caching). Only
        where the trace says who shares what: block ids, or sessions.
    async_scheduling : bool
        Whether a step is scheduled while the one before it is computed (vLLM): arrivals are seen,
        and slots freed, a step later. Only for rules of mixed steps.
    long_prefill_token_threshold : int
        Most prompt tokens one request may compute in a step while another runs or waits (vLLM v1);
        0 means no threshold. With `max_num_partial_prefills` above 1 it limits no step, and says
        which prompts are long.
    long_prefill_token_threshold_adaptive : bool
        Whether the threshold is no less than an even share of the budget for all who run and wait.
    prefill_schedule_interval : int
        Steps from one that computes prompts to the next that may, while anything decodes and the
        last one that might left nobody waiting for want of room.
    max_num_active_seqs : int or None
        Sequences that run at once, where that is fewer than `max_num_seqs`.
    max_num_partial_prefills, max_long_partial_prefills : int
        Prompts that share a step's budget evenly, so that so many may be begun and unfinished at
        once, and how many of them may be longer than the threshold: shorter ones pass those by.
        With 1 the first prompt takes all that it can use. Only steps that may cut prompts share;
        those that take the shortest first do not.
        These are the definitions of vLLM's v0 scheduler (PR 10235). v1 never had them: since PR
        13726 it fell back to v0 or refused, 0.19 to 0.24 refuse, 0.27 dropped them (PR 49244).
    admission : {"full_prompt", "first_chunk"}
        What must fit into the free blocks for a request to be admitted: all tokens known so far
        (vLLM v1) or only the first chunk.
    reserve : {"none", "max_output", "ratio:R"}
        Whether admission sets aside blocks for prompt and whole output, so that nothing is ever
        evicted (Orca, OSDI '22, algorithm 1; TensorRT-LLM's GUARANTEED_NO_EVICT), or admits
        greedily and preempts by recompute (vLLM; MAX_UTILIZATION). In between, an admission leaves
        room for the share R of what each running request's limit leaves it (SGLang's
        new_token_ratio, which schedule_conservativeness scales, held constant), and where that
        was too little the engine preempts. The output counted is the request's limit, never its
        true length, which nobody knows: `limits.output_limits`.
    victim : {"last_arrived", "longest_remaining", "least_urgent"}
        Which running sequence is preempted when blocks run out: the last one admitted (vLLM), the
        one with most predicted tokens to go (shortest remaining first; Schrage, 1968), or the first
        of those with the greatest priority that arrived last (vLLM's policy `priority`).
    max_output_tokens : int or None
        Output limit of requests that declare none.
    max_model_len : int or None
        Most tokens of prompt and output together, by default the profile's model's; None means no
        limit. A prompt that fills it is refused, an answer ends at it.
    max_num_queued_reqs : int or None
        Requests in the engine, waiting and running, at which one that arrives is refused; None
        means no limit. As vLLM 0.29 (pull request 49445): checked as the request arrives.
    max_num_queued_tokens : int or None
        The same for the prompt tokens of all requests that have no first token yet, whole prompts
        each; that of the request which arrives is not counted, so that a long one finds its turn.
    """

    max_num_seqs: _Count = 256
    max_num_batched_tokens: _Count | None = None
    block_size: Annotated[int, Meta(ge=1, le=MOST_IN_A_BLOCK)] = 16
    num_gpu_blocks: _Two | None = None
    watermark: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    enable_prefix_caching: bool = False
    async_scheduling: bool = False
    long_prefill_token_threshold: Annotated[int, Meta(ge=0, le=MOST)] = 0
    long_prefill_token_threshold_adaptive: bool = False
    prefill_schedule_interval: _Count = 1
    max_num_active_seqs: _Count | None = None
    max_num_partial_prefills: _Count = 1
    max_long_partial_prefills: _Count = 1
    admission: Literal["full_prompt", "first_chunk"] = "full_prompt"
    reserve: Annotated[str, _RESERVE] = "none"
    victim: Literal["last_arrived", "longest_remaining", "least_urgent"] = "last_arrived"
    max_output_tokens: _Count | None = None
    max_model_len: _Two | None = None
    max_num_queued_reqs: _Count | None = None
    max_num_queued_tokens: _Count | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        self._check_sharing()

    def _check_sharing(self) -> None:
        """Refuse knobs of shared prefills that contradict each other, as vLLM does."""
        most, long = self.max_num_partial_prefills, self.max_long_partial_prefills
        threshold, longest = self.long_prefill_token_threshold, self.max_model_len
        if long > most:
            what = f"at most {most}, max_num_partial_prefills"
            raise InputError(f"max_long_partial_prefills: expected {what}; got {long}")
        if most > 1 and not threshold:
            what = f"an integer >= 1 with max_num_partial_prefills {most}"
            raise InputError(f"long_prefill_token_threshold: expected {what}, got 0")
        if most > 1 and longest is not None and threshold > longest:
            what = f"at most {longest}, max_model_len"
            raise InputError(f"long_prefill_token_threshold: expected {what}; got {threshold}")

    @property
    def reserved_share(self) -> float:
        """Share of what a request's output limit leaves that an admission counts as taken."""
        if self.reserve == "none":
            return 0.0
        return float(self.reserve.partition(":")[2] or 1)

    @property
    def largest_chunk(self) -> int | None:
        """Most prompt tokens of one request in a step, beside the budget; None means no limit.

        Where prompts share the budget, the threshold says who is long and limits nobody.
        """
        shared = self.max_num_partial_prefills > 1
        return None if shared else self.long_prefill_token_threshold or None

    @property
    def usable_blocks(self) -> int | None:
        """Blocks that may hold tokens: one is reserved (vLLM's null block)."""
        return None if self.num_gpu_blocks is None else self.num_gpu_blocks - 1

    @property
    def spare_blocks(self) -> int:
        """Blocks that an admission leaves free while anything runs."""
        return int(self.watermark * (self.num_gpu_blocks or 0))

    @property
    def most_running(self) -> int:
        """Sequences that may run at once."""
        return min(self.max_num_seqs, self.max_num_active_seqs or self.max_num_seqs)

    @property
    def is_capped(self) -> bool:
        """Whether requests may be refused as they arrive."""
        return self.max_num_queued_reqs is not None or self.max_num_queued_tokens is not None

    @property
    def kv_room(self) -> int | None:
        """Tokens that the usable blocks hold."""
        return None if self.usable_blocks is None else self.usable_blocks * self.block_size
