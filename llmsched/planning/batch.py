"""OpenAI batch files in, one file a replica out: the same lines, byte for byte, in planned order.

The format is that of ``vllm run-batch -i``: one JSON object a line with ``custom_id``, ``url`` and
``body``.
"""

from __future__ import annotations

import csv
import hashlib
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from llmsched.errors import InputError
from llmsched.files import input_path, plain, write_whole
from llmsched.reading import opened, text_lines
from llmsched.trace import Trace

CHAT, COMPLETION, EMBEDDING = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
MAX_TOKENS = "max_tokens"
_EXPORTED = re.compile(r"manifest\.json|replica-\d+\.jsonl")

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


def count_characters(per_token: float) -> Count:
    """Return a counter of tokens that divides the characters by `per_token` and rounds up.

    Raises
    ------
    InputError
        `per_token` is not a finite number > 0.
    """
    if not 0 < per_token < math.inf:
        raise InputError(f"chars_per_token: expected a finite number > 0, got {per_token}")
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


def read_batch(path: Path, count: Count, predict: str = MAX_TOKENS) -> Batch:
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
    lines: list[bytes] = []
    prompts, outputs, limits, model, skipped = [], [], [], "", 0
    seen: dict[str, int] = {}
    digest = hashlib.sha256()
    for number, line in enumerate(_lines(path), start=1):
        digest.update(line)
        if not line.strip():
            continue
        request = _Request(f"{path}:{number}", line)
        name, model = request.name, model or request.model
        if name in seen:
            raise request.error("custom_id", f"another than on line {seen[name]}", name)
        if request.model != model:
            raise request.error("body.model", f"{model!r} as before", request.model)
        seen[name] = number
        text, parts = request.prompt()
        skipped += parts
        lines.append(line)
        prompts.append(count(text))
        outputs.append(request.output_tokens(predict, predicted))
        limits.append(request.limit and max(request.limit, outputs[-1]))  # predictions are believed
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


