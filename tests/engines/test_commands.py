"""The whole command, and the line that a person pastes."""

import dataclasses
import shlex
from pathlib import Path

import pytest

from tuning.document.base import Parameters
from tuning.document.task import Engine, EngineName
from tuning.engines.base import Command, Launch
from tuning.engines.registry import engine_for
from tuning.engines.shell import is_secret, paste


def launch(name: EngineName, parameters: Parameters | None = None, **engine: object) -> Launch:
    section = Engine.model_validate({"name": name, **engine})
    return Launch(section, "org/model", "tuned", "127.0.0.1", 4321, parameters or {}, python="/ours/python")


SERVER = ["--served-model-name", "tuned", "--host", "127.0.0.1", "--port", "4321"]


@pytest.mark.parametrize(
    ("launched", "arguments"),
    [
        (launch(EngineName.VLLM), ["vllm", "serve", "org/model", *SERVER]),
        (
            launch(EngineName.VLLM, executable=Path("/venv/bin/vllm")),
            ["/venv/bin/vllm", "serve", "org/model", *SERVER],
        ),
        (
            launch(EngineName.VLLM, python=Path("/venv/bin/python")),
            ["/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "org/model", *SERVER],
        ),
        (launch(EngineName.VLLM, {"tp": 2}), ["vllm", "serve", "org/model", *SERVER, "--tensor-parallel-size", "2"]),
        (
            dataclasses.replace(launch(EngineName.VLLM), tokenizer="org/tok"),
            ["vllm", "serve", "org/model", *SERVER, "--tokenizer", "org/tok"],
        ),
        (
            launch(EngineName.SGLANG),
            ["python3", "-m", "sglang.launch_server", "--model-path", "org/model", *SERVER],
        ),
        (
            launch(EngineName.SGLANG, executable=Path("/venv/bin/sglang")),
            ["/venv/bin/sglang", "serve", "--model-path", "org/model", *SERVER],
        ),
        (launch(EngineName.SIMULATED), ["/ours/python", "-m", "simulated_engine", "serve", "org/model", *SERVER]),
    ],
)
def test_an_engine_is_started_with_these_arguments(launched: Launch, arguments: list[str]) -> None:
    """Pitfall C1b: the served name is always given; C10: the interpreter comes from the document."""
    assert list(engine_for(launched.engine.name).command(launched).arguments) == arguments


def test_the_environment_of_document_and_parameters_goes_with_the_command() -> None:
    launched = launch(EngineName.VLLM, {"env:A": "2", "env:B": True, "env:C": None}, environment={"A": "1", "D": "4"})
    assert engine_for(EngineName.VLLM).command(launched).environment == {"A": "2", "B": "1", "D": "4"}


def test_the_pasted_line_serves_on_port_8000_of_all_addresses() -> None:
    launched = launch(EngineName.VLLM, {"chat-template": "it's $HOME; `rm`"}, environment={"A": "x y"})
    line = paste(engine_for(EngineName.VLLM).command(launched))
    environment, *words = shlex.split(line)
    assert environment == "A=x y"
    assert words[:3] == ["vllm", "serve", "org/model"]
    assert words[words.index("--host") + 1] == "0.0.0.0"  # noqa: S104
    assert words[words.index("--port") + 1] == "8000"
    assert words[-1] == "it's $HOME; `rm`"


def test_the_pasted_line_shows_no_secret() -> None:
    """Pitfall D6: a planted token is in no line that a person sees."""
    command = Command(("vllm",), {"HF_TOKEN": "hf_planted", "TOKENIZERS_PARALLELISM": "false"})
    assert paste(command) == 'HF_TOKEN="$HF_TOKEN" TOKENIZERS_PARALLELISM=false vllm'


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("HF_TOKEN", True),
        ("HUGGING_FACE_HUB_TOKEN", True),
        ("AWS_SECRET_ACCESS_KEY", True),
        ("DB_PASSWORD", True),
        ("TOKENIZERS_PARALLELISM", False),
        ("VLLM_KEYWORDS", False),
        ("HF_HOME", False),
    ],
)
def test_secrets_are_known_by_name(variable: str, secret: bool) -> None:
    assert is_secret(variable) is secret
