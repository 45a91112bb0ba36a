"""Engines and load generators for the tests."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulated_engine.processes import EngineProcess
from tuning.benchmarks.genai_bench import default_executable

TTFT_MS, TPOT_MS = 50.0, 10.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The address of a simulated engine with a TTFT of 50 ms and a TPOT of 10 ms."""
    process = EngineProcess("--simulate-ttft-ms", f"{TTFT_MS:g}", "--simulate-tpot-ms", f"{TPOT_MS:g}")
    try:
        yield process.url()
    finally:
        process.close()


@dataclass(frozen=True)
class Tool:
    """A genai-bench: its executable, and a tokenizer folder that it can use."""

    executable: Path
    tokenizer: str


@pytest.fixture(scope="session", params=["stand-in", pytest.param("real", marks=pytest.mark.real)])
def tool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """The stand-in, and the real tool where it is asked for."""
    folder = tmp_path_factory.mktemp("tool")
    if request.param == "real":
        return _real_tool(folder)
    script = folder / "genai-bench"
    script.write_text(f"#!{sys.executable}\n" + (Path(__file__).parent / "stand_in.py").read_text())
    script.chmod(0o755)
    return Tool(script, str(folder))


def _real_tool(folder: Path) -> Tool:
    executable = Path(os.environ.get("AUTOTUNER_GENAI_BENCH") or default_executable())
    assert executable.exists(), f"genai-bench is not at {executable}: run `manage.py install_genai_bench` first"
    model = folder / "tiny-model"
    python = executable.with_name("python")
    subprocess.run([python, ROOT / "examples" / "make_tiny_model.py", model], check=True, stdout=subprocess.DEVNULL)
    return Tool(executable, str(model))
