"""Profiles as text: the list, and one profile with what its steps cost; 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from textwrap import wrap

from llmsched.hardware.profile import HardwareProfile
from llmsched.hardware.roofline import EXPECTED_ERROR, Roofline
from llmsched.hardware.step_time import StepTime

_WIDTH = 79
_CONTEXTS = (512, 2048, 8192)
_BATCHES = (1, 8, 32, 64, 128, 200, 256)
_PROMPTS = (64, 128, 256, 512, 1024, 2048, 4096)


def profile_list(profiles: Sequence[HardwareProfile]) -> str:
    """Return one line a profile: where it came from, its error, and three step times."""
    rows = [("name", "status", "kind", "error", "d1", "d200", "p2048")]
    for profile in profiles:
        step_time = profile.step_time
        rows.append(
            (
                profile.name,
                str(profile.provenance.get("status", "unstated")),
                step_time.kind,
                _error(profile.provenance),
                _ms(_decode(step_time, 1, 512)),
                _ms(_decode(step_time, 200, 512)),
                _ms(_prefill(step_time, 2048)),
            )
        )
    exclusive = ", ".join(one.name for one in profiles if not one.step_time.mixed) or "none"
    return "\n".join(
        [
            *aligned(rows, left=3, gap=" "),
            "",
            "error: held-out or expected mean error of a step, %, where known (- is unknown)",
            "d1, d200: ms of a decode round of 1 and 200 sequences, each with 512 tokens of",
            "context; p2048: ms of a prefill of 2,048 tokens; CPU overhead only where stated",
            "fitted: to measured operators · analytical: from datasheets · calibrated: to a",
            "published result · guess: not even the datasheet is certain",
            *wrap(f"without a price for mixed steps (prefill beside decodes): {exclusive}", _WIDTH),
        ]
    )


def profile_page(profile: HardwareProfile) -> str:
    """Return one profile: facts, prices, provenance, and a table of step times."""
    engine = {field.name: getattr(profile.engine, field.name) for field in fields(profile.engine)}
    lines = [profile.name, ""]
    lines += _facts("model", profile.model)
    lines += _facts("gpu", profile.gpu)
    lines += _facts("engine", {key: "no limit" if v is None else v for key, v in engine.items()})
    lines += _facts("step time", _prices(profile.step_time))
    lines += _facts("provenance", profile.provenance)
    return "\n".join([*lines, "", *_step_table(profile)])


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


def _step_table(profile: HardwareProfile) -> list[str]:
    step_time, most = profile.step_time, profile.engine.max_num_seqs
    batches = [n for n in _BATCHES if n <= most]
    heading = ("decode round, ms", *(f"{n} seq" for n in batches))
    rows = [heading]
    for context in _CONTEXTS:
        times = (_ms(_decode(step_time, n, context)) for n in batches)
        rows.append((f"  {context:,} tokens each", *times))
    lines = aligned(rows, left=1)
    prompts = [("prefill step, ms", *(f"{p:,}" for p in _PROMPTS))]
    prompts.append(("  one prompt", *(_ms(_prefill(step_time, p)) for p in _PROMPTS)))
    if step_time.mixed:
        beside = min(64, most)
        mixed = (step_time.step(p, p * p, 0, beside, 512 * beside) for p in _PROMPTS)
        prompts.append((f"  beside {beside} decodes", *(_ms(time) for time in mixed)))
    return [*lines, "", *aligned(prompts, left=1)]


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


def _facts(title: str, facts: Mapping[str, object]) -> list[str]:
    lines = [title] if facts else []
    for key, value in facts.items():
        items = value if isinstance(value, list) else [value]
        for i, item in enumerate(items):
            label = f"  {key}:" if i == 0 else ""
            text = wrap(_plain(item), _WIDTH - 32, break_long_words=True) or [""]
            lines += [f"{label:<31} {text[0]}", *(f"{'':<31} {line}" for line in text[1:])]
    return lines


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    if isinstance(value, list):
        return " to ".join(f"{item:,}" for item in value)  # a range, the only list inside a mapping
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, float | int) and abs(value) >= 1e5:
        return f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return str(value)


def aligned(rows: Sequence[Sequence[str]], *, left: int, gap: str = "  ") -> list[str]:
    """Return rows as lines, the first `left` columns flush left, the rest flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        gap.join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
