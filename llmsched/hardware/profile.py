"""A hardware profile: step times, engine defaults and where both came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, cast

from msgspec import UNSET, Struct

from llmsched.config import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware.capacity import kv_cache_tokens
from llmsched.hardware.document import MEMORY, Engine, ProfileFile
from llmsched.hardware.kinds import step_time_of, with_efficiencies
from llmsched.hardware.step_time import StepTime
from llmsched.schema import checked, within

Choice = Literal["named", "default", "assumed"]

ASSUMED = " (assumed; see `llmsched hardware list`)"
"""What a title says after the name of a profile that nobody chose."""


@dataclass(frozen=True)
class HardwareProfile:
    """What a step costs on some model, engine and device.

    Attributes
    ----------
    name : str
        Name for tables and records.
    step_time : StepTime
        Step times in seconds.
    engine : EngineConfig
        The engine's knobs unless the user says otherwise.
    provenance : mapping
        Where the numbers came from, how well they fit, and what is missing from them.
    document : mapping
        The whole YAML document with `extends` resolved; what a result records.
    model, gpu : mapping
        Shape of the model and datasheet of the device, as far as known.
    chosen : {"named", "default", "assumed"}
        Who chose it: the user; nobody, and it belongs to the default trace; nobody, for a trace
        that it may not fit at all.
    """

    name: str
    step_time: StepTime
    engine: EngineConfig = field(default_factory=EngineConfig)
    provenance: Mapping[str, object] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    gpu: Mapping[str, object] = field(default_factory=dict)
    chosen: Choice = "named"

    @property
    def title(self) -> str:
        """The name as a title says it."""
        return f"{self.name}{ASSUMED}" if self.chosen == "assumed" else self.name

    def read_only(self) -> HardwareProfile:
        """Return the same profile with mappings that nobody can change, however deep."""
        sections = ("provenance", "document", "model", "gpu")
        return replace(self, **{name: _fixed(getattr(self, name)) for name in sections})

    @property
    def way_out(self) -> str:
        """How an error message that blames the profile ends, where the user did not choose it."""
        if self.chosen == "named":
            return ""
        what = "assumed" if self.chosen == "assumed" else "the default"
        return f"; {self.name} is {what}: name another with --hardware"


def parse_profile(document: Mapping[str, object], source: str) -> HardwareProfile:
    """Validate a resolved document; `source` names it in messages.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value is not what the key takes.
    """
    found = checked(document, ProfileFile, source)
    model, gpu, engine = (
        _known(one) for one in (found.model, found.gpu, checked(found.engine, Engine))
    )
    # As vLLM, an engine takes what its model does; null says that it takes anything.
    engine["max_model_len"] = found.engine.get(
        "max_model_len", model.get("max_position_embeddings")
    )
    try:
        step_time = step_time_of(found.step_time, model, gpu, engine)
        if step_time.mixed:  # as vLLM does by default
            engine = {"enable_prefix_caching": True, **engine}
        config = _config(engine, model, gpu)
    except InputError as error:
        raise InputError(f"{source}: {error}") from error
    section = with_efficiencies(cast("Mapping[str, object]", document["step_time"]))
    record = {**document, "step_time": section}
    return HardwareProfile(found.name, step_time, config, found.provenance, record, model, gpu)


def _fixed(value: Any) -> Any:
    """Return a YAML value with read-only mappings for mappings and tuples for lists."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: _fixed(entry) for key, entry in value.items()})
    return tuple(map(_fixed, value)) if isinstance(value, list) else value


def _known(section: Struct) -> dict[str, Any]:
    """Return what a section says; null says that something is not known."""
    values = {name: getattr(section, name) for name in section.__struct_fields__}
    return {name: value for name, value in values.items() if value not in (None, UNSET)}


def _config(
    engine: Mapping[str, Any], model: Mapping[str, object], gpu: Mapping[str, object]
) -> EngineConfig:
    """Return the engine's knobs; `auto` is as many blocks as fit beside the weights."""
    knobs = {name: value for name, value in engine.items() if name not in MEMORY}
    if knobs.get("num_gpu_blocks") == "auto":
        tokens = kv_cache_tokens(model, gpu, engine)
        if tokens is None:
            needed = "the sizes of weights, KV cache and memory beside it"
            problem = f"expected {needed} for auto, got not all of them"
            raise InputError(f"engine.num_gpu_blocks: {problem}")
        knobs["num_gpu_blocks"] = tokens // int(knobs.get("block_size", 16))
    with within("engine"):
        return EngineConfig(**knobs)
