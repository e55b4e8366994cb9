"""A hardware profile: step times, engine defaults and where both came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

from llmsched.engine.config import EngineConfig
from llmsched.errors import InputError
from llmsched.hardware.document import read_mapping
from llmsched.hardware.kinds import read_step_time
from llmsched.hardware.section import Section, shown
from llmsched.hardware.step_time import StepTime

_SHIPPED = Path(__file__).resolve().parent.parent / "data" / "hardware"

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
    """

    name: str
    step_time: StepTime
    engine: EngineConfig = field(default_factory=EngineConfig)
    provenance: Mapping[str, object] = field(default_factory=dict)
    document: Mapping[str, object] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    gpu: Mapping[str, object] = field(default_factory=dict)


def shipped_profiles() -> list[str]:
    """Return the names of the profiles that come with llmsched, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob("*.yaml"))


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """Load a shipped profile by name, or a YAML file by path.

    Raises
    ------
    InputError
        No such name or file, or a document that is not a valid profile: file, key and value.
    """
    path = _find(str(name_or_path))
    return parse_profile(read_mapping(path), str(path))


def parse_profile(document: Mapping[str, object], source: str) -> HardwareProfile:
    """Validate a resolved document; `source` names it in messages."""
    top = Section(source, "", document)
    version = top.integer("schema_version", least=1)
    if version != 1:
        raise top.expected("schema_version", "1", str(version))
    name = top.text("name")
    model = _facts(top.section("model"))
    gpu = _facts(top.section("gpu"))
    engine = _engine(top.section("engine"))
    step_time = read_step_time(top.section("step_time"))
    provenance = _plain(top, "provenance")
    top.close()
    return HardwareProfile(name, step_time, engine, provenance, document, model, gpu)


def _find(name: str) -> Path:
    shipped = _SHIPPED / f"{name}.yaml"
    if name in shipped_profiles():
        return shipped
    if Path(name).suffix in (".yaml", ".yml") or "/" in name or Path(name).is_file():
        return Path(name)
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


def _engine(section: Section) -> EngineConfig:
    """Read the engine's knobs; `EngineConfig` checks each value."""
    knobs = {}
    for knob in fields(EngineConfig):
        if knob.name in section:
            knobs[knob.name] = section.get(knob.name, "a value")
    _facts(section)
    try:
        return EngineConfig(**knobs)  # type: ignore[arg-type]  # checked in __post_init__
    except (InputError, TypeError) as error:
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
