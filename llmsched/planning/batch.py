"""OpenAI batch files: a trace of the requests that they are to run, with estimated lengths."""

from __future__ import annotations

import csv
import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson

from llmsched.documents.batch import EMBEDDING, Limit, Request
from llmsched.errors import InputError
from llmsched.files import input_path, plain
from llmsched.reading import opened, text_lines
from llmsched.schema import checked, shown, within
from llmsched.trace import Trace

LIMIT = "max_tokens"

Count = Callable[[str], int]


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch file: its lines as they are, and what the planner needs to know of each.

    Attributes
    ----------
    path : str
    sha256 : str
        Hash of the file's text, decompressed.
    lines : list of bytes
        Each with its line end, except perhaps the last.
    trace : Trace
        All requests at time 0, with estimated lengths; ids are the ``custom_id``.
    model : str
        The one model that all requests ask for.
    skipped_parts : int
        Parts of prompts that are not text (images, audio) and count no tokens.
    """

    path: str
    sha256: str
    lines: list[bytes]
    trace: Trace
    model: str
    skipped_parts: int


def count_characters(per_token: float = 4.0) -> Count:
    """Return a counter of tokens that divides the characters by `per_token` and rounds up.

    Raises
    ------
    InputError
        `per_token` is below 0.1 or above 1,000.
    """
    if not 0.1 <= per_token <= 1000:
        raise InputError(f"chars_per_token: expected a number in [0.1, 1000], got {per_token}")
    return lambda text: max(1, math.ceil(len(text) / per_token))


def count_with(tokenizer: Path) -> Count:
    """Return a counter of tokens that uses a ``tokenizer.json`` file.

    Raises
    ------
    InputError
        The library is not installed, or the file is not a tokenizer.
    """
    try:
        from tokenizers import Tokenizer  # type: ignore[import-not-found,unused-ignore]  # an extra
    except ImportError as error:
        problem = "tokenizer: needs the tokenizers library: pip install tokenizers"
        raise InputError(problem) from error
    source = str(input_path(tokenizer))
    try:
        loaded = Tokenizer.from_file(source)
    except Exception as error:  # the library raises plain Exception
        raise InputError(f"{tokenizer}: expected a tokenizer.json file: {error}") from error
    return lambda text: max(1, len(loaded.encode(text).ids))


def read_batch(path: Path, count: Count, predict: str = LIMIT) -> Batch:
    """Read a batch file and estimate the lengths of its requests.

    Parameters
    ----------
    count : callable
        Tokens of a prompt's text.
    predict : str
        Where output lengths come from: ``max_tokens`` (the request's limit), a dotted path in the
        request such as ``body.metadata.expected``, or a CSV file with the columns ``custom_id`` and
        ``output_tokens``.

    Raises
    ------
    InputError
        The file cannot be read, a line is no request, a name is used twice, models differ, or an
        output length is missing. The message names file, line, field and value.
    """
    predicted = _predictions(Path(predict)) if predict.endswith(".csv") else None
    if predicted is None and not all(predict.split(".")):
        got = shown(predict)
        raise InputError(f"predict: expected {LIMIT}, a dotted path or a CSV file, got {got}")
    lines: list[bytes] = []
    prompts, outputs, limits, model, skipped = [], [], [], "", 0
    seen: dict[str, int] = {}
    digest = hashlib.sha256()
    for number, line in enumerate(_lines(path), start=1):
        digest.update(line)
        if not line.strip():
            continue
        with within(f"{path}:{number}", ": "):
            request, record = _parsed(line)
            model = model or request.body.model
            _check_like(request, model, seen)
            output = _output_tokens(request, record, predict, predicted)
        seen[request.custom_id] = number
        text, parts = request.prompt
        skipped += parts
        lines.append(line)
        prompts.append(count(text))
        outputs.append(output)
        limits.append(request.body.limit)
    if not lines:
        raise InputError(f"{path}: expected a request a line, got an empty file")
    trace = Trace.from_columns(
        np.zeros(len(lines)),
        prompts,
        outputs,
        max_output_tokens=limits,
        id=list(seen),
        name=plain(path.name),
        models=(model,),
    )
    return Batch(plain(str(path)), digest.hexdigest(), lines, trace, model, skipped)


def _lines(path: Path) -> Iterator[bytes]:
    with opened(path) as lines:
        yield from lines.raw()


def _parsed(line: bytes) -> tuple[Request, object]:
    """Return a line as its type, and as it is: a prediction may be anywhere in it."""
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"expected a JSON object: {error}") from error
    return checked(record, Request, parsed=True), record


def _check_like(request: Request, model: str, seen: Mapping[str, int]) -> None:
    """Refuse a second request of a name, and one of another model."""
    if (line := seen.get(request.custom_id)) is not None:
        got = shown(request.custom_id)
        raise InputError(f"custom_id: expected another than on line {line}, got {got}")
    if request.body.model != model:
        got = shown(request.body.model)
        raise InputError(f"body.model: expected {shown(model)} as before, got {got}")


def _output_tokens(
    request: Request, record: object, predict: str, predicted: Mapping[str, int] | None
) -> int:
    if predicted is not None:
        if request.custom_id not in predicted:
            raise InputError(f"custom_id: {predict} predicts nothing for it")
        return predicted[request.custom_id]
    if request.url == EMBEDDING:
        return 1
    if predict == LIMIT:
        if not request.body.limit:
            raise InputError(f"body.{LIMIT}: expected an integer >= 1, got nothing")
        return request.body.limit
    value = record
    for key in predict.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    with within(predict):
        return checked(value, Limit)


def _predictions(path: Path) -> dict[str, int]:
    rows = csv.DictReader(text_lines(path))
    try:
        if missing := {"custom_id", "output_tokens"} - set(rows.fieldnames or []):
            raise InputError(f"{path}:1: expected a column {sorted(missing)[0]}")
        predicted: dict[str, int] = {}
        for row in rows:
            if row["custom_id"] in predicted:
                got = f"{shown(row['custom_id'])} twice"
                raise InputError(
                    f"{path}:{rows.line_num}: custom_id: expected each once, got {got}"
                )
            predicted[row["custom_id"]] = _tokens(path, rows.line_num, row)
        return predicted
    except csv.Error as error:
        raise InputError(f"{path}:{rows.line_num}: expected CSV: {error}") from error


def _tokens(path: Path, line: int, row: Mapping[str, str]) -> int:
    text = row["output_tokens"]
    if not re.fullmatch(r"[1-9]\d{0,11}", text or ""):
        raise InputError(f"{path}:{line}: output_tokens: expected an integer >= 1, got {text!r}")
    with within(f"{path}:{line}: output_tokens"):
        return checked(int(text), Limit)
