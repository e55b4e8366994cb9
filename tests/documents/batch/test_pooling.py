"""Endpoints that make no text: each input, and each pair of texts, is a prompt with one output."""

from __future__ import annotations

import pytest

from llmsched.errors import InputError
from tests.documents.batch.bodies import EMBEDDING, asked, prompts, turn

SCORES, RERANKS = ("/score", "/v1/score"), ("/rerank", "/v1/rerank", "/v2/rerank")
DOCUMENT = {"content": [{"type": "text", "text": "c"}, {"type": "image_url"}]}


@pytest.mark.parametrize(
    ("input_", "found"),
    [
        ("text", ["text"]),
        (["one", "two"], ["one", "two"]),
        ([5, 6, 7], [3]),
        ([[5, 6, 7], [8]], [3, 1]),
    ],
)
def test_each_input_of_an_embedding_is_a_prompt(input_: object, found: object) -> None:
    assert prompts(EMBEDDING, input=input_) == found


def test_a_chat_may_be_embedded_too() -> None:
    assert prompts(EMBEDDING, messages=[turn("one"), turn("two")]) == ["one\ntwo"]


@pytest.mark.parametrize("url", SCORES)
@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("a", "b", ["a\nb"]),
        ("a", ["b", "c"], ["a\nb", "a\nc"]),
        (["a"], ["b", "c"], ["a\nb", "a\nc"]),
        (["a", "d"], ["b", "c"], ["a\nb", "d\nc"]),
    ],
)
def test_each_pair_of_texts_is_a_prompt(
    url: str, first: object, second: object, found: object
) -> None:
    assert prompts(url, text_1=first, text_2=second) == found


@pytest.mark.parametrize(
    "names", [("queries", "documents"), ("queries", "items"), ("data_1", "data_2")]
)
def test_the_two_sides_of_a_score_have_several_names(names: tuple[str, str]) -> None:
    assert prompts("/score", **dict(zip(names, ("a", ["b", "c"]), strict=True))) == ["a\nb", "a\nc"]


@pytest.mark.parametrize("url", RERANKS)
def test_a_query_is_read_beside_each_document(url: str) -> None:
    body = asked(url, query="a", documents=["b", DOCUMENT]).body
    assert body.prompts() == (["a\nb", "a\nc"], 1)
    assert (body.answers, body.limit) == (1, 0)


@pytest.mark.parametrize(
    ("url", "body", "message"),
    [
        (EMBEDDING, {}, "body.input: expected a text or a list, got nothing"),
        (EMBEDDING, {"input": []}, "body.input: expected a list of at least one, got []"),
        (EMBEDDING, {"input": ["a", 1]}, "body.input[1]: expected a text as before, got 1"),
        (EMBEDDING, {"input": {}}, "body.input: expected a text or a list, got {}"),
        ("/score", {"text_2": "b"}, "body.text_1: expected a text or a list, got nothing"),
        ("/score", {"text_1": "a"}, "body.text_2: expected a text or a list, got nothing"),
        (
            "/score",
            {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]},
            "body: expected as many texts on both sides or 1 : N, got 2:3",
        ),
        ("/score", {"text_1": "a", "text_2": []}, "body.text_2: expected a list of at least one"),
        ("/rerank", {"documents": ["b"]}, "body.query: expected a text or a mapping, got nothing"),
        ("/rerank", {"query": "a"}, "body.documents: expected "),
        ("/rerank", {"query": "a", "documents": []}, "body.documents: expected a list of at least"),
        ("/rerank", {"query": "a", "documents": [3]}, "body.documents[0]: expected a text or a"),
    ],
)
def test_a_body_that_the_endpoint_does_not_take_is_refused_by_field(
    url: str, body: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as error:
        asked(url, **body)
    assert str(error.value).startswith(message)
