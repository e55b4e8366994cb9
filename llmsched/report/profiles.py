"""Profiles as pages: the list, and one profile with what its steps cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields

from llmsched.hardware.profile import HardwareProfile
from llmsched.hardware.roofline import EXPECTED_ERROR, Roofline
from llmsched.hardware.step_time import StepTime
from llmsched.report.console import PLAIN_WIDTH, Grid, Part, page
from llmsched.report.layout import wrapped

_CONTEXTS = (512, 2048, 8192)
_BATCHES = (1, 8, 32, 64, 128, 200, 256)
_PROMPTS = (64, 128, 256, 512, 1024, 2048, 4096)


_LEGEND = (
    "error: held-out or expected mean error of a step, %, where known (- is unknown)",
    "d1, d200: ms of a decode round of 1 and 200 sequences, each with 512 tokens of context; "
    "p2048: ms of a prefill of 2,048 tokens; CPU overhead only where stated",
    "fitted: to measured operators · analytical: from datasheets · calibrated: to a published "
    "result · guess: not even the datasheet is certain",
)


def profile_list(
    profiles: Sequence[HardwareProfile], *, width: int = PLAIN_WIDTH, color: bool = False
) -> str:
    """Return one line a profile: where it came from, its error, and three step times."""
    rows = [
        (
            profile.name,
            str(profile.provenance.get("status", "unstated")),
            profile.step_time.kind,
            _error(profile.provenance),
            _ms(_decode(profile.step_time, 1, 512)),
            _ms(_decode(profile.step_time, 200, 512)),
            _ms(_prefill(profile.step_time, 2048)),
        )
        for profile in profiles
    ]
    titles = ("name", "status", "kind", "error", "d1", "d200", "p2048")
    grid = Grid(rows, [titles], words=3, names=max(len(row[0]) for row in rows), gap=1)
    exclusive = ", ".join(one.name for one in profiles if not one.step_time.mixed) or "none"
    legend = [*_LEGEND, f"without a price for mixed steps (prefill beside decodes): {exclusive}"]
    lines = (line for text in legend for line in wrapped(text, width))
    return page([grid, "", *lines], width=width, color=color)


def profile_page(profile: HardwareProfile, *, width: int = PLAIN_WIDTH, color: bool = False) -> str:
    """Return one profile: facts, prices, provenance, and a table of step times."""
    engine = {field.name: getattr(profile.engine, field.name) for field in fields(profile.engine)}
    sections: dict[str, Mapping[str, object]] = {
        "model": profile.model,
        "gpu": profile.gpu,
        "engine": {key: "no limit" if value is None else value for key, value in engine.items()},
        "step time": _prices(profile.step_time),
        "provenance": profile.provenance,
    }
    rows: list[tuple[str, str]] = []
    notes = {}
    for title, facts in sections.items():
        notes[len(rows)] = [title] if facts else []
        rows += _facts(facts)
    parts: list[Part] = ["", Grid(rows, notes=notes, text=True), "", *_step_times(profile)]
    return page(parts, title=profile.name, width=width, color=color)


def _prices(step_time: StepTime) -> dict[str, object]:
    """Return a kind's numbers, seconds as milliseconds; a table only by its extent."""
    prices: dict[str, object] = {"kind": step_time.kind, "unit": "ms", "mixed": step_time.mixed}
    for field in fields(step_time):
        value = getattr(step_time, field.name)
        if field.name == "tokens":
            prices["table"] = f"{len(value)} knots, {value[0]} to {value[-1]} tokens"
        elif isinstance(value, float):
            prices[field.name] = f"{1e3 * value:.6g}"
    if isinstance(step_time, Roofline):
        prices["error to expect"] = EXPECTED_ERROR
    return prices


def _step_times(profile: HardwareProfile) -> list[Part]:
    step_time, most = profile.step_time, profile.engine.max_num_seqs
    batches = [n for n in _BATCHES if n <= most]
    rounds = [
        (
            f"  {context:,} tokens each",
            *(_ms(_decode(step_time, n, context)) for n in batches),
        )
        for context in _CONTEXTS
    ]
    prompts = [("  one prompt", *(_ms(_prefill(step_time, p)) for p in _PROMPTS))]
    if step_time.mixed:
        beside = min(64, most)
        mixed = (step_time.step(p, p * p, 0, beside, 512 * beside) for p in _PROMPTS)
        prompts.append((f"  beside {beside} decodes", *(_ms(time) for time in mixed)))
    return [
        Grid(rounds, [("decode round, ms", *(f"{n} seq" for n in batches))]),
        "",
        Grid(prompts, [("prefill step, ms", *(f"{p:,}" for p in _PROMPTS))]),
    ]


def _decode(step_time: StepTime, seqs: int, context: int) -> float:
    return step_time.step(0, 0, 0, seqs, seqs * context)


def _prefill(step_time: StepTime, tokens: int) -> float:
    return step_time.step(tokens, tokens * tokens, 0, 0, 0)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.1f}"


def _error(provenance: Mapping[str, object]) -> str:
    value = provenance.get("holdout_mape_percent")
    if value is None:
        value = provenance.get("expected_error_percent")
    return "-" if value is None else f"{value}"


def _facts(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each fact, and one for each item of a list."""
    for key, value in facts.items():
        for i, item in enumerate(value if isinstance(value, list) else [value]):
            yield "" if i else f"  {key}:", _plain(item)


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
        return " to ".join(f"{item:,}" for item in value)  # a range
    if isinstance(value, list):
        return "; ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, float | int) and abs(value) >= 1e5:
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return str(value)
