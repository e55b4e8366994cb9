"""Endpoints that make text: what is in the prompt, how often it runs, and what ends an answer."""

from __future__ import annotations

import pytest

from llmsched.errors import InputError
from tests.documents.batch.bodies import CHAT, COMPLETION, LEAST, RESPONSE, asked, prompts, turn

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
TOOL_TEXT = '[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]'
FUNCTION = {"name": "f", "arguments": '{"x": 1}'}
CALL_TEXT = '{"name": "f", "arguments": {"x": 1}}'
IMAGE = {"type": "image_url", "image_url": {"url": "u"}}


def text(words: str, kind: str = "text") -> dict[str, str]:
    return {"type": kind, "text": words}


@pytest.mark.parametrize(
    ("messages", "tools", "prompt", "others"),
    [
        ([turn("one"), turn("two")], None, "one\ntwo", 0),
        ([turn([text("one"), "two", text("three", "input_text")])], [], "one\ntwo\nthree", 0),
        ([turn([text("one"), IMAGE, {"type": "input_audio"}])], None, "one", 2),
        ([turn([{"type": "refusal", "refusal": "no"}])], None, "no", 0),
        ([turn("one")], [TOOL], f"{TOOL_TEXT}\none", 0),
        # what the model called, and what came of it
        (
            [
                turn(None, tool_calls=[{"id": "1", "type": "function", "function": FUNCTION}]),
                {"role": "tool", "tool_call_id": "1", "content": "sunny"},
            ],
            None,
            f"{CALL_TEXT}\nsunny",
            0,
        ),
        (
            [turn("so", tool_calls=[{"function": {"name": "g", "arguments": {"y": [2]}}}])],
            None,
            'so\n{"name": "g", "arguments": {"y": [2]}}',
            0,
        ),
        (
            [turn(None, tool_calls=[{"function": {"name": "g"}}])],
            None,
            '{"name": "g", "arguments": {}}',
            0,
        ),
        ([turn(None, tool_calls=None)], None, "", 0),
    ],
)
def test_turns_tools_and_calls_of_tools_are_the_prompt_of_a_chat(
    messages: object, tools: object, prompt: str, others: int
) -> None:
    body = asked(CHAT, messages=messages, tools=tools).body
    assert body.prompts() == ([prompt], others)


def test_tools_are_written_as_they_are_read_and_not_escaped() -> None:
    assert prompts(CHAT, messages=[turn("?")], tools=[{"name": "Straße"}]) == [
        '[{"name": "Straße"}]\n?'
    ]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("text", ["text"]),
        (["text"], ["text"]),
        (["one", "two"], ["one", "two"]),
        ([128_000, 9906, 0], [3]),
        ([[1, 2, 3], [4]], [3, 1]),
    ],
)
def test_each_text_and_each_list_of_ids_is_a_prompt(prompt: object, found: object) -> None:
    assert prompts(COMPLETION, prompt=prompt) == found


@pytest.mark.parametrize(
    ("input_", "more", "prompt", "others"),
    [
        ("one", {}, "one", 0),
        ("one", {"instructions": "be brief"}, "be brief\none", 0),
        ([turn("one"), turn([text("two", "input_text")])], {}, "one\ntwo", 0),
        ([turn([text("one", "input_text"), {"type": "input_image"}])], {}, "one", 1),
        ([turn("one")], {"tools": [TOOL]}, f"{TOOL_TEXT}\none", 0),
        (
            [
                {"type": "function_call", "call_id": "1", **FUNCTION},
                {"type": "function_call_output", "call_id": "1", "output": "sunny"},
                {"type": "item_reference", "id": "2"},
            ],
            {},
            f"{CALL_TEXT}\nsunny",
            1,
        ),
    ],
)
def test_instructions_items_and_tools_are_the_prompt_of_a_response(
    input_: object, more: dict[str, object], prompt: str, others: int
) -> None:
    assert asked(RESPONSE, input=input_, **more).body.prompts() == ([prompt], others)


