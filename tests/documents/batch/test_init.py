"""A line: where it goes says what its body is; what costs nothing is named."""

from __future__ import annotations

from typing import get_args

import pytest

from llmsched.documents.batch import ENDPOINTS, UNCOUNTED, Url
from tests.documents.batch.bodies import CHAT, COMPLETION, LEAST, RESPONSE, asked

SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}


def test_every_url_has_a_type_of_body() -> None:
    assert set(ENDPOINTS) == set(get_args(Url))


@pytest.mark.parametrize(
    ("url", "body", "keys"),
    [
        (CHAT, {}, []),
        (CHAT, {"response_format": SCHEMA, "best_of": None}, ["response_format"]),
        (CHAT, {"response_format": {"type": "json_object"}, "text": "free"}, []),
        (CHAT, {"response_format": {"type": "text"}, "guided_json": None}, []),
        (CHAT, {"guided_json": {"type": "object"}}, ["guided_json"]),
        (CHAT, {"structured_outputs": {"regex": "a+"}}, ["structured_outputs"]),
        (COMPLETION, {"best_of": 1}, []),
        (COMPLETION, {"best_of": 3}, ["best_of"]),
        (RESPONSE, {"text": {"format": {"type": "text"}}}, []),
        (RESPONSE, {"text": {"format": SCHEMA}}, ["text.format"]),
        (RESPONSE, {"previous_response_id": "resp_1"}, ["previous_response_id"]),
    ],
)
def test_what_may_be_taken_for_a_cost_is_named(
    url: str, body: dict[str, object], keys: list[str]
) -> None:
    found = asked(url, **LEAST[url], **body)
    assert found.uncounted == keys
    assert set(keys) <= UNCOUNTED.keys()
