"""The engine's knobs, under the names vLLM gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

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
        Share of the usable blocks that an admission must leave free (vLLM v0's watermark).
    long_prefill_token_threshold : int
        Most prompt tokens one request may compute in a step (vLLM v1); 0 means no threshold.
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
    victim : {"last_arrived", "longest_remaining"}
        Which running sequence is preempted when blocks run out: the last one admitted (vLLM), or
        the one with most predicted tokens to go (shortest remaining first; Schrage, 1968).
    max_output_tokens : int or None
        Output limit of requests that declare none.
    max_model_len : int or None
        Most tokens of prompt and output together, by default the profile's model's; None means no
        limit. A prompt that fills it is refused, an answer ends at it.
    """

    max_num_seqs: _Count = 256
    max_num_batched_tokens: _Count | None = None
    block_size: Annotated[int, Meta(ge=1, le=MOST_IN_A_BLOCK)] = 16
    num_gpu_blocks: _Two | None = None
    watermark: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    long_prefill_token_threshold: Annotated[int, Meta(ge=0, le=MOST)] = 0
    admission: Literal["full_prompt", "first_chunk"] = "full_prompt"
    reserve: Annotated[str, _RESERVE] = "none"
    victim: Literal["last_arrived", "longest_remaining"] = "last_arrived"
    max_output_tokens: _Count | None = None
    max_model_len: _Two | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def reserved_share(self) -> float:
        """Share of what a request's output limit leaves that an admission counts as taken."""
        if self.reserve == "none":
            return 0.0
        return float(self.reserve.partition(":")[2] or 1)

    @property
    def usable_blocks(self) -> int | None:
        """Blocks that may hold tokens: one is reserved (vLLM's null block)."""
        return None if self.num_gpu_blocks is None else self.num_gpu_blocks - 1

    @property
    def kv_room(self) -> int | None:
        """Tokens that the usable blocks hold."""
        return None if self.usable_blocks is None else self.usable_blocks * self.block_size