@pytest.mark.parametrize(
    ("url", "body", "answers", "limit"),
    [
        (CHAT, {}, 1, 0),
        (CHAT, {"n": None, "max_tokens": None, "max_completion_tokens": None}, 1, 0),
        (CHAT, {"n": 4, "max_tokens": 9}, 4, 9),
        (CHAT, {"max_tokens": 9, "max_completion_tokens": 7}, 1, 7),
        (CHAT, {"max_tokens": 9, "max_completion_tokens": None}, 1, 9),
        (CHAT, {"max_tokens": None, "max_completion_tokens": 7}, 1, 7),
        (CHAT, {"n": 2, "best_of": 5}, 2, 0),
        (COMPLETION, {}, 1, 16),  # as the endpoint has it where nothing is said
        (COMPLETION, {"max_tokens": None}, 1, 0),
        (COMPLETION, {"max_tokens": 9, "n": 3}, 3, 9),
        (RESPONSE, {}, 1, 0),
        (RESPONSE, {"max_output_tokens": 9, "max_tokens": 3, "n": 2}, 1, 9),
    ],
)
def test_answers_and_their_limit_are_those_of_the_endpoint(
    url: str, body: dict[str, object], answers: int, limit: int
) -> None:
    found = asked(url, **LEAST[url], **body).body
    assert (found.answers, found.limit) == (answers, limit)


@pytest.mark.parametrize(
    ("url", "body", "message"),
    [
        (CHAT, {}, "body.messages: expected a list, got nothing"),
        (CHAT, {"messages": []}, "body.messages: expected a list of at least one, got []"),
        (CHAT, {"messages": [turn()], "n": 0}, "body.n: expected an integer in 1..16384, got 0"),
        (CHAT, {"messages": [turn()], "n": "2"}, "body.n: expected an integer in 1..16384"),
        (CHAT, {"messages": [turn()], "n": 20_000}, "got 20000"),
        (CHAT, {"messages": [turn()], "tools": {}}, "body.tools: expected a list"),
        (CHAT, {"messages": [turn()], "tools": [3]}, "body.tools[0]: expected a mapping, got 3"),
        (
            CHAT,
            {"messages": [turn(tool_calls=[{}])]},
            "body.messages[0].tool_calls[0].function: expected a mapping, got nothing",
        ),
        (COMPLETION, {}, "body.prompt: expected a text or a list, got nothing"),
        (COMPLETION, {"prompt": None}, "body.prompt: expected a text or a list, got None"),
        (COMPLETION, {"prompt": []}, "body.prompt: expected a list of at least one, got []"),
        (COMPLETION, {"prompt": [[1], []]}, "body.prompt[1]: expected a list of at least one"),
        (COMPLETION, {"prompt": [1, -2]}, "body.prompt[1]: expected an integer >= 0, got -2"),
        (COMPLETION, {"prompt": [1, 2.5]}, "body.prompt[1]: expected "),
        (COMPLETION, {"prompt": [1, True]}, "body.prompt[1]: expected "),
        (COMPLETION, {"prompt": [1, "a"]}, "body.prompt[1]: expected a token id as before"),
        (COMPLETION, {"prompt": ["a", 1]}, "body.prompt[1]: expected a text as before, got 1"),
        (COMPLETION, {"prompt": [[1], "a"]}, "body.prompt[1]: expected a list of token ids as"),
        (RESPONSE, {}, "body.input: expected a text or a list, got nothing"),
        (RESPONSE, {"input": []}, "body.input: expected a list of at least one, got []"),
        (RESPONSE, {"input": "x", "max_output_tokens": 0}, "body.max_output_tokens: expected"),
    ],
)
def test_a_body_that_the_endpoint_does_not_take_is_refused_by_field(
    url: str, body: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError) as error:
        asked(url, **body)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
