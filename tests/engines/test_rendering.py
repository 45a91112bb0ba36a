"""How a configuration becomes flags (facts: one table for all engines)."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuning.document.task import EngineName
from tuning.engines.base import Engine, identity
from tuning.engines.flags import Kind
from tuning.engines.registry import engine_for
from tuning.engines.sglang import TABLE as SGLANG
from tuning.engines.simulated import TABLE as SIMULATED
from tuning.engines.vllm import TABLE as VLLM

VLLM_ENGINE, SGLANG_ENGINE, SIMULATED_ENGINE = (engine_for(name) for name in EngineName)
TABLES = {EngineName.VLLM: VLLM, EngineName.SGLANG: SGLANG, EngineName.SIMULATED: SIMULATED}
EVERY_FLAG = [(name, flag) for name, table in TABLES.items() for flag in table.flags if flag.name not in table.refused]


@pytest.mark.parametrize(
    ("engine", "parameters", "flags"),
    [
        (VLLM_ENGINE, {"max-num-seqs": 64}, ["--max-num-seqs", "64"]),
        (VLLM_ENGINE, {"max_num_seqs": 64}, ["--max-num-seqs", "64"]),
        (VLLM_ENGINE, {"--max_num-seqs": 64}, ["--max-num-seqs", "64"]),
        (VLLM_ENGINE, {"gpu-memory-utilization": 0.85}, ["--gpu-memory-utilization", "0.85"]),
        (VLLM_ENGINE, {"enable-prefix-caching": True}, ["--enable-prefix-caching"]),
        (VLLM_ENGINE, {"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
        (VLLM_ENGINE, {"no-enable-prefix-caching": True}, ["--no-enable-prefix-caching"]),
        (VLLM_ENGINE, {"enable-prefix-caching": None, "quantization": None}, []),
        (VLLM_ENGINE, {"disable-log-stats": False}, []),
        (VLLM_ENGINE, {"tp": 2}, ["--tensor-parallel-size", "2"]),
        (VLLM_ENGINE, {"tp_size": 2}, ["--tensor-parallel-size", "2"]),
        (VLLM_ENGINE, {"tensor-parallel-size": 1, "pp": 1}, []),
        (VLLM_ENGINE, {"max-model-len": "64k"}, ["--max-model-len", "64k"]),
        (VLLM_ENGINE, {"max-model-len": -1}, ["--max-model-len=-1"]),
        (VLLM_ENGINE, {"cudagraph-capture-sizes": [1, 2, 4]}, ["--cudagraph-capture-sizes", "1", "2", "4"]),
        (VLLM_ENGINE, {"middleware": ["a.b", "c.d"]}, ["--middleware", "a.b", "--middleware", "c.d"]),
        (VLLM_ENGINE, {"speculative-config": {"b": 1, "a": [2]}}, ["--speculative-config", '{"a":[2],"b":1}']),
        (VLLM_ENGINE, {"allowed-origins": ["x", "y"]}, ["--allowed-origins", '["x","y"]']),
        (VLLM_ENGINE, {"compilation_config.max_size": 8}, ["--compilation-config.max_size", "8"]),
        (VLLM_ENGINE, {"compilation-config.flag": True}, ["--compilation-config.flag", "true"]),
        (VLLM_ENGINE, {"reasoning-parser": "--port"}, ["--reasoning-parser=--port"]),
        (VLLM_ENGINE, {"chat-template": "a b\n'c'"}, ["--chat-template", "a b\n'c'"]),
        (VLLM_ENGINE, {"env:VLLM_X": 1, "__note": "x"}, []),
        (VLLM_ENGINE, {"brand-new-flag": [1, {"a": None}]}, ["--brand-new-flag", '[1,{"a":null}]']),
        (SGLANG_ENGINE, {"tensor-parallel-size": 4}, ["--tp-size", "4"]),
        (SGLANG_ENGINE, {"tp": 4, "dp": 2}, ["--tp-size", "4", "--dp-size", "2"]),
        (SGLANG_ENGINE, {"disable-radix-cache": True}, ["--disable-radix-cache"]),
        (SGLANG_ENGINE, {"disable-radix-cache": False}, []),
        (SGLANG_ENGINE, {"chunked-prefill-size": -1}, ["--chunked-prefill-size=-1"]),
        (SGLANG_ENGINE, {"cuda-graph-bs": [1, 8]}, ["--cuda-graph-bs", "1", "8"]),
        (SGLANG_ENGINE, {"json-model-override-args": {"x": 1}}, ["--json-model-override-args", '{"x":1}']),
        (SIMULATED_ENGINE, {"enable_chunked_prefill": False}, ["--no-enable-chunked-prefill"]),
        (SIMULATED_ENGINE, {"simulate-time-scale": 0.01}, ["--simulate-time-scale", "0.01"]),
        (SIMULATED_ENGINE, {"block-size": 16}, ["--block-size", "16"]),
    ],
)
def test_parameters_become_exactly_these_flags(engine: Engine, parameters: dict, flags: list[str]) -> None:
    """Engine facts 5 and 14.1; Pitfall B1: what is tuned reaches the command."""
    assert engine.flags(parameters) == flags


@pytest.mark.parametrize("name", list(EngineName))
def test_true_and_false_start_different_servers(name: EngineName) -> None:
    """Engine facts 14.3: a sweep over [true, false] never measures one server twice."""
    engine = engine_for(name)
    switches = [flag.name for engine_, flag in EVERY_FLAG if engine_ is name and flag.kind is Kind.BOOLEAN]
    assert len(switches) > 5
    assert [switch for switch in switches if engine.flags({switch: True}) == engine.flags({switch: False})] == []


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    # what went wrong elsewhere
    | st.sampled_from(["None", "", "--port", "-1", "a b", "null", 'x"y']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
names = st.sampled_from([flag.name for _, flag in EVERY_FLAG]) | st.text("abc-_.", min_size=1) | st.just("__note")


@unhurried
@given(st.sampled_from(list(EngineName)), st.dictionaries(names, values, max_size=4))
def test_no_rendered_list_has_an_empty_word_or_the_text_none(name: EngineName, parameters: dict) -> None:
    """Pitfall B2: `--quantization None`."""
    engine = engine_for(name)
    words = engine.flags(parameters)
    assert all(isinstance(word, str) and word for word in words)
    assert not any(word.startswith("--__") for word in words)
    if not engine.problems(parameters, allow_unknown_flags=True):
        assert "None" not in words
        assert not any("\0" in word for word in words)


@unhurried
@given(st.sampled_from(list(EngineName)), st.dictionaries(names, values, max_size=4))
def test_order_spelling_and_null_do_not_change_the_identity(name: EngineName, parameters: dict) -> None:
    """Two settings that render to one command are one configuration; it is never run twice."""
    engine = engine_for(name)
    reversed_ = dict(reversed(list(parameters.items())))
    canonical = [name for name in parameters if not name.startswith("__")]
    if len({engine_table(engine, key) for key in canonical}) == len(canonical):
        assert identity(engine, parameters) == identity(engine, {**reversed_, "no-such-thing": None})


def engine_table(engine: Engine, name: str) -> str:
    flag, _ = TABLES[engine.name].setting(name, True)
    return flag.name if flag else name.lstrip("-").replace("_", "-")


@unhurried
@given(st.lists(st.integers() | st.text(), max_size=4), st.dictionaries(st.text(), st.integers(), max_size=3))
def test_json_arguments_can_be_read_back(items: list, mapping: dict) -> None:
    _, text = VLLM_ENGINE.flags({"allowed-origins": items})
    assert json.loads(text) == items
    _, text = VLLM_ENGINE.flags({"speculative-config": mapping})
    assert json.loads(text) == mapping


def test_every_flag_of_every_table_has_one_meaning() -> None:
    for table in TABLES.values():
        spellings = [spelling for flag in table.flags for spelling in (flag.name, *flag.aliases)]
        assert len(spellings) == len(set(spellings))


def test_every_tuned_flag_says_what_it_does() -> None:
    for name, flag in EVERY_FLAG:
        assert flag.help or not flag.tuned, f"{name} {flag.name}"
    assert sum(flag.tuned for flag in VLLM.flags) > 40
    assert sum(flag.tuned for flag in SGLANG.flags) > 50
