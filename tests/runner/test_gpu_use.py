"""What GPUs do during a load point: sampled beside it, summed up, and kept with the measurement."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import nvml
from tests.runner.begun import Begun, long
from tests.runner.factories import run, task
from tuning.deployers import gpus
from tuning.deployers.gpus import Gpu
from tuning.models import Experiment, MeasurementRow, Worker
from tuning.runner import gpu_use, repeating
from tuning.runner.foreground import Progress
from tuning.runner.gpu_use import Sample, summary, watched
from tuning.runner.worker import WorkerProcess

Plug = Callable[..., None]

IDLE = {"utilisation_percent": 0, "used_mib": 600, "temperature_c": 30, "power_w": 70}
BUSY = {"utilisation_percent": 98, "used_mib": 71000, "temperature_c": 64, "power_w": 640.25}


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Puts GPUs into this machine, which are read all the time."""
    path = tmp_path / "gpus.json"
    monkeypatch.setenv(nvml.VARIABLE, str(path))
    monkeypatch.setattr(gpus, "pynvml", nvml)
    monkeypatch.setattr(gpu_use, "SAMPLE_EVERY_S", 0.01)

    def plug(*readings: dict[str, Any]) -> None:
        nvml.write(
            path, [{"uuid": f"GPU-{index}", "name": "NVIDIA H100", **each} for index, each in enumerate(readings)]
        )

    return plug


def gpu(index: int = 0, uuid: str = "GPU-a", **readings: Any) -> Gpu:
    columns = {"memory_mib": 81559, "used_mib": None, "processes": (), **readings}
    return Gpu(index=index, uuid=uuid, name="NVIDIA H100", **columns)


def watching() -> int:
    """How many threads sample GPUs now."""
    return sum(thread.name == "gpu use" for thread in threading.enumerate())


def test_samples_become_means_and_maxima() -> None:
    samples = [Sample(1.02, (gpu(**IDLE),)), Sample(2.04, (gpu(**BUSY),)), Sample(2.51, (gpu(**BUSY),))]
    assert summary(samples) == [
        {
            "gpu": 0,
            "name": "NVIDIA H100",
            "seconds": 2.5,
            "utilisation_percent": {"mean": 65.3, "max": 98},
            "used_mib": {"mean": 47533.3, "max": 71000},
            "memory_mib": 81559,
            "power_w": {"mean": 450.2, "max": 640.2},
            "temperature_c": {"max": 64},
        }
    ]


def test_what_was_never_told_is_null_and_what_was_told_once_counts() -> None:
    mute = gpu(memory_mib=None)
    (use,) = summary([Sample(1, (mute,)), Sample(2, (mute,))])
    assert use == {
        "gpu": 0,
        "name": "NVIDIA H100",
        "seconds": 2,
        "utilisation_percent": None,
        "used_mib": None,
        "memory_mib": None,
        "power_w": None,
        "temperature_c": None,
    }
    (use,) = summary([Sample(1, (mute,)), Sample(2, (gpu(utilisation_percent=0, power_w=0.0, temperature_c=0),))])
    assert isinstance(use, dict)
    zero = {"mean": 0, "max": 0}
    assert (use["utilisation_percent"], use["power_w"], use["temperature_c"]) == (zero, zero, {"max": 0})


def test_each_gpu_and_each_instance_has_its_own_entry_for_as_long_as_it_was_seen() -> None:
    """A GPU that falls off the bus takes nothing of the others with it."""
    whole, lost = gpu(0, "GPU-a"), gpu(1, "GPU-b")
    parts = (gpu(2, "MIG-x", used_mib=1), gpu(2, "MIG-y", used_mib=2))
    uses = summary([Sample(1, (whole, lost, *parts)), Sample(2, ()), Sample(3, (whole, *parts))])
    found = [(use["gpu"], use["seconds"], use["used_mib"]) for use in uses if isinstance(use, dict)]
    one, two = {"mean": 1, "max": 1}, {"mean": 2, "max": 2}
    assert found == [(0, 3, None), (1, 1, None), (2, 3, one), (2, 3, two)]
    assert summary([]) == summary([Sample(1, ())]) == []


