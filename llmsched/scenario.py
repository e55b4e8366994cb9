"""A scenario: what one comparison runs, as a strict YAML file.

Wherever a scenario may vary (`trace`, `hardware`, each engine knob, `lengths`) it takes one value
or a list; the comparison runs the product. Nothing is loaded here beyond the YAML itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from llmsched.config import EngineConfig
from llmsched.documents.section import Section, shown
from llmsched.documents.yaml import read_mapping
from llmsched.errors import InputError
from llmsched.hardware.profile import Choice

SCHEMA_VERSION = 1
DRAWS = ("bootstrap", "lengths", "synthetic")

Knob = int | float | str | None
_T = TypeVar("_T")


@dataclass(frozen=True)
class TraceSource:
    """Where a trace comes from and how to read it.

    Attributes
    ----------
    file : str or None
        Path or shipped name; None for a synthetic trace.
    generate : mapping
        What `synthesize.generate` takes, for a synthetic trace.
    options : mapping
        What `importers.TraceOptions` takes: format, limit, speed, offline ...
    name : str or None
        Label in tables; the trace's own name if None.
    concurrency : int or None
        Closed loop of that many users instead of the arrivals.
    plan : str or None
        Saved plan that says which replica runs which request (``llmsched plan --replicas``).
    """

    file: str | None = None
    generate: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)
    name: str | None = None
    concurrency: int | None = None
    plan: str | None = None

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise InputError(f"concurrency: expected an integer >= 1, got {self.concurrency}")
        if self.concurrency is not None and self.plan is not None:
            raise InputError("concurrency: expected without a plan, which says who runs where")


@dataclass(frozen=True)
class HardwareSource:
    """A profile by name or file, with fields that differ from it.

    Attributes
    ----------
    profile : str
        Shipped name or path.
    override : mapping
        Fields of the profile's document to replace, nested as there.
    name : str or None
        Label in tables; the profile's own name if None.
    chosen : {"named", "default", "assumed"}
        As in `HardwareProfile`.
    """

    profile: str
    override: Mapping[str, object] = field(default_factory=dict)
    name: str | None = None
    chosen: Choice = "named"


@dataclass(frozen=True)
class Published:
    """A row that somebody published, shown beneath the simulated ones and never mixed with them."""

    policy: str
    metrics: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class Member:
    """Another reconstruction of what the scenario reconstructs: it fits the same known figures.

    Attributes
    ----------
    name : str
        What sets it apart from the others.
    hardware : HardwareSource
        Its profile.
    trace : TraceSource or None
        Its requests; the scenario's own if None.
    """

    name: str
    hardware: HardwareSource
    trace: TraceSource | None = None


@dataclass(frozen=True)
class Cases:
    """How many cases a study draws, and what differs from case to case.

    Attributes
    ----------
    count : int
        Cases, each run under every policy.
    draw : {"bootstrap", "lengths", "synthetic"}
        Resample the trace's rows, redraw only the error of the predicted lengths, or generate the
        synthetic trace from another seed.
    """

    count: int
    draw: str = "bootstrap"

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 2:
            raise InputError(f"cases: expected an integer >= 2, got {self.count!r}")
        if self.draw not in DRAWS:
            raise InputError(f"draw: expected one of {', '.join(DRAWS)}; got {self.draw!r}")


@dataclass(frozen=True)
class Scenario:
    """One comparison.

    Empty `policies` means all that the hardware can run, empty `lengths` what each trace has:
    its own predictions, or else the truth.

    Where an experiment is known by a few figures alone, many reconstructions fit them: the
    `family`. What one of them predicts is worth no more than what all of them agree on.
    """

    name: str
    traces: tuple[TraceSource, ...]
    hardware: tuple[HardwareSource, ...]
    engine: Mapping[str, tuple[Knob, ...]] = field(default_factory=dict)
    policies: tuple[str, ...] = ()
    lengths: tuple[str, ...] = ()
    seed: int = 0
    baseline: str | None = None
    slo: Mapping[str, float] = field(default_factory=dict)
    gates: tuple[str, ...] = ()
    cases: Cases | None = None
    published: tuple[Published, ...] = ()
    family: tuple[Member, ...] = ()
    note: str = ""
    source: str = "scenario"

    @property
    def is_file(self) -> bool:
        """Whether a file says it; else it was made around a trace."""
        return self.source != Scenario.source

    @property
    def folder(self) -> Path:
        """Where relative files that the scenario names are looked for first."""
        return Path(self.source).parent


def load_scenario(path: str | Path) -> Scenario:
    """Read a scenario file.

    Raises
    ------
    InputError
        The file cannot be read, a key is unknown, missing or given twice, or a value is not what
        the key takes; the message names file, key and value.
    """
    return parse_scenario(read_mapping(Path(path)), str(path))


def parse_scenario(document: Mapping[str, object], source: str) -> Scenario:
    """Validate a scenario; `source` names it in messages, and relative paths start beside it."""
    top = Section(source, "", document)
    version = top.integer("schema_version", least=1)
    if version != SCHEMA_VERSION:
        raise top.expected("schema_version", str(SCHEMA_VERSION), str(version))
    beside = Path(source).parent
    scenario = Scenario(
        name=top.text("name"),
        traces=_each(top, "trace", lambda where, value: _trace(where, value, beside)),
        hardware=_each(top, "hardware", lambda where, value: _hardware(where, value, beside)),
        engine=_engine(top.section("engine")),
        policies=_texts(top, "policies"),
        lengths=_texts(top, "lengths"),
        seed=top.integer("seed", 0),
        baseline=top.text("baseline") if "baseline" in top else None,
        slo=_numbers(top, "slo"),
        gates=_texts(top, "gates"),
        cases=_cases(top.section("cases")) if "cases" in top else None,
        published=_each(top, "published", _published) if "published" in top else (),
        family=_family(top, beside) if "family" in top else (),
        note=top.text("note") if "note" in top else "",
        source=source,
    )
    top.close()
    return scenario


def _each(top: Section, key: str, read: Callable[[Section, object], _T]) -> tuple[_T, ...]:
    """Read one value or a list of at least one; `read` is told the place of each."""
    given = top.get(key, "a value or a list")
    values = given if isinstance(given, list) else [given]
    if not values:
        raise top.expected(key, "at least one value", "an empty list")
    places = [f"{key}[{i}]" if isinstance(given, list) else key for i in range(len(values))]
    return tuple(
        read(Section(top.source, place, value if isinstance(value, Mapping) else {}), value)
        for place, value in zip(places, values, strict=True)
    )


def _texts(top: Section, key: str) -> tuple[str, ...]:
    if key not in top:
        return ()
    values = _each(top, key, lambda where, value: _text(where, value))
    for i, value in enumerate(values):
        if value in values[:i]:
            raise top.expected(key, "each value once", f"{value!r} twice")
    return values


def _text(where: Section, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"{where.source}: {where.path}: expected a text, got {shown(value)}")
    return value


def _trace(where: Section, value: object, beside: Path) -> TraceSource:
    if isinstance(value, str) and value:
        return TraceSource(file=_beside(value, beside))
    _expect_mapping(where, value, "a file, a shipped name or a mapping")
    if "generate" in where:
        generate = dict(_free(where, "generate"))
        if isinstance(like := generate.get("like"), str):
            generate["like"] = _beside(like, beside)
        name = where.text("name", "synthetic")
        users = where.integer("concurrency", least=1) if "concurrency" in where else None
        where.close()
        return TraceSource(generate=generate, name=name, concurrency=users)
    source = TraceSource(
        file=_beside(where.text("file"), beside),
        options=_free(where, "options"),
        name=where.text("name") if "name" in where else None,
        concurrency=where.integer("concurrency", least=1) if "concurrency" in where else None,
        plan=_beside(where.text("plan"), beside) if "plan" in where else None,
    )
    where.close()
    return source


def _hardware(where: Section, value: object, beside: Path) -> HardwareSource:
    if isinstance(value, str) and value:
        return HardwareSource(_beside(value, beside))
    _expect_mapping(where, value, "a profile's name, a file or a mapping")
    source = HardwareSource(
        profile=_beside(where.text("profile"), beside),
        override=_free(where, "override"),
        name=where.text("name") if "name" in where else None,
    )
    where.close()
    return source


def _published(where: Section, value: object) -> Published:
    _expect_mapping(where, value, "a mapping")
    row = Published(
        policy=where.text("policy"),
        metrics=_numbers(where, "metrics"),
        source=where.text("source"),
    )
    where.close()
    return row


def _family(top: Section, beside: Path) -> tuple[Member, ...]:
    def member(where: Section, value: object) -> Member:
        _expect_mapping(where, value, "a mapping")
        found = Member(
            name=where.text("name"),
            hardware=_inner(where, "hardware", _hardware, beside),
            trace=_inner(where, "trace", _trace, beside) if "trace" in where else None,
        )
        where.close()
        return found

    members = _each(top, "family", member)
    for i, name in enumerate(names := [member.name for member in members]):
        if name in names[:i]:
            raise top.expected("family", "each name once", f"{name!r} twice")
    return members


def _inner(
    where: Section, key: str, read: Callable[[Section, object, Path], _T], beside: Path
) -> _T:
    """Read the one value of a key, which may be a mapping."""
    value = where.get(key, "a value")
    inside = Section(where.source, f"{where.path}.{key}", value if isinstance(value, dict) else {})
    return read(inside, value, beside)


def _cases(where: Section) -> Cases:
    count, draw = where.integer("count", least=2), where.text("draw", "bootstrap")
    if draw not in DRAWS:
        raise where.expected("draw", f"one of {', '.join(DRAWS)}", repr(draw))
    where.close()
    return Cases(count, draw)


def _engine(where: Section) -> dict[str, tuple[Knob, ...]]:
    """Read engine knobs; `EngineConfig` checks each value, so that there is one place to do it."""
    knobs: dict[str, tuple[Knob, ...]] = {}
    for knob in fields(EngineConfig):
        if knob.name not in where:
            continue
        given = where.get(knob.name, "a value or a list")
        values = tuple(given) if isinstance(given, list) else (given,)
        if not values:
            raise where.expected(knob.name, "at least one value", "an empty list")
        for value in values:
            try:
                EngineConfig(**{knob.name: value})
            except InputError as error:
                raise InputError(f"{where.source}: {where.path}.{error}") from error
            except TypeError as error:
                raise where.expected(knob.name, "a number", shown(value)) from error
        knobs[knob.name] = values
    where.close()
    return knobs


def _numbers(where: Section, key: str) -> dict[str, float]:
    values = _free(where, key)
    inner = where.section(key)
    return {name: inner.number(name) for name in values}


def _free(where: Section, key: str) -> Mapping[str, object]:
    """Return a mapping whose keys somebody else checks."""
    value = where.get(key, "a mapping") if key in where else {}
    if not isinstance(value, Mapping):
        raise where.expected(key, "a mapping", shown(value))
    return value


def _expect_mapping(where: Section, value: object, what: str) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{where.source}: {where.path}: expected {what}, got {shown(value)}")


def _beside(name: str, folder: Path) -> str:
    """Return the path relative to the scenario's folder if a file is there; else the name as is.

    Names of policies stay as they are, because rows are called by them; see `Scenario.folder`.
    """
    near = folder / name
    return str(near) if near.is_file() else name
