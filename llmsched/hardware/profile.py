"""A hardware profile: step times, engine defaults and where both came from."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, cast

from llmsched.config import EngineConfig
from llmsched.documents.section import Section, shown
from llmsched.errors import InputError
from llmsched.hardware.capacity import kv_cache_tokens
from llmsched.hardware.extends import read_extended
from llmsched.hardware.fitted import read_fitted
from llmsched.hardware.kinds import read_step_time, with_efficiencies
from llmsched.hardware.plausibility import implausible
from llmsched.hardware.step_time import StepTime

_LOG = logging.getLogger(__name__)

_SHIPPED = Path(__file__).resolve().parent.parent / "data" / "hardware"

Choice = Literal["named", "default", "assumed"]

ASSUMED = " (assumed; see `llmsched hardware list`)"
"""What a title says after the name of a profile that nobody chose."""

_COUNTS = {
    "model": (
        "num_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "hidden_size",
        "intermediate_size",
        "weight_bytes",
        "kv_bytes_per_token",
    ),
    "gpu": ("count", "total_memory_bytes"),
    "engine": ("tensor_parallel_size", "memory_overhead_bytes", "kv_cache_tokens"),
}
_QUANTITIES = {
    "model": (),
    "gpu": (
        "memory_gib",
        "peak_flops_bf16",
        "hbm_bandwidth",
        "interconnect_bandwidth",
        "cost_per_hour",
    ),
    "engine": ("gpu_memory_utilization",),
}


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

    @property
    def way_out(self) -> str:
        """How an error message that blames the profile ends, where the user did not choose it."""
        if self.chosen == "named":
            return ""
        what = "assumed" if self.chosen == "assumed" else "the default"
        return f"; {self.name} is {what}: name another with --hardware"


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with llmsched, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """Load a shipped profile by name, or a YAML file by path.

    Numbers that look like a mistake of units are logged as warnings, one line each.

    Raises
    ------
    InputError
        No such name or file, or a document that is not a valid profile: file, key and value.

    Examples
    --------
    >>> load_profile("llama65b-8gpu-paper").engine.max_num_seqs
    200
    """
    path = _find(str(name_or_path))
    profile = parse_profile(read_extended(path, _find), str(path))
    for line in implausible(profile):
        _LOG.warning("warning: %s", line)
    return profile


def parse_profile(document: Mapping[str, object], source: str) -> HardwareProfile:
    """Validate a resolved document; `source` names it in messages.

    Raises
    ------
    InputError
        A key is unknown or missing, or a value is not what the key takes.
    """
    top = Section(source, "", document)
    version = top.integer("schema_version", least=1)
    if version != 1:
        raise top.expected("schema_version", "1", str(version))
    name = top.text("name")
    model = _facts(top.section("model"))
    gpu = _facts(top.section("gpu"))
    engine, knobs = _engine(top.section("engine"), model, gpu)
    facts = {"model": model, "gpu": gpu, "engine": knobs}
    step_time = read_step_time(top.section("step_time", required=True), facts)
    provenance = _plain(top, "provenance")
    read_fitted(top.section("provenance"))
    top.close()
    section = with_efficiencies(cast("Mapping[str, object]", document["step_time"]))
    record = {**document, "step_time": section}
    return HardwareProfile(name, step_time, engine, provenance, record, model, gpu)


def _find(name: str, folder: Path = Path()) -> Path:
    shipped = _SHIPPED / f"{name}.yaml"
    if name in shipped_profiles():
        return shipped
    path = folder / name
    if path.suffix in (".yaml", ".yml") or "/" in name or path.is_file():
        return path
    near = get_close_matches(name, shipped_profiles(), n=3, cutoff=0.4)
    hint = f"; the closest are {', '.join(near)}" if near else ""
    raise InputError(
        f"hardware: expected a shipped profile or a YAML file, got {name!r}{hint} "
        "(llmsched hardware list shows all)"
    )


def _facts(section: Section) -> Mapping[str, object]:
    """Read the optional positive numbers of a section, and its name."""
    facts: dict[str, object] = {"name": section.text("name")} if "name" in section else {}
    for key in _COUNTS[section.path]:
        facts[key] = section.integer_or_none(key, least=0 if key.endswith("overhead_bytes") else 1)
    for key in _QUANTITIES[section.path]:
        facts[key] = section.number_or_none(key, above=0.0)
    section.close()
    return {key: value for key, value in facts.items() if value is not None}


def _engine(
    section: Section, model: Mapping[str, object], gpu: Mapping[str, object]
) -> tuple[EngineConfig, Mapping[str, object]]:
    """Read the engine's knobs, which `EngineConfig` checks, and the facts about memory."""
    knobs: dict[str, Any] = {}
    for knob in fields(EngineConfig):
        if knob.name in section:
            knobs[knob.name] = section.get(knob.name, "a value")
    if "watermark" in knobs:
        knobs["watermark"] = section.number("watermark")
    memory = _facts(section)
    if knobs.get("num_gpu_blocks") == "auto":
        tokens = kv_cache_tokens(model, gpu, memory)
        if tokens is None:
            needed = "the sizes of weights, KV cache and memory beside it"
            raise section.expected("num_gpu_blocks", f"{needed} for auto", "not all of them")
        knobs["num_gpu_blocks"] = tokens // int(knobs.get("block_size", 16))
    try:
        return EngineConfig(**knobs), memory
    except InputError as error:
        raise InputError(f"{section.source}: {section.path}.{error}") from error


def _plain(top: Section, key: str) -> Mapping[str, object]:
    """Return a free-form mapping, which a JSON record must be able to hold."""
    if key not in top:
        return {}
    value = top.get(key, "a mapping")
    if not isinstance(value, Mapping):
        raise top.expected(key, "a mapping", shown(value))
    _check_plain(top, key, value)
    return value


def _check_plain(top: Section, key: str, value: object) -> None:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            _check_plain(top, f"{key}.{inner}", item)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_plain(top, f"{key}[{i}]", item)
    elif isinstance(value, float) and not abs(value) < float("inf"):
        raise top.expected(key, "a finite number", shown(value))
    elif not isinstance(value, str | int | float | None):
        raise top.expected(key, "text, number, list or mapping", shown(value))