def test_only_the_devices_of_the_experiment_are_sampled_until_the_end(plug: Plug) -> None:
    """The last sample is taken at the end, so that a load of less than a second has one too."""
    plug(IDLE, {"mig": [{"uuid": "MIG-x"}, {"uuid": "MIG-y"}]}, IDLE)
    with watched(["0", "MIG-y"]) as samples:
        assert watching() == 1
        plug(BUSY, {"mig": [{"uuid": "MIG-x"}, {"uuid": "MIG-y"}]}, IDLE)
    assert watching() == 0
    assert [gpu.uuid for gpu in samples[-1].gpus] == ["GPU-0", "MIG-y"]
    assert samples[-1].gpus[0].utilisation_percent == 98


def test_without_devices_there_is_no_thread(plug: Plug) -> None:
    plug(IDLE)
    with watched([]) as samples:
        assert watching() == 0
    assert summary(samples) == []


def test_the_thread_is_gone_when_the_load_fails(plug: Plug) -> None:
    plug(IDLE)

    def fail() -> None:
        assert watching() == 1
        raise RuntimeError

    with pytest.raises(RuntimeError), watched(["0"]):
        fail()
    assert watching() == 0


def test_a_driver_that_fails_meanwhile_costs_samples_only(plug: Plug, tmp_path: Path) -> None:
    plug(IDLE)
    with watched(["0"]) as samples:
        nvml.write(tmp_path / "gpus.json", [], {"nvmlInit": "Unknown"})
    assert watching() == 0
    assert samples[-1].gpus == ()


def test_a_driver_that_hangs_holds_no_load_point_up(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    plug(IDLE)
    monkeypatch.setattr(repeating, "PATIENCE_S", 0.1)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> gpus.Survey:
        hangs.set()
        assert goes_on.wait(60)
        return gpus.Survey(())

    monkeypatch.setattr(gpu_use, "survey", hang)
    with watched(["0"]) as samples:
        assert hangs.wait(60)
    assert summary(samples) == []
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "gpu use"]
    goes_on.set()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_a_measurement_keeps_what_the_gpus_of_its_experiment_did(plug: Plug) -> None:
    """Of the load point only: nothing is sampled while the engine starts and while it is removed."""
    plug(IDLE, IDLE)
    seen: list[tuple[str, int]] = []

    def look(now: Progress) -> None:
        seen.append((now.phase.split()[0], watching()))
        plug(IDLE, BUSY if now.phase.startswith("load") else IDLE)

    run(task(deployment={"mode": "local", "gpus": [1]}), progress=look)

    (row,) = MeasurementRow.objects.all()
    (use,) = row.gpu_use
    assert (use["gpu"], use["name"], use["memory_mib"]) == (1, "NVIDIA H100", 81559)
    assert use["seconds"] >= row.window_s - 0.1
    assert use["utilisation_percent"] == {"mean": 98, "max": 98}
    assert use["used_mib"] == {"mean": 71000, "max": 71000}
    assert (use["power_w"]["max"], use["temperature_c"]) == (640.2, {"max": 64})
    assert {watched for _, watched in seen} == {0}
    assert watching() == 0


@pytest.mark.django_db(transaction=True)
def test_an_experiment_without_gpus_has_no_gpu_use() -> None:
    """Also where its document names some that NVML does not find."""
    run(task(deployment={"mode": "local", "gpus": [0]}))
    assert [row.gpu_use for row in MeasurementRow.objects.all()] == [[]]


@pytest.mark.django_db(transaction=True)
def test_no_thread_outlives_a_load_that_is_stopped(plug: Plug) -> None:
    plug(IDLE)
    row = long()
    with WorkerProcess(Worker.Kind.WORKER) as worker, Begun(worker, row) as begun:
        worker.stop()
        assert begun.result()
        assert watching() == 0
    row.refresh_from_db()
    assert row.status == Experiment.Status.PENDING
    assert not row.measurements.exists()
