"""Options that several commands take: one name and one meaning each, and groups of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from llmsched.cli.inputs import choose_hardware, given, parse_knobs
from llmsched.errors import InputError

if TYPE_CHECKING:
    from llmsched.config import EngineConfig
    from llmsched.hardware import HardwareProfile

TRACE = "Trace"
ENGINE = "Engine"
OUTPUT = "Output"
METRICS = "Metrics"


Hardware = Annotated[
    str | None,
    typer.Option(
        "--hardware",
        metavar="NAME|FILE",
        show_default=False,
        rich_help_panel=ENGINE,
        help="Hardware profile, see `llmsched hardware list`. Default: that of the paper for its "
        "trace, else llama3-8b-a100, assumed.",
    ),
]
MaxNumSeqs = Annotated[
    int | None,
    typer.Option(
        "--max-num-seqs",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Slots: sequences running at once.",
    ),
]
MaxNumBatchedTokens = Annotated[
    int | None,
    typer.Option(
        "--max-num-batched-tokens",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Tokens a step may compute.",
    ),
]
BlockSize = Annotated[
    int | None,
    typer.Option(
        "--block-size", metavar="N", rich_help_panel=ENGINE, help="Tokens a KV-cache block holds."
    ),
]
NumGpuBlocks = Annotated[
    int | None,
    typer.Option(
        "--num-gpu-blocks",
        metavar="N",
        rich_help_panel=ENGINE,
        help="KV-cache blocks of the device.",
    ),
]
Lengths = Annotated[
    str | None,
    typer.Option(
        "--lengths",
        metavar="MODE",
        rich_help_panel=ENGINE,
        help="Output lengths that policies see: oracle (the true ones), mean, noisy:CV "
        "(noisy:0.3), or trace (its predicted_output_length). Default: trace where it has them, "
        "else oracle.",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", rich_help_panel=ENGINE, help="Seed of everything random."),
]

Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Write the result here, whole or not at all.",
    ),
]

EngineLike = Annotated[
    str | None,
    typer.Option(
        "--engine-like",
        metavar="SERVER",
        show_default=False,
        rich_help_panel=ENGINE,
        help="Slots and token budget as a server sets them by the GPU's memory: vllm-0.33.",
    ),
]
EngineKnob = Annotated[
    list[str] | None,
    typer.Option(
        "--engine",
        metavar="KNOB=VALUE",
        rich_help_panel=ENGINE,
        help="Any other knob (enable_prefix_caching, async_scheduling, watermark, admission, "
        "reserve, victim, max_output_tokens, max_model_len, max_num_active_seqs, "
        "long_prefill_token_threshold, long_prefill_token_threshold_adaptive, "
        "prefill_schedule_interval, max_num_partial_prefills, max_long_partial_prefills, "
        "max_num_queued_reqs, max_num_queued_tokens); may be repeated.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        "--concurrency",
        metavar="N",
        rich_help_panel=ENGINE,
        help="Closed loop of N users: ignore arrivals, the next request starts as one finishes.",
    ),
]
PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        metavar="PLAN.json",
        rich_help_panel=ENGINE,
        help="Replay on all replicas of a plan (`llmsched plan --replicas N --output PLAN.json`).",
    ),
]
LatencyBound = Annotated[
    bool,
    typer.Option(
        "--latency-bound",
        rich_help_panel=OUTPUT,
        help="Bounds on latency also beyond 20,000 requests, and for a batch; else they are there "
        "where arrivals bind.",
    ),
]
Slo = Annotated[
    str | None,
    typer.Option(
        metavar="[CLASS:]METRIC=MS,...",
        rich_help_panel=METRICS,
        help="Limits on ttft_ms, tpot_ms, e2el_ms, or statistics (p99_ttft_ms).",
    ),
]


def flag_of(name: str) -> str:
    """Return the option that a field stands for."""
    return "--" + name.replace("_", "-")


@contextmanager
def flagged(flags: Mapping[str, str], above: str = "") -> Iterator[None]:
    """Name options in errors: the library names its fields, who runs a command knows flags.

    Parameters
    ----------
    flags : mapping
        The option by the field that an error begins with; others stay as they are.
    above : str
        What may stand before the field, and is left out.
    """
    try:
        yield
    except InputError as error:
        field, colon, rest = str(error).removeprefix(above).partition(": ")
        if type(error) is not InputError or field not in flags:
            raise
        raise InputError(f"{flags[field]}{colon}{rest}") from error


class Group:
    """Options that belong together: a command takes the object, its fields are the options."""

    def refuse(self, names: Iterable[str], where: str) -> None:
        """Refuse those of some options that were given.

        Raises
        ------
        InputError
            One was; the message says `where` it belongs.
        """
        for name in names:
            if getattr(self, name) not in (None, False):
                raise InputError(f"{flag_of(name)}: expected {where}")


@dataclass(frozen=True, kw_only=True)
class Machine(Group):
    """The hardware profile."""

    hardware: Hardware = None


@dataclass(frozen=True, kw_only=True)
class Knobs(Group):
    """The engine's knobs with options of their own."""

    max_num_seqs: MaxNumSeqs = None
    max_num_batched_tokens: MaxNumBatchedTokens = None
    block_size: BlockSize = None
    num_gpu_blocks: NumGpuBlocks = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given, by name."""
        return given(**{knob.name: getattr(self, knob.name) for knob in fields(Knobs)})


@dataclass(frozen=True, kw_only=True)
class Engine(Knobs, Machine):
    """Hardware and every knob of its engine."""

    engine_like: EngineLike = None
    engine: EngineKnob = None

    @property
    def changes(self) -> dict[str, Any]:
        """The knobs that were given, by options of their own or by ``--engine``.

        Raises
        ------
        InputError
            An unknown knob, no value, or a knob given twice.
        """
        from llmsched.config import EngineConfig
        from llmsched.schema import within

        own, others = self.given, parse_knobs(self.engine)
        for name in own.keys() & others.keys():
            other = flag_of(name)
            raise InputError(f"--engine: expected one value of {name}, got another by {other}")
        with within("--engine", ": "):
            EngineConfig(**others)
        return own | others

    def load(self, trace: str | None) -> tuple[HardwareProfile, EngineConfig]:
        """Load the profile that the command line names, and its engine with the knobs given.

        Where it names none, that is the profile for this `trace`.

        Raises
        ------
        InputError
            An unknown profile or knob, or a value that the knob does not take.
        """
        from llmsched.hardware import load_profile
        from llmsched.hardware.presets import preset

        name, chosen = choose_hardware(self.hardware, trace)
        profile = replace(load_profile(name), chosen=chosen)
        like = preset(self.engine_like, profile.gpu)
        return profile, replace(profile.engine, **{**like, **self.changes})


@dataclass(frozen=True, kw_only=True)
class Terms(Group):
    """How requests reach the engine, and what policies know of them."""

    concurrency: Concurrency = None
    plan: PlanFile = None
    lengths: Lengths = None
    seed: Seed = None


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose groups are spelt out as options, for typer to see."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Group]] = {}
    spelt: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        kind = hints[name]
        if isinstance(kind, type) and issubclass(kind, Group):
            groups[name] = kind
            options = get_type_hints(kind, include_extras=True)
            spelt += [
                Parameter(
                    field.name,
                    Parameter.KEYWORD_ONLY,
                    default=field.default,
                    annotation=options[field.name],
                )
                for field in fields(kind)  # type: ignore[arg-type]  # every group is a dataclass
            ]
        else:
            spelt.append(parameter.replace(annotation=kind, kind=Parameter.KEYWORD_ONLY))

    @wraps(command)
    def call(**options: Any) -> None:
        flags = _flags(parameter for parameter in spelt if options[parameter.name] is not None)
        for name, kind in groups.items():
            own = {field.name: options.pop(field.name) for field in fields(kind)}  # type: ignore[arg-type]
            options[name] = kind(**own)
        with flagged(flags):
            command(**options)

    call.__signature__ = Signature(spelt)  # type: ignore[attr-defined]  # what typer reads
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in spelt}
    return call


def _flags(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return the flag of each option by the name that a field of the library would have."""
    flags = {}
    for parameter in parameters:
        for declared in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(declared, typer.models.OptionInfo):
                plain = flag_of(parameter.name)
                names = (name for name in declared.param_decls or () if name.startswith("--"))
                flag = next(names, plain)
                flags[flag.removeprefix("--").replace("-", "_")] = flag
    return flags
