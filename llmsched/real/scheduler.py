"""The scheduler of the installed vLLM, without a model, a GPU or a server.

vLLM's own configuration and scheduler objects, with a stand-in for the model of which the scheduler
asks a handful of facts. Whoever drives it says when a step has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

from llmsched.errors import InputError
from llmsched.real.installed import installed_version, load

_OURS = {"usable_blocks", "num_gpu_blocks", "block_size", "enable_prefix_caching"}
"""What a recording's `config` has that is no field of vLLM's `SchedulerConfig`."""

STOP = 0
"""The token that ends an answer."""


@dataclass(frozen=True, eq=False)
class Scheduled:
    """What one call of the scheduler decided; without tokens, nothing runs.

    Attributes
    ----------
    tokens : mapping of int to int
        Tokens by request, in the scheduler's order.
    computed : mapping of int to int
        How many of each request's tokens were computed, or found in the cache, before.
    decodes : frozenset of int
        Whose only token is its newest one.
    admitted : tuple of int
        Who was not running before.
    preempted : tuple of int
        Who lost its place.
    sampled : frozenset of int
        Who gets a token when the step ends.
    output : object
        vLLM's own `SchedulerOutput`.
    """

    tokens: Mapping[int, int]
    computed: Mapping[int, int]
    decodes: frozenset[int]
    admitted: tuple[int, ...]
    preempted: tuple[int, ...]
    sampled: frozenset[int]
    output: Any

    @property
    def counts(self) -> tuple[int, int, int]:
        """Prefill tokens, decoding sequences, and the KV tokens that those read."""
        prefill = sum(n for number, n in self.tokens.items() if number not in self.decodes)
        return prefill, len(self.decodes), sum(self.computed[number] for number in self.decodes)


class RealScheduler:
    """vLLM's scheduler, fed with requests that have a number and a list of tokens.

    Parameters
    ----------
    config : mapping
        Knobs by vLLM's names, as in a recording's `config`.
    longest : int
        Most tokens of any request, prompt and output.
    scheduler_cls : type, optional
        Another scheduler of vLLM's kind.
    additional_config : mapping, optional
        What that one is told.

    Raises
    ------
    InputError
        vLLM is not installed, or its version has no such knob.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        longest: int,
        scheduler_cls: type | None = None,
        additional_config: Mapping[str, Any] | None = None,
    ) -> None:
        caching = bool(config.get("enable_prefix_caching", False))
        knobs = {name: value for name, value in config.items() if name not in _OURS}
        knobs.setdefault("async_scheduling", False)
        blocks, size = int(config["num_gpu_blocks"]), int(config["block_size"])
        longest = max(
            longest + 2,  # so long a context that nothing is ever cut, or refused for it
            knobs.get("long_prefill_token_threshold", 0),
            knobs["max_num_batched_tokens"],
        )
        vllm_config = _configured(knobs, blocks, size, caching, longest)
        vllm_config.additional_config = dict(additional_config or {})
        self.batches: int = vllm_config.max_concurrent_batches
        self._hasher = _hasher(vllm_config, size) if caching else None
        if scheduler_cls is None:
            scheduler_cls = vllm_config.scheduler_config.get_scheduler_cls()
        self.scheduler: Any = scheduler_cls(
            vllm_config=vllm_config,
            kv_cache_config=_kv_cache(blocks, size),
            structured_output_manager=SimpleNamespace(accept_tokens=lambda request, tokens: True),
            block_size=size,
        )
        self._tokens: dict[int, Sequence[int]] = {}
        self._requests: dict[int, Any] = {}
        self._new_request: Any = load("v1.request").Request
        self._sampling: Any = load("sampling_params").SamplingParams
        self._runner_output: Any = load("v1.outputs").ModelRunnerOutput

    def add(
        self,
        number: int,
        arrival: float,
        tokens: Sequence[int],
        prompt: int,
        *,
        most: int | None = None,
        **fields: Any,
    ) -> None:
        """Let a request arrive.

        Parameters
        ----------
        number : int
            Its name, as text, is the last that decides between equals.
        tokens : sequence of int
            Of prompt and output; an output token is given away when a step has computed it.
        prompt : int
            How many of them are the prompt.
        most : int, optional
            Output tokens at which it ends if nothing ends it before; those of `tokens`.
        fields
            More of vLLM's `Request`: `priority`, `request_id`.
        """
        output = len(tokens) - prompt if most is None else most
        fields.setdefault("request_id", str(number))
        request = self._new_request(
            prompt_token_ids=list(tokens[:prompt]),
            sampling_params=self._sampling(
                max_tokens=output, ignore_eos=True, stop_token_ids=[STOP]
            ),
            pooling_params=None,
            arrival_time=arrival,
            block_hasher=self._hasher,
            **fields,
        )
        self._tokens[number], self._requests[number] = tokens, request
        request.llmsched_number = number
        self.scheduler.add_request(request)

    @property
    def has_requests(self) -> bool:
        """Whether there is anything to ask the scheduler for."""
        return bool(self.scheduler.has_requests())

    @property
    def counts(self) -> tuple[int, int]:
        """How many run and how many wait."""
        running, waiting = self.scheduler.get_request_counts()
        return running, waiting

    def preemptions(self, number: int) -> int:
        """Return how often a request has lost its place."""
        return int(self._requests[number].num_preemptions)

    def computed(self, number: int) -> int:
        """Return how many tokens of a request have been computed."""
        return int(self._requests[number].num_computed_tokens)

    def schedule(self) -> Scheduled:
        """Ask for the next step."""
        before = {request.llmsched_number for request in self.scheduler.running}
        output = self.scheduler.schedule()
        after = {request.llmsched_number for request in self.scheduler.running}
        live = self.scheduler.requests
        tokens: dict[int, int] = {}
        computed: dict[int, int] = {}
        decodes, sampled = set(), set()
        for name, n in output.num_scheduled_tokens.items():
            request = live[name]
            number = request.llmsched_number
            tokens[number], computed[number] = n, request.num_computed_tokens - n
            coming = request.num_output_placeholders
            if not request.is_prefill_chunk:
                sampled.add(number)
                coming -= coming > 0  # asynchronous: the one that this very step will bring
            left = request.num_tokens + coming - computed[number]
            if left == 1 and request.num_output_tokens + coming:
                decodes.add(number)
        return Scheduled(
            tokens,
            computed,
            frozenset(decodes),
            tuple(number for number in tokens if number not in before),
            tuple(sorted(before - after)),
            frozenset(sampled),
            output,
        )

    def deliver(self, step: Scheduled, ended: Collection[int] = ()) -> tuple[list[int], list[int]]:
        """Apply the output of a step; return who got a token by it, and who finished.

        Parameters
        ----------
        ended : collection of int
            Whose token is the last, before the limit.
        """
        live = self.scheduler.requests
        names = list(step.output.num_scheduled_tokens)
        sampled = [
            [STOP if number in ended else self._next_token(number)]
            if number in step.sampled
            else []
            for number in step.tokens
        ]
        places = {name: place for place, name in enumerate(names)}
        numbers = {name: live[name].llmsched_number for name in names if name in live}
        result = self.scheduler.update_from_output(
            step.output, self._runner_output(names, places, sampled)
        )
        got: list[int] = []
        finished: list[int] = []
        for outputs in result.values():
            for output in outputs.outputs:
                if output.new_token_ids:
                    got.append(numbers[output.request_id])
                if output.finish_reason is not None:
                    finished.append(numbers[output.request_id])
        return got, finished

    def _next_token(self, number: int) -> int:
        tokens, known = self._tokens[number], int(self._requests[number].num_tokens)
        return tokens[min(known, len(tokens) - 1)]


