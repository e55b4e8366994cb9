"""What a profile's YAML file may hold: every section but the prices, which are `kinds.py`'s."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from llmsched.config import MOST, EngineConfig
from llmsched.errors import InputError
from llmsched.hardware.kinds import Section, StepTimes
from llmsched.schema import Named, checked, keys_of, some_of, within

_Count = Annotated[int, Meta(ge=1, le=2**60)]
_Quantity = Annotated[float, Meta(gt=0, le=1e30)]
_Rate = Annotated[float, Meta(ge=1, le=1e30)]
_Range = list[Annotated[int, Meta(ge=0)]]

_MEMORY: dict[str, Any] = {
    "tensor_parallel_size": Annotated[int, Meta(ge=1, le=2**20)] | None,
    "memory_overhead_bytes": Annotated[int, Meta(ge=0, le=2**60)] | None,
    "kv_cache_tokens": _Count | None,
    "gpu_memory_utilization": Annotated[float, Meta(gt=0, le=1)] | None,
}
Engine = some_of(
    EngineConfig,
    num_gpu_blocks=Annotated[int, Meta(ge=2, le=MOST)] | Literal["auto"] | None,
    **_MEMORY,
)
"""The engine's knobs, and the facts about memory that `num_gpu_blocks: auto` needs."""

MEMORY = tuple(_MEMORY)


class Model(Section, frozen=True, kw_only=True):
    """Shape of the model, as far as known."""

    name: Named | None = None
    num_layers: _Count | None = None
    num_attention_heads: _Count | None = None
    num_key_value_heads: _Count | None = None
    head_dim: _Count | None = None
    hidden_size: _Count | None = None
    intermediate_size: _Count | None = None
    weight_bytes: _Count | None = None
    kv_bytes_per_token: _Count | None = None
    max_position_embeddings: (
        Annotated[_Count, Meta(description="Its context: the engine's max_model_len.")] | None
    ) = None


class Gpu(Section, frozen=True, kw_only=True):
    """Datasheet of the device, as far as known; rates a second."""

    name: Named | None = None
    count: _Count | None = None
    total_memory_bytes: _Count | None = None
    memory_gib: _Quantity | None = None
    peak_flops_bf16: _Rate | None = None
    hbm_bandwidth: _Rate | None = None
    interconnect_bandwidth: _Rate | None = None
    cost_per_hour: _Quantity | None = None


class Fitted(Section, frozen=True, kw_only=True):
    """Steps that a profile was fitted to: two integers each, the least first."""

    tokens: _Range | None = None
    prefill_tokens: _Range | None = None
    sequences: _Range | None = None
    kv_tokens: _Range | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            ends = getattr(self, name)
            if ends is not None and (len(ends) != 2 or ends[0] > ends[1]):
                what = "two integers >= 0, the least first"
                raise InputError(f"{name}: expected {what}, got {ends}")


class ProfileFile(Section, frozen=True, kw_only=True):
    """A profile; prices are in ms."""

    schema_version: Literal[1]
    name: Named
    model: Model = Model()
    gpu: Gpu = Gpu()
    engine: Annotated[dict[str, Any], keys_of(Engine)] = field(default_factory=dict)
    step_time: StepTimes
    provenance: Annotated[
        dict[str, Any], Meta(description="Where the numbers came from: status, method, fitted ...")
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with within("engine"):
            checked(self.engine, Engine)
        with within("provenance.fitted"):
            checked(self.provenance.get("fitted", {}), Fitted)


class Extension(Section, frozen=True, kw_only=True):
    """A profile that takes another one and overrides some of its fields."""

    extends: Annotated[Named, Meta(description="A shipped profile's name, or a file.")]
    name: Named
    schema_version: Literal[1] = 1
    model: dict[str, Any] = field(default_factory=dict)
    gpu: dict[str, Any] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    step_time: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
