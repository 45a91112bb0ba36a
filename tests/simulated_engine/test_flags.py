"""The table of flags, and the command line that is made from it."""

import subprocess
import sys

import pytest

from simulated_engine.cli import parse
from simulated_engine.flags import FLAGS, Flag
from simulated_engine.settings import Settings
from tests.simulated_engine.processes import ROOT, run


def test_the_table_can_be_imported_without_the_server() -> None:
    code = (
        "import sys, simulated_engine.flags; print([m for m in ('aiohttp', 'asyncio', 'argparse') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_parser_and_the_table_agree_on_every_default() -> None:
    settings = parse(["serve", "sim"])
    for flag in FLAGS:
        if flag.attribute in Settings.__slots__:
            assert getattr(settings, flag.attribute) == flag.default, flag.name


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_default_passes_its_own_rule(flag: Flag) -> None:
    assert flag.problem(flag.default) is None


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("max-num-seqs", 0, "must be at least 1"),
        ("max-num-seqs", "8", "must be a whole number"),
        ("max-num-seqs", True, "must be a whole number"),
        ("gpu-memory-utilization", 1.5, "must be at most 1"),
        ("gpu-memory-utilization", float("nan"), "must be at least 0"),
        ("enable-prefix-caching", "yes", "must be true or false"),
        ("kv-cache-dtype", "int3", "must be one of auto, bfloat16, fp8, fp8_e4m3, fp8_e5m2"),
        ("max-num-seqs", 8, None),
        ("gpu-memory-utilization", 1, None),
        ("quantization", None, None),
    ],
)
def test_a_wrong_value_is_explained(name: str, value: object, problem: str | None) -> None:
    (flag,) = [flag for flag in FLAGS if flag.name == name]
    assert flag.problem(value) == problem


def test_a_boolean_has_a_negative_form_and_underscores_are_dashes() -> None:
    settings = parse(["serve", "sim", "--no-enable-prefix-caching", "--max_num_seqs=7", "--enforce-eager"])
    assert (settings.enable_prefix_caching, settings.max_num_seqs, settings.enforce_eager) == (False, 7, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--no-such-flag", "1"], "error: unrecognized arguments: --no-such-flag 1"),
        (["--max-num-seq", "8"], "error: unrecognized arguments: --max-num-seq 8"),
        (["--max-num-seqs", "many"], "error: argument --max-num-seqs: invalid int value: 'many'"),
        (["--kv-cache-dtype", "int3"], "error: argument --kv-cache-dtype: invalid choice: 'int3'"),
        (["--simulate-error-rate", "2"], "error: argument --simulate-error-rate: must be at most 1, got 2.0"),
    ],
)
def test_wrong_usage_ends_with_usage_and_exit_code_2(arguments: list[str], text: str) -> None:
    code, log = run("sim", *arguments)
    assert code == 2
    assert "usage: simulated_engine" in log
    assert text in log


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--max-num-seqs", "0"], "1 validation error for SchedulerConfig"),
        (
            ["--max-num-seqs", "128", "--max-num-batched-tokens", "64"],
            "max_num_batched_tokens (64) must be greater than or equal to max_num_seqs (128).",
        ),
        (["--no-enable-chunked-prefill"], "max_num_batched_tokens (2048) is smaller than max_model_len (8192)."),
        (["--max-model-len", "16384"], "User-specified max_model_len (16384) is greater than the derived"),
        (["--tensor-parallel-size", "3"], "attention heads (32) must be divisible by tensor parallel size (3)."),
    ],
)
def test_a_combination_that_vllm_refuses_is_refused_in_its_words(arguments: list[str], text: str) -> None:
    code, log = run("sim", "--simulate-startup-s", "0", "--port", "0", *arguments)
    assert code == 1
    assert "ValidationError: 1 validation error for" in log
    assert text in log


def test_a_model_folder_that_is_missing_is_refused() -> None:
    code, log = run("/no/such/folder", "--simulate-startup-s", "0", "--port", "0")
    assert code == 1
    assert "Invalid repository ID or local directory specified: '/no/such/folder'" in log