class _Request:
    """One line of a batch file, and messages about it."""

    def __init__(self, where: str, line: bytes) -> None:
        self.where = where
        try:
            self.record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{where}: expected a JSON object: {error}") from error
        if not isinstance(self.record, dict):
            raise InputError(f"{where}: expected a JSON object, got {type(self.record).__name__}")
        body = self.record.get("body")
        if not isinstance(body, dict):
            raise self.error("body", "an object", body)
        self.body: dict[str, Any] = body

    def error(self, field: str, expected: str, value: object) -> InputError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"{self.where}: {field}: expected {expected}, got {shown}")

    @property
    def name(self) -> str:
        name = self.record.get("custom_id")
        if not isinstance(name, str) or not name:
            raise self.error("custom_id", "a non-empty string", name)
        return name

    @property
    def model(self) -> str:
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise self.error("body.model", "a non-empty string", model)
        return model

    def prompt(self) -> tuple[str, int]:
        """Return the prompt's text, and how many of its parts are not text."""
        url = self.record.get("url")
        fields = {CHAT: "messages", COMPLETION: "prompt", EMBEDDING: "input"}
        if url not in fields:
            raise self.error("url", f"one of {', '.join(fields)}", url)
        content = self.body.get(fields[url])
        if url != CHAT:
            texts = [content] if isinstance(content, str) else content
            if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
                raise self.error(f"body.{fields[url]}", "text or a list of texts", content)
            return "\n".join(texts), 0
        if not isinstance(content, list) or not content:
            raise self.error("body.messages", "a non-empty list", content)
        parts = [part for message in content for part in self._parts(message)]
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str)]
        return "\n".join(texts), len(parts) - len(texts)

    def _parts(self, message: Any) -> list[dict[str, Any]]:
        content = message.get("content") if isinstance(message, dict) else message
        if isinstance(content, str):
            return [{"text": content}]
        if content is None and isinstance(message, dict):  # a tool call has no content
            return []
        if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
            raise self.error("body.messages", "messages with text or a list of parts", content)
        return content

    def output_tokens(self, predict: str, predicted: Mapping[str, int] | None) -> int:
        if predicted is not None:
            if self.name not in predicted:
                raise InputError(f"{self.where}: custom_id: {predict} predicts nothing for it")
            return predicted[self.name]
        if self.record["url"] == EMBEDDING:
            return 1
        if predict == MAX_TOKENS:
            return self.limit or self._positive("body.max_tokens", None)
        value = self.record
        for key in predict.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return self._positive(predict, value)

    @property
    def limit(self) -> int:
        """The output limit that the request declares; 0 if it declares none."""
        for name in ("max_completion_tokens", MAX_TOKENS):
            if self.body.get(name) is not None:
                return self._positive(f"body.{name}", self.body[name])
        return 0

    def _positive(self, field: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(field, "an integer >= 1 (or see --predict)", value)
        return value


def _predictions(path: Path) -> dict[str, int]:
    rows = csv.DictReader(text_lines(path))
    try:
        if missing := {"custom_id", "output_tokens"} - set(rows.fieldnames or []):
            raise InputError(f"{path}:1: expected a column {sorted(missing)[0]}")
        return {row["custom_id"]: _tokens(path, rows.line_num, row) for row in rows}
    except csv.Error as error:
        raise InputError(f"{path}:{rows.line_num}: expected CSV: {error}") from error


def _tokens(path: Path, line: int, row: Mapping[str, str]) -> int:
    text = row["output_tokens"]
    if not re.fullmatch(r"[1-9]\d{0,11}", text or ""):
        raise InputError(f"{path}:{line}: output_tokens: expected an integer >= 1, got {text!r}")
    return int(text)


def is_exported(path: Path, folder: Path) -> bool:
    """Whether `export` may write a file of this name to `folder`."""
    beside = path.resolve().parent == folder.resolve()
    return beside and _EXPORTED.fullmatch(path.name) is not None


def earlier_export(folder: Path, *, force: bool) -> list[Path]:
    """Return the files of an earlier export to this folder, which `export` replaces or removes.

    Raises
    ------
    InputError
        There are some, and `force` does not allow to replace them; or it is no folder.
    """
    try:
        there = sorted(folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror}") from error
    old = [path for path in there if _EXPORTED.fullmatch(path.name)]
    if old and not force:
        raise InputError(f"{old[0]}: is there already; --force replaces it")
    return old


def export(
    batch: Batch,
    queues: Sequence[Sequence[int]],
    folder: Path,
    record: Mapping[str, object],
    slots: int,
    *,
    force: bool = False,
) -> None:
    """Write ``replica-K.jsonl`` for each queue, in its order, and then ``manifest.json``.

    Parameters
    ----------
    record : mapping
        What else the manifest says: the plan.
    slots : int
        ``max_num_seqs`` of each replica.
    force : bool
        Replace the files of an earlier export, and remove those that this one does not have.

    Raises
    ------
    InputError
        Files of an earlier export are there, or the folder cannot be written.
    """
    old = earlier_export(folder, force=force)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot write: {error.strerror}") from error
    replicas = [_write(batch, queue, folder, k, slots) for k, queue in enumerate(queues)]
    manifest = {
        "schema_version": 1,
        "input": {"path": batch.path, "sha256": batch.sha256, "requests": len(batch.lines)},
        "model": batch.model,
        **record,
        "replicas": replicas,
        "collect": "cat replica-*.results.jsonl > results.jsonl",
    }
    text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n"
    write_whole(folder / "manifest.json", text)
    for path in old:
        if path.name not in {"manifest.json", *(entry["file"] for entry in replicas)}:
            path.unlink()


def _write(
    batch: Batch, queue: Sequence[int], folder: Path, replica: int, slots: int
) -> dict[str, object]:
    """Write one replica's file and return its entry in the manifest."""
    name = f"replica-{replica}.jsonl"
    content = _joined([batch.lines[i] for i in queue])
    write_whole(folder / name, content)
    rows = list(queue)
    return {
        "file": name,
        "requests": len(rows),
        "sha256": hashlib.sha256(content).hexdigest(),
        "input_tokens": int(batch.trace.input_tokens[rows].sum()),
        "output_tokens": int(batch.trace.output_tokens[rows].sum()),
        "command": _command(name, batch.model, slots),
    }


def _joined(lines: list[bytes]) -> bytes:
    """Join lines as they are; only a last line without an end gets one where another follows."""
    ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]]
    return b"".join([*ended, *lines[-1:]])


def _command(name: str, model: str, slots: int) -> str:
    results = name.replace(".jsonl", ".results.jsonl")
    command = f"vllm run-batch -i {name} -o {results} --model {shlex.quote(model)}"
    return f"{command} --max-num-seqs {slots}"
