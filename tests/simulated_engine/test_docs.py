"""The guide tells the truth: its commands run, and its tables of flags are the program's."""

import json
import re
import shlex
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest

from simulated_engine.flags import ENGINE_FLAGS, FAILURES, SIMULATION_FLAGS, Flag
from tests.simulated_engine.conftest import StartEngine

GUIDE = Path(__file__).parents[2] / "docs" / "simulated-engine.md"
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
SERVE = "python -m simulated_engine serve "


def table(flags: Sequence[Flag]) -> str:
    """The table of the guide; print it after a change of the flags."""
    rows = [f"| `--{flag.name}` | {_values(flag)} | {_default(flag)} | {flag.help} |" for flag in flags]
    return "\n".join(["| flag | values | default | |", "|---|---|---|---|", *rows])


def _values(flag: Flag) -> str:
    if flag.choices:
        return ", ".join(flag.choices)
    low, high = flag.minimum, flag.maximum
    limits = f" {low:g} to {high:g}" if low is not None and high is not None else f" from {low:g}" if low else ""
    return flag.kind + limits


def _default(flag: Flag) -> str:
    match flag.default:
        case None:
            return ""
        case bool():
            return "on" if flag.default else "off"
        case _:
            return str(flag.default)


@pytest.mark.parametrize("flags", [ENGINE_FLAGS, SIMULATION_FLAGS], ids=["engine", "simulation"])
def test_the_tables_of_flags_are_those_of_the_program(flags: Sequence[Flag]) -> None:
    assert table(flags) in GUIDE.read_text(encoding="utf-8"), f"put this into the guide:\n{table(flags)}"


def test_every_failure_is_explained() -> None:
    assert all(f"`{failure}`" in GUIDE.read_text(encoding="utf-8") for failure in FAILURES if failure != "none")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith(SERVE)])
def test_the_documented_command_starts_an_engine(start_engine: StartEngine, command: str) -> None:
    model, *flags = shlex.split(command.removeprefix(SERVE).replace("--port 8000", ""))
    assert start_engine(*flags, model=model).url().startswith("http://127.0.0.1:")


def test_the_documented_request_is_answered(start_engine: StartEngine) -> None:
    url = start_engine(model="my-model").url()
    (command,) = [command for command in COMMANDS if command.startswith("curl ")]
    words = shlex.split(command.replace("http://127.0.0.1:8000", url).replace("\\\n", ""))
    body, header = (words[words.index(option) + 1] for option in ("-d", "-H"))
    address = next(word for word in words if word.startswith(url))
    request = urllib.request.Request(address, body.encode(), dict([header.split(": ")]))
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["usage"]["completion_tokens"] == 8
