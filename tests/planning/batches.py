"""Batch files as tests write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmsched.planning import batch
from tests.documents.batch.bodies import CHAT

CHARS = batch.count_characters(4)


def request(name: str, text: str = "hello there", limit: object = 8, **body: object) -> Any:
    content: list[object] = [{"role": "user", "content": text}]
    return {
        "custom_id": name,
        "method": "POST",
        "url": CHAT,
        "body": {"model": "m", "messages": content, "max_tokens": limit, **body},
    }


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path
