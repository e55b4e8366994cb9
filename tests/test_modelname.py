"""When a model's name is taken for the one that a profile has the step times of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmsched.hardware import load_profile
from llmsched.modelname import other_models
from llmsched.trace import Trace


def warnings(profile: str, *models: str) -> list[str]:
    trace = Trace.from_columns([0], [1], [1], name="t.json", models=models)
    return other_models(trace, load_profile(profile))


@pytest.mark.parametrize(
    ("profile", "model"),
    [
        ("llama3-8b-a100", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("llama3-8b-a100", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama3-8b-a100", "NousResearch/Hermes-3-Llama-3.1-8B"),
        ("llama3-8b-a100", "llama3:8b"),
        ("llama3-8b-a100", "/models/Meta_Llama_3_8B.Q4.gguf"),
        ("llama3.1-8b-rtx4090", "llama-3-8b-instruct-awq"),
        ("llama-65b-a100x8", "huggyllama/llama-65b"),
        ("llama65b-8gpu-paper", "meta-llama-65b"),
        ("llama2-70b-a100x4", "meta-llama/Llama-2-70b-chat-hf"),
        ("qwen-72b-a100x8", "Qwen/Qwen-72B-Chat"),
    ],
)
def test_the_same_model_under_another_name_is_no_other(profile: str, model: str) -> None:
    assert warnings(profile, model) == []


@pytest.mark.parametrize("model", ["m", "gpt-4o-mini", "ChatGPT", "my-model", "/models/best", ""])
def test_a_name_that_says_nothing_of_the_shape_is_believed(model: str) -> None:
    assert warnings("llama3-8b-a100", model) == []


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Llama-2-70b-hf",
        "meta-llama/Llama-3.3-70B-Instruct",
        "Llama-3.2-1B",
        "Qwen/Qwen2.5-7B",
        "mixtral-8x7b",
        "codellama/CodeLlama-34b",
        "deepseek-ai/DeepSeek-V3",
        "microsoft/phi-4",
    ],
)
def test_another_family_version_or_size_is_another_model(model: str) -> None:
    assert warnings("llama3-8b-a100", model) == [
        f"t.json: names the model {model!r}, but llama3-8b-a100 has the step times of llama3-8b; "
        "see `llmsched hardware list`"
    ]


def test_many_models_are_one_line_that_no_control_character_leaves() -> None:
    (line,) = warnings("llama3-8b-a100", "llama3-8b", "opt-6.7b\x1b[2J\n", "opt-13b")
    assert line.startswith("t.json: names the model 'opt-6.7b\\x1b[2J\\n' and 1 more, but")


def test_a_profile_that_names_no_model_is_believed() -> None:
    trace = Trace.from_columns([0], [1], [1], models=("mixtral-8x7b",))
    assert other_models(trace, replace(load_profile("llama3-8b-a100"), model={})) == []
