"""The engine's knobs, under the names vLLM gives them."""

from __future__ import annotations

from dataclasses import dataclass

from llmsched.errors import InputError

MOST = 2**30
"""Knobs above this are refused: products of two of them stay exact in 64 bits."""
MOST_IN_A_BLOCK = 2**16
"""Larger blocks are refused: the engine counts sequences by their place within a block."""


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
    reserve : {"none", "max_output"}
        Whether admission sets aside blocks for prompt and whole output, so that nothing is ever
        evicted (Orca, OSDI '22, algorithm 1; TensorRT-LLM's GUARANTEED_NO_EVICT), or admits
        greedily and preempts by recompute (vLLM; MAX_UTILIZATION). The output reserved is the
        request's limit, never its true length, which nobody knows: `limits.output_limits`.
    victim : {"last_arrived", "longest_remaining"}
        Which running sequence is preempted when blocks run out: the last one admitted (vLLM), or
        the one with most predicted tokens to go (shortest remaining first; Schrage, 1968).
    max_output_tokens : int or None
        Output limit of requests that declare none.
    max_model_len : int or None
        Most tokens of prompt and output together; None means no limit.
    """

    max_num_seqs: int = 256
    max_num_batched_tokens: int | None = None
    block_size: int = 16
    num_gpu_blocks: int | None = None
    watermark: float = 0.0
    long_prefill_token_threshold: int = 0
    admission: str = "full_prompt"
    reserve: str = "none"
    victim: str = "last_arrived"
    max_output_tokens: int | None = None
    max_model_len: int | None = None

    def __post_init__(self) -> None:
        _at_least("max_num_seqs", self.max_num_seqs, 1)
        _at_least("block_size", self.block_size, 1, MOST_IN_A_BLOCK)
        _at_least("long_prefill_token_threshold", self.long_prefill_token_threshold, 0)
        if self.max_num_batched_tokens is not None:
            _at_least("max_num_batched_tokens", self.max_num_batched_tokens, 1)
        if self.num_gpu_blocks is not None:
            _at_least("num_gpu_blocks", self.num_gpu_blocks, 2)
        if self.max_output_tokens is not None:
            _at_least("max_output_tokens", self.max_output_tokens, 1)
        if self.max_model_len is not None:
            _at_least("max_model_len", self.max_model_len, 2)
        if not isinstance(self.watermark, int | float) or not 0 <= self.watermark < 1:
            raise InputError(f"watermark: expected a number in [0, 1), got {self.watermark!r}")
        _one_of("admission", self.admission, ("full_prompt", "first_chunk"))
        _one_of("reserve", self.reserve, ("none", "max_output"))
        _one_of("victim", self.victim, ("last_arrived", "longest_remaining"))

    @property
    def usable_blocks(self) -> int | None:
        """Blocks that may hold tokens: one is reserved (vLLM's null block)."""
        return None if self.num_gpu_blocks is None else self.num_gpu_blocks - 1

    @property
    def kv_room(self) -> int | None:
        """Tokens that the usable blocks hold."""
        return None if self.usable_blocks is None else self.usable_blocks * self.block_size


def _at_least(name: str, value: object, least: int, most: int = MOST) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}: expected an integer >= {least}, got {value!r}")
    if value > most:
        raise InputError(f"{name}: expected an integer <= {most}, got {value}")


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name}: expected one of {', '.join(choices)}; got {value!r}")