def _configured(
    knobs: Mapping[str, Any], blocks: int, size: int, caching: bool, longest: int
) -> Any:
    """Return vLLM's configuration of everything but a model, and a stand-in for that."""
    config = load("config")
    known = {field.name for field in fields(config.SchedulerConfig)}
    for name in knobs:
        if name not in known:
            raise InputError(f"config.{name}: vLLM {installed_version()} has no such knob")
    try:
        scheduler = config.SchedulerConfig(max_model_len=longest, is_encoder_decoder=False, **knobs)
        cache = config.CacheConfig(block_size=size, enable_prefix_caching=caching)
    except ValueError as error:
        raise InputError(f"config: vLLM {installed_version()} refuses: {error}") from error
    cache.num_gpu_blocks = blocks
    whole = config.VllmConfig(
        scheduler_config=scheduler,
        cache_config=cache,
        device_config=config.DeviceConfig(device="cpu"),
    )
    whole.model_config = SimpleNamespace(
        max_model_len=longest,
        runner_type="generate",
        is_encoder_decoder=False,
        is_diffusion=False,
        multimodal_config=None,
        return_sampling_mask=False,
        supports_multimodal_inputs=False,
        uses_mrope=False,
    )
    return whole


def _kv_cache(blocks: int, size: int) -> Any:
    """Return the description of a KV cache with one kind of layer, which holds every token."""
    kinds = load("v1.kv_cache_interface")
    spec = kinds.FullAttentionSpec(
        block_size=size, num_kv_heads=1, head_size=1, dtype=kinds.torch.float32
    )
    groups = [kinds.KVCacheGroupSpec(["layer"], spec)]
    return kinds.KVCacheConfig(num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=groups)


def _hasher(vllm_config: Any, size: int) -> Any:
    """Return what names a request's full blocks by all tokens up to their end."""
    utils = load("v1.core.kv_cache_utils")
    algorithm = vllm_config.cache_config.prefix_caching_hash_algo
    hash_function = load("utils.hashing").get_hash_fn_by_name(algorithm)
    utils.init_none_hash(hash_function)
    return utils.get_request_block_hasher(size, hash_function)
