"""One batch file a replica: the lines of a batch in planned order.

They are as they were byte for byte, unless their places are to be written into them as well: then
the body of each has one more key, and the values of all others are as they were.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import orjson

from llmsched.config import EngineConfig
from llmsched.documents.batch.body import as_json
from llmsched.errors import InputError
from llmsched.files import write_whole
from llmsched.planning.batch import Batch

# What `vllm run-batch` runs from a file, by vllm/entrypoints/launchers/run_batch.py at commit
# 02759f3134b0 (and vllm/entrypoints/openai/run_batch.py at 0056ae7b2144, where it was before). It
# refuses a line for another url, or ends at one whose body it cannot take for any it knows: that of
# a completion.
_RUN_WHOLE = ("/v1/chat/completions", "/v1/embeddings")
_RUN_ENDS = ("/score", "/rerank")

_Texts = dict[str, msgspec.Raw]
_EXPORTED = re.compile(r"manifest\.json|replica-\d+\.jsonl")


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


def not_run(urls: Sequence[str]) -> str:
    """Say for which endpoints ``vllm run-batch`` runs no lines, and how many there are; "" if none.

    Parameters
    ----------
    urls : sequence of str
        The endpoint of each line.
    """
    left = Counter(url for url in urls if url not in _RUN_WHOLE and not url.endswith(_RUN_ENDS))
    return ", ".join(
        f"{url} ({count:,} {'line' if count == 1 else 'lines'})" for url, count in left.items()
    )


def export(
    batch: Batch,
    queues: Sequence[Sequence[int]],
    folder: Path,
    record: Mapping[str, object],
    engine: EngineConfig,
    *,
    priority: bool = False,
    force: bool = False,
) -> None:
    """Write ``replica-K.jsonl`` for each queue, in its order, and then ``manifest.json``.

    Parameters
    ----------
    queues : sequence of sequences of int
        The sequences of each replica, as rows of the batch's trace. A line goes where its
        sequences are, which is one replica; its place is that of the first.
    record : mapping
        What else the manifest says: the plan.
    engine : EngineConfig
        That of each replica, for its command.
    priority : bool
        Whether each body says its place in the file as its ``priority``, counted from 0: vLLM's
        scheduling policy of that name then serves in this order, however the requests come in.
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
    knobs = _knobs(engine, priority=priority)
    replicas = [
        _write(batch, queue, folder / f"replica-{k}.jsonl", knobs, priority=priority)
        for k, queue in enumerate(queues)
    ]
    manifest = {
        "schema_version": 1,
        "input": {
            "path": batch.path,
            "sha256": batch.sha256,
            "requests": len(batch.lines),
            "sequences": len(batch.trace),
        },
        "model": batch.model,
        **record,
        "replicas": replicas,
    }
    if all(entry["command"] for entry in replicas):
        manifest["collect"] = "cat replica-*.results.jsonl > results.jsonl"
    text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2) + b"\n"
    write_whole(folder / "manifest.json", text)
    for path in old:
        if path.name not in {"manifest.json", *(entry["file"] for entry in replicas)}:
            path.unlink()


def _write(
    batch: Batch, queue: Sequence[int], path: Path, knobs: str, *, priority: bool
) -> dict[str, object]:
    """Write one replica's file and return its entry in the manifest."""
    rows = list(queue)
    lines = list(dict.fromkeys(batch.line_of[rows].tolist()))
    texts = [batch.lines[i] for i in lines]
    content = _joined([_placed(*each) for each in enumerate(texts)] if priority else texts)
    write_whole(path, content)
    return {
        "file": path.name,
        "requests": len(lines),
        "sequences": len(rows),
        "sha256": hashlib.sha256(content).hexdigest(),
        "input_tokens": int(batch.trace.input_tokens[rows].sum()),
        "output_tokens": int(batch.trace.output_tokens[rows].sum()),
        **_how(path.name, [batch.urls[i] for i in lines], batch.model, knobs),
    }


def _placed(place: int, line: bytes) -> bytes:
    """Return a line whose body has its place as `priority`; the text of other values stays."""
    try:
        found = msgspec.json.decode(line, type=_Texts)
        body = msgspec.json.decode(found["body"], type=_Texts)
    except msgspec.DecodeError:  # of NaN and Infinity, which the reader takes as Python does
        whole = json.loads(line)
        whole["body"]["priority"] = place
        return as_json(whole, "row").encode() + b"\n"
    except RecursionError as error:
        deep = "expected fewer lists in each other, to say a priority beside them"
        raise InputError(f"line {place + 1} of the plan: body: {deep}") from error
    body["priority"] = msgspec.Raw(str(place).encode())
    found["body"] = msgspec.Raw(msgspec.json.encode(body))
    return msgspec.json.encode(found) + b"\n"


def _joined(lines: list[bytes]) -> bytes:
    """Join lines as they are; only a last line without an end gets one where another follows."""
    ended = [line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]]
    return b"".join([*ended, *lines[-1:]])


def _knobs(engine: EngineConfig, *, priority: bool) -> str:
    """Return the options of vLLM for an engine."""
    knobs = f"--max-num-seqs {engine.max_num_seqs}"
    if engine.max_num_batched_tokens is not None:
        knobs += f" --max-num-batched-tokens {engine.max_num_batched_tokens}"
    return f"{knobs} --scheduling-policy priority" if priority else knobs


def _how(name: str, urls: Sequence[str], model: str, knobs: str) -> dict[str, str | None]:
    """Return the command that runs a file; where there is none, what to do instead."""
    model = shlex.quote(model)
    if left := not_run(urls):
        serve = f"vllm serve {model} {knobs}"
        instead = "send the body of each line, in this order, to its url on a server with a client"
        return {
            "command": None,
            "instead": f"no command runs {left} from a file: {instead} ({serve})",
        }
    results = name.replace(".jsonl", ".results.jsonl")
    return {"command": f"vllm run-batch -i {name} -o {results} --model {model} {knobs}"}
