"""What fits into the simulated GPU."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from simulated_engine.cli import parse
from simulated_engine.errors import ConfigError, EngineDeadError, StartupError
from simulated_engine.memory import MemoryPlan, plan_memory
from simulated_engine.model import DEFAULT_MODEL, load_model
from simulated_engine.timing import StepLoad, step_cost


def plan(*flags: str) -> MemoryPlan:
    return plan_memory(parse(["serve", "sim", *flags]), DEFAULT_MODEL)


def test_more_utilisation_and_an_8_bit_cache_hold_more_tokens() -> None:
    default = plan().kv_tokens
    assert plan("--gpu-memory-utilization", "0.95").kv_tokens > 1.3 * default
    assert plan("--kv-cache-dtype", "fp8").kv_tokens == pytest.approx(2 * default, abs=16)
    assert plan("--max-num-batched-tokens", "8192").kv_tokens < default
    assert plan("--tensor-parallel-size", "2").kv_tokens > 5 * default


@pytest.mark.parametrize(
    ("flags", "exception", "text"),
    [
        (
            ["--gpu-memory-utilization", "0.75"],
            "ValueError",
            "No available memory for the cache blocks. Try increasing",
        ),
        (["--gpu-memory-utilization", "0.83"], "ValueError", "To serve at least one request with the models's max seq"),
        (["--gpu-memory-utilization", "0.99"], "ValueError", "is less than desired GPU memory utilization (0.99, "),
        (["--block-size", "7"], "ValueError", "No common block size for 7."),
        (["--dtype", "float32"], "torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate"),
        (["--simulate-gpu-memory-gib", "8"], "torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate"),
    ],
)
def test_what_does_not_fit_fails_at_start_in_the_words_of_the_real_engine(
    flags: list[str], exception: str, text: str
) -> None:
    with pytest.raises(StartupError) as caught:
        plan(*flags)
    assert caught.value.exception == exception
    assert text in str(caught.value)


def test_the_default_survives_its_largest_step_and_a_greedy_configuration_does_not() -> None:
    plan().check_step(2048, 256)
    plan("--gpu-memory-utilization", "0.96", "--max-num-batched-tokens", "2048").check_step(2048, 32)
    greedy = plan("--gpu-memory-utilization", "0.96", "--max-num-batched-tokens", "8192")
    greedy.check_step(2048, 32)
    with pytest.raises(EngineDeadError, match="CUDA out of memory"):
        greedy.check_step(8192, 32)


def test_sizes_come_from_config_json(tmp_path: Path) -> None:
    config = {
        "num_hidden_layers": 4,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "vocab_size": 2048,
        "max_position_embeddings": 4096,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    shape = load_model(parse(["serve", str(tmp_path)]))
    assert shape.kv_values_per_token() == 2 * 4 * 4 * 32
    assert shape.max_position == 4096
    assert shape.parameters == 4 * (2 * 256 * 32 * 12 + 3 * 256 * 688) + 2 * 2048 * 256


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"num_hidden_layers": "many"}', '{"num_hidden_layers": 0}'])
def test_an_unreadable_config_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match="Invalid repository ID or local directory"):
        load_model(parse(["serve", str(tmp_path)]))


def test_too_few_gpus_are_refused() -> None:
    with pytest.raises(StartupError, match="World size"):
        load_model(parse(["serve", "sim", "--tensor-parallel-size", "8", "--data-parallel-size", "2"]))


DECODE = StepLoad(prefill_tokens=0, decode_sequences=32, sequences=32, context_tokens=32_000, attention_pairs=0)
PREFILL = StepLoad(prefill_tokens=2048, decode_sequences=0, sequences=2, context_tokens=0, attention_pairs=2048 * 512)


def seconds(load: StepLoad, *flags: str) -> float:
    return step_cost(parse(["serve", "sim", *flags]), DEFAULT_MODEL).seconds(load)


def test_every_flag_that_costs_or_saves_time_does_so() -> None:
    decode, prefill = seconds(DECODE), seconds(PREFILL)
    assert seconds(DECODE, "--enforce-eager") > decode
    assert seconds(DECODE, "--async-scheduling") < decode
    assert seconds(DECODE, "--stream-interval", "8") < decode
    assert seconds(DECODE, "--kv-cache-dtype", "fp8") < decode
    assert seconds(DECODE, "--quantization", "fp8") < 0.7 * decode
    assert seconds(PREFILL, "--quantization", "awq") > prefill
    assert seconds(PREFILL, "--dtype", "float32") > 1.8 * prefill


def test_two_gpus_are_faster_than_one_but_not_twice_as_fast() -> None:
    for load in (DECODE, PREFILL):
        assert 0.5 * seconds(load) < seconds(load, "--tensor-parallel-size", "2") < 0.9 * seconds(load)


def test_a_larger_batch_gives_more_throughput_and_a_slower_step() -> None:
    double = replace(DECODE, decode_sequences=64, sequences=64, context_tokens=64_000)
    assert seconds(DECODE) < seconds(double) < 1.5 * seconds(DECODE)
