"""OpenAI batch files: a trace of the requests that they are to run, with estimated lengths."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from llmsched.documents.batch import Request, request
from llmsched.documents.batch.body import Limit, Prompt, as_json
from llmsched.documents.batch.generation import Generation
from llmsched.errors import InputError
from llmsched.files import input_path, plain
from llmsched.importers._source import json_rows, record
from llmsched.importers._values import Refusal
from llmsched.reading import Lines, opened, text_lines
from llmsched.schema import checked, shown, within
from llmsched.trace import Trace

LIMIT = "max_tokens"

MAX_SEQUENCES = 2**20
"""Sequences of one line; more is refused: a few characters could ask for any number."""

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
    urls : list of str
        The endpoint that each line is for.
    trace : Trace
        All sequences that the lines run, at time 0, with estimated lengths: an answer for each
        prompt of a line, or `n` of them. Ids are the ``custom_id``, from a line's second sequence
        on with its number: ``a``, ``a#2``.
    line_of : int64, shape (sequences,)
        The line that each sequence is of, rising.
    model : str
        The one model that all requests ask for.
    skipped_parts : int
        Parts of prompts that are not text (images, audio) and count no tokens.
    uncounted : mapping
        How many lines have each of the keys of ``llmsched.documents.batch.UNCOUNTED``.
    """

    path: str
    sha256: str
    lines: list[bytes]
    urls: list[str]
    trace: Trace
    line_of: NDArray[np.int64]
    model: str
    skipped_parts: int
    uncounted: Mapping[str, int]


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
    urls: list[str] = []
    prompts, outputs, limits, model, skipped = [], [], [], "", 0
    seen: dict[str, str] = {}
    runs: list[int] = []
    uncounted: Counter[str] = Counter()
    digest = hashlib.sha256()
    for number, line in _lines(path, digest.update):
        with within(f"{path}:{number}", ": "):
            asked, record = _parsed(line)
            model = model or asked.body.model
            _check_like(asked, model, seen)
            output = _output_tokens(asked, record, predict, predicted)
            tokens, parts = _prompt_tokens(asked, count)
        seen[asked.custom_id] = number
        skipped += parts
        uncounted.update(asked.uncounted)
        lines.append(line)
        urls.append(asked.url)
        runs.append(len(tokens))
        prompts += tokens
        outputs += [output] * len(tokens)
        limits += [asked.body.limit] * len(tokens)
    if not lines:
        raise InputError(f"{path}: expected a request a line, got an empty file")
    trace = Trace.from_columns(
        np.zeros(len(prompts)),
        prompts,
        outputs,
        max_output_tokens=limits,
        id=_names(list(seen), runs),
        name=plain(path.name),
        models=(model,),
    )
    line_of = np.repeat(np.arange(len(lines)), runs)
    source, sha256 = plain(str(path)), digest.hexdigest()
    return Batch(source, sha256, lines, urls, trace, line_of, model, skipped, uncounted)


def _lines(path: Path, take: Callable[[bytes], Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the requests, each with its place; `take` gets every byte of the text.

    They stand a line each, or in a document as `json_rows` reads it: an array, or one object. What
    is not a line of its own becomes one.
    """
    with opened(path) as lines:
        first = True
        for line in lines.raw(document=True):
            take(line)
            text = line.removeprefix(codecs.BOM_UTF8) if lines.number == 1 else line
            begun = text.strip()
            if first and (begun[:1] == b"[" or begun == b"{"):
                rest = bytes(lines.rest())
                take(rest)
                yield from _items(lines, begun, rest)
                return
            if begun:
                first = False
                yield str(lines.number), text


def _items(lines: Lines, first: bytes, rest: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the requests of a document as lines."""
    stream: io.BufferedReader = io.BufferedReader(cast(io.RawIOBase, io.BytesIO(rest)))
    for place, found in json_rows(Lines(lines.path, stream), lines.number, first):
        with within(f"{lines.path}:{place}", ": "):
            if isinstance(found, Refusal):
                raise InputError(found.message)
            yield place, as_json(found, "row").encode() + b"\n"


def _parsed(line: bytes) -> tuple[Request, object]:
    """Return a line as its type, and as it is: a prediction may be anywhere in it."""
    found = record(line)
    if isinstance(found, Refusal):
        raise InputError(found.message)
    return request(found), found


def _check_like(asked: Request, model: str, seen: Mapping[str, str]) -> None:
    """Refuse a second request of a name, and one of another model."""
    if (line := seen.get(asked.custom_id)) is not None:
        got = shown(asked.custom_id)
        raise InputError(f"custom_id: expected another than on line {line}, got {got}")
    if asked.body.model != model:
        got = shown(asked.body.model)
        expected = f"{shown(model)} as before (one model a file)"
        raise InputError(f"body.model: expected {expected}, got {got}")


def _prompt_tokens(asked: Request, count: Count) -> tuple[list[int], int]:
    """Return the prompt tokens of each sequence, and how many parts of the line are not text.

    The answers to one prompt follow each other, as the choices of a completion do.
    """
    body = asked.body
    prompts, others = body.prompts()
    if (runs := len(prompts) * body.answers) > MAX_SEQUENCES:
        raise InputError(f"body: expected at most {MAX_SEQUENCES:,} sequences, got {runs:,}")
    most = body.truncate_prompt_tokens or 0

    def length(prompt: Prompt) -> int:
        tokens = prompt if isinstance(prompt, int) else count(prompt)
        return min(tokens, most) if most > 0 else tokens  # -1 is the model's own limit

    return [tokens for each in prompts for tokens in [length(each)] * body.answers], others


def _names(lines: Sequence[str], runs: Sequence[int]) -> list[str]:
    """Return a name for each sequence of lines with these names, as `Batch.trace` has it."""
    taken = set(lines)
    names = []
    for name, count in zip(lines, runs, strict=True):
        names.append(name)
        for number in range(2, count + 1):
            another = f"{name}#{number}"
            while another in taken:  # as a line of this name may be there
                another += "#"
            taken.add(another)
            names.append(another)
    return names


def _output_tokens(
    asked: Request, record: object, predict: str, predicted: Mapping[str, int] | None
) -> int:
    """Return the length of each answer of a line."""
    if predicted is not None:
        if asked.custom_id not in predicted:
            raise InputError(f"custom_id: {predict} predicts nothing for it")
        return predicted[asked.custom_id]
    body = asked.body
    if not isinstance(body, Generation):
        return 1
    if predict == LIMIT:
        if not body.limit:
            otherwise = "an integer >= 1, or lengths from elsewhere (--predict)"
            raise InputError(f"body.{body.LIMIT}: expected {otherwise}, got nothing")
        return body.limit
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
