"""Which GPUs there are, as NVML tells it, and which of them somebody else fills."""

import ast
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pynvml
import pytest

from tests.fakes import nvml
from tuning.deployers import gpus
from tuning.deployers.gpus import Gpu, Process, discover, foreign, survey

ROOT = Path(__file__).parents[2]
Plug = Callable[..., None]
NOBODY = 2**22 + 1
"""Above the highest process id that Linux gives."""


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Puts GPUs into this machine; the library is closed again by the end."""
    path = tmp_path / "gpus.json"
    monkeypatch.setenv(nvml.VARIABLE, str(path))
    monkeypatch.setattr(gpus, "pynvml", nvml)
    yield lambda *described, fails=None: nvml.write(path, described, fails)
    assert nvml.left_open() == 0


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is not ours."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def uuids(found: list[Gpu]) -> list[str]:
    return [gpu.uuid for gpu in found]


def gpu(used_mib: int | None = None, *processes: Process, memory_mib: int | None = 81559) -> Gpu:
    return Gpu(0, "GPU-a", "NVIDIA H100", memory_mib, used_mib, processes)


def test_a_gpu_is_read(plug: Plug) -> None:
    plug(
        {
            "uuid": "GPU-a",
            "name": "NVIDIA L4",
            "memory_mib": 23034,
            "used_mib": 4,
            "processes": [{"pid": os.getpid(), "used_mib": 6}],
            "utilisation_percent": 87,
            "temperature_c": 61,
            "power_w": 58.125,
        }
    )
    assert discover() == [Gpu(0, "GPU-a", "NVIDIA L4", 23034, 10, (Process(os.getpid(), 6),), 87, 61, 58.125)]


READINGS: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
    ("memory is N/A", {"memory_mib": None}, {"memory_mib": None, "used_mib": None}),
    ("memory in use is N/A", {"used_mib": None}, {"memory_mib": None, "used_mib": None}),
    ("unified memory is counted as 0", {"memory_mib": 0}, {"memory_mib": None, "used_mib": None}),
    ("an older driver", {"fails": {"nvmlDeviceGetMemoryInfo_v2": "FunctionNotFound"}}, {"used_mib": 500}),
    ("the name is N/A", {"name": None}, {"name": "GPU"}),
    ("processes are not supported (vGPU)", {"fails": {"nvmlDeviceGetComputeRunningProcesses": "NotSupported"}}, {}),
    ("processes are not permitted", {"fails": {"nvmlDeviceGetComputeRunningProcesses": "NoPermission"}}, {}),
    ("MPS is not known to the driver", {"fails": {"nvmlDeviceGetMPSComputeRunningProcesses": "FunctionNotFound"}}, {}),
    ("MIG is not supported", {"fails": {"nvmlDeviceGetMigMode": "NotSupported"}}, {}),
    ("the bus is not supported", {"fails": {"nvmlDeviceGetPciInfo": "NotSupported"}}, {}),
    ("the utilisation is N/A (vGPU)", {"utilisation_percent": None}, {"utilisation_percent": None}),
    (
        "the utilisation is not supported",
        {"fails": {"nvmlDeviceGetUtilizationRates": "NotSupported"}},
        {"utilisation_percent": None},
    ),
    ("the temperature is N/A", {"temperature_c": None}, {"temperature_c": None}),
    (
        "the temperature is not permitted",
        {"fails": {"nvmlDeviceGetTemperature": "NoPermission"}},
        {"temperature_c": None},
    ),
    ("the power is N/A (laptops)", {"power_w": None}, {"power_w": None}),
    ("the power is not known just now", {"fails": {"nvmlDeviceGetPowerUsage": "Unknown"}}, {"power_w": None}),
    ("a GPU rests", {"utilisation_percent": 0, "power_w": 0}, {"utilisation_percent": 0, "power_w": 0.0}),
    (
        "the memory of a process is N/A (WSL)",
        {"processes": [{"pid": os.getpid(), "used_mib": None}]},
        {"processes": (Process(os.getpid(), None),)},
    ),
    (
        "a process computes and draws",
        {"processes": [{"pid": os.getpid(), "used_mib": 7, "kinds": ["compute", "graphics"]}]},
        {"processes": (Process(os.getpid(), 7),), "used_mib": 7},
    ),
    ("a process has ended", {"processes": [{"pid": NOBODY, "used_mib": 7}]}, {}),
]


@pytest.mark.parametrize(("described", "expected"), [row[1:] for row in READINGS], ids=[row[0] for row in READINGS])
def test_a_reading_that_is_not_available_hides_no_gpu(
    plug: Plug, described: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Pitfall C3a: "[N/A]" was read as "no GPUs"."""
    whole = {"name": "NVIDIA L4", "memory_mib": 23034, "utilisation_percent": 40, "temperature_c": 55, "power_w": 33.5}
    plug({"uuid": "GPU-a", **whole, **described}, {"uuid": "GPU-b"})
    (first, second) = discover()
    usual = {"index": 0, "uuid": "GPU-a", "name": "NVIDIA L4", "memory_mib": 23034, "used_mib": 0, "processes": ()}
    usual |= {"utilisation_percent": 40, "temperature_c": 55, "power_w": 33.5}
    assert first == Gpu(**{**usual, **expected})
    assert (second.index, second.uuid) == (1, "GPU-b")


def test_the_values_that_mean_not_available_are_no_numbers() -> None:
    assert gpus._mib(pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value) is None
    assert gpus._known(pynvml.NVML_VALUE_NOT_AVAILABLE_uint.value) is None


def test_gpus_are_numbered_by_their_place_on_the_bus(plug: Plug) -> None:
    """Pitfall C3b. NVML promises no order; engines count with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
    plug(
        {"uuid": "GPU-far", "domain": 1, "bus": 0},
        {"uuid": "GPU-late", "bus": 0xCA},
        {"uuid": "GPU-early", "bus": 0x17},
    )
    assert [(gpu.index, gpu.uuid) for gpu in discover()] == [(0, "GPU-early"), (1, "GPU-late"), (2, "GPU-far")]
    assert uuids(discover(["0"])) == ["GPU-early"]


@pytest.mark.parametrize("function", ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID"])
@pytest.mark.parametrize("error", ["GpuIsLost", "NoPermission", "Unknown"])
def test_a_gpu_that_is_lost_does_not_take_the_others_or_their_numbers_with_it(
    plug: Plug, function: str, error: str
) -> None:
    plug({"uuid": "GPU-a"}, {"uuid": "GPU-b", "fails": {function: error}}, {"uuid": "GPU-c"})
    found = survey()
    assert [(gpu.index, gpu.uuid) for gpu in found.gpus] == [(0, "GPU-a"), (2, "GPU-c")]
    assert found.notes == (f"GPU 1 cannot be read: {getattr(pynvml, f'NVMLError_{error}')()}",)
    with pytest.raises(ValueError, match="GPU 1 cannot be read"):
        discover(["0", "1"])


def test_the_instances_of_a_gpu_in_mig_mode_are_seen_in_its_place(plug: Plug) -> None:
    """Pitfall C3a."""
    slices = [
        {"uuid": "MIG-x", "name": "NVIDIA A100 MIG 1g.5gb", "memory_mib": 4864},
        {"uuid": "MIG-lost", "fails": {"nvmlDeviceGetUUID": "NotFound"}},
        {"uuid": "MIG-y", "memory_mib": None, "processes": [{"pid": os.getpid(), "used_mib": None}]},
    ]
    plug({"uuid": "GPU-a"}, {"uuid": "GPU-b", "mig": slices}, {"uuid": "GPU-c"})
    found = discover()
    assert [(gpu.index, gpu.uuid, gpu.memory_mib) for gpu in found] == [
        (0, "GPU-a", 81559),
        (1, "MIG-x", 4864),
        (1, "MIG-y", None),
        (2, "GPU-c", 81559),
    ]
    assert found[2].processes == (Process(os.getpid(), None),)
    read = [(gpu.utilisation_percent, gpu.temperature_c, gpu.power_w) for gpu in found]
    assert read == [(0, 30, 70.0), (None, None, None), (None, None, None), (0, 30, 70.0)]
    for both in ("1", "GPU-b"):
        assert uuids(discover([both])) == ["MIG-x", "MIG-y"]
    assert uuids(discover(["mig-y"])) == ["MIG-y"]


def test_a_gpu_in_mig_mode_without_instances_is_no_gpu(plug: Plug) -> None:
    plug({"uuid": "GPU-a", "mig": []}, {"uuid": "GPU-b"})
    found = survey()
    assert uuids(list(found.gpus)) == ["GPU-b"]
    assert found.notes == ("GPU 0 is in MIG mode and has no instance",)
    with pytest.raises(ValueError, match="GPU 0 is in MIG mode and has no instance"):
        discover(["GPU-a"])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["all"], ["GPU-1a2b", "GPU-1a3c", "GPU-9d"]),
        (["ALL"], ["GPU-1a2b", "GPU-1a3c", "GPU-9d"]),
        (["none"], []),
        ([], []),
        (["2", "0"], ["GPU-1a2b", "GPU-9d"]),
        (["1", "1", "GPU-1a3c"], ["GPU-1a3c"]),
        (["GPU-9"], ["GPU-9d"]),
        (["gpu-1A2"], ["GPU-1a2b"]),
    ],
)
def test_gpus_are_chosen_by_number_uuid_or_its_beginning(plug: Plug, wanted: list[str], expected: list[str]) -> None:
    plug({"uuid": "GPU-1a2b"}, {"uuid": "GPU-1a3c"}, {"uuid": "GPU-9d"})
    assert uuids(discover(wanted)) == expected


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (["7"], r"there is no GPU 7; NVML finds 0 \(GPU-1a2b\), 1 \(GPU-1a3c\)"),
        (["0", "GPU-b"], "there is no GPU GPU-b"),
        (["GPU-1a"], "GPU-1a is the beginning of several GPUs: GPU-1a2b, GPU-1a3c"),
        (["-1"], "there is no GPU -1"),
        ([""], "there is no GPU"),
        (["none", "0"], "there is no GPU none"),
    ],
)
def test_a_gpu_that_is_named_and_not_there_is_refused(plug: Plug, wanted: list[str], sentence: str) -> None:
    """Pitfall C3b: ids were assumed instead."""
    plug({"uuid": "GPU-1a2b"}, {"uuid": "GPU-1a3c"})
    with pytest.raises(ValueError, match=sentence):
        discover(wanted)


def test_nothing_is_assumed_without_a_driver(plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall C3b."""
    monkeypatch.delenv(nvml.VARIABLE)
    assert survey() == gpus.Survey(())
    assert discover(["none"]) == []
    with pytest.raises(ValueError, match="there is no GPU 0; NVML finds none"):
        discover(["0"])


@pytest.mark.parametrize("function", ["nvmlInit", "nvmlDeviceGetCount"])
@pytest.mark.parametrize("error", ["LibRmVersionMismatch", "NoPermission", "Unknown"])
def test_a_driver_that_fails_means_no_gpus_and_says_why(plug: Plug, function: str, error: str) -> None:
    plug({"uuid": "GPU-a"}, fails={function: error})
    assert discover() == []
    assert survey().notes == (f"the NVIDIA driver cannot be read: {getattr(pynvml, f'NVMLError_{error}')()}",)
    with pytest.raises(ValueError, match="there is no GPU 0; the NVIDIA driver cannot be read"):
        discover(["0"])


def test_a_driver_may_go_and_come_back(plug: Plug) -> None:
    for _ in range(3):
        plug({"uuid": "GPU-a"})
        assert uuids(discover()) == ["GPU-a"]
        plug(fails={"nvmlInit": "DriverNotLoaded"})
        assert discover() == []
    plug({"uuid": "GPU-new"})
    assert uuids(discover()) == ["GPU-new"]


def test_threads_may_ask_at_the_same_time(plug: Plug) -> None:
    plug({"uuid": "GPU-a"}, {"uuid": "GPU-b", "mig": [{"uuid": "MIG-x"}]})
    answers: list[list[str]] = []

    def ask() -> None:
        answers.extend(uuids(discover()) for _ in range(50))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [["GPU-a", "MIG-x"]] * 400


def test_a_process_that_fills_a_gpu_is_named_until_it_ends(plug: Plug, stranger: subprocess.Popen[bytes]) -> None:
    """Pitfall C4: memory is what the driver counts, never what a name suggests."""
    plug({"uuid": "GPU-a", "processes": [{"pid": stranger.pid, "used_mib": 40960}]}, {"uuid": "GPU-b"})
    filled, free = discover()
    assert foreign(free, ()) == ""
    assert foreign(filled, ()).startswith(f"process {stranger.pid} (python")
    assert foreign(filled, ()).endswith(") uses 40,960 MiB")
    assert foreign(filled, {stranger.pid}) == ""
    stranger.communicate()
    assert foreign(discover()[0], ()) == ""


@pytest.mark.parametrize(
    ("seen", "ours", "sentence"),
    [
        (gpu(0), (), ""),
        (gpu(None), (), ""),
        (gpu(4077), (), ""),
        (gpu(4078), (), "4,078 MiB are used by processes that cannot be seen"),
        (gpu(1024, memory_mib=8192), (), ""),
        (gpu(1025, memory_mib=8192), (), "1,025 MiB are used by processes that cannot be seen"),
        (gpu(900, Process(NOBODY, 700)), (), ""),
        (gpu(39000, Process(NOBODY, 88)), (), "38,912 MiB are used by processes that cannot be seen"),
        (gpu(41500, Process(NOBODY, 40960)), (), f"process {NOBODY} uses 40,960 MiB"),
        (gpu(5000, Process(NOBODY, 3000)), (), f"process {NOBODY} uses 3,000 MiB"),
        (gpu(None, Process(NOBODY, 2000), memory_mib=None), (), f"process {NOBODY} uses 2,000 MiB"),
        (gpu(None, Process(NOBODY, None), memory_mib=None), (), ""),
        (gpu(9000, Process(NOBODY, None)), (), f"process {NOBODY} runs on it, and 9,000 MiB are in use"),
        (
            gpu(9000, *(Process(NOBODY + i, 1000 + i) for i in range(5))),
            (),
            f"processes {NOBODY + 4}, {NOBODY + 3}, {NOBODY + 2} and 2 more use 5,010 MiB",
        ),
        (gpu(72000, Process(1, 71500)), {1}, ""),
        (gpu(72000, Process(1, None)), {1}, ""),
        (gpu(72000, Process(1, 40000)), {1}, "32,000 MiB are used by processes that cannot be seen"),
        (gpu(72000, Process(1, 40000), Process(NOBODY, 30000)), {1}, f"process {NOBODY} uses 30,000 MiB"),
        (gpu(72000, Process(1, None), Process(NOBODY, 30000)), {1}, f"process {NOBODY} uses 30,000 MiB"),
    ],
)
def test_what_others_use_is_told_from_what_is_ours(seen: Gpu, ours: set[int], sentence: str) -> None:
    assert foreign(seen, ours) == sentence


def asked_of_the_library() -> set[str]:
    """The names that gpus.py takes from pynvml."""
    nodes = ast.walk(ast.parse(inspect.getsource(gpus)))
    attributes = (node for node in nodes if isinstance(node, ast.Attribute))
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "pynvml"}


@pytest.mark.parametrize("name", sorted(asked_of_the_library()))
def test_the_library_and_its_stand_in_both_have_what_is_asked_of_them(name: str) -> None:
    ours, theirs = getattr(nvml, name), getattr(pynvml, name)
    if name.startswith("nvmlDevice") or not callable(theirs):
        parameters = inspect.signature(ours).parameters if callable(ours) else {}
        assert list(parameters) == (list(inspect.signature(theirs).parameters) if callable(theirs) else [])
    else:
        assert callable(ours)


def test_the_errors_of_the_library_are_one_family() -> None:
    for name in asked_of_the_library() | {"NVMLError_GpuIsLost", "NVMLError_NotSupported", "NVMLError_NoPermission"}:
        if name.startswith("NVMLError"):
            assert issubclass(getattr(pynvml, name), pynvml.NVMLError)


def test_the_real_library_is_believed() -> None:
    """Where there is no driver, as on most machines that run this, there are no GPUs and no notes."""
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        assert survey() == gpus.Survey(())
        return
    pynvml.nvmlShutdown()
    assert survey() != gpus.Survey(())
    assert pynvml._nvmlLib_refcount == 0


def test_another_process_sees_the_gpus_of_the_file(plug: Plug) -> None:
    """How a worker of the chaos run gets its GPUs."""
    plug({"uuid": "GPU-a"}, {"uuid": "GPU-b"}, {"uuid": "GPU-c"})
    program = "from tests.fakes import nvml; nvml.install(); from tuning.deployers import gpus; print(gpus.discover())"
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT)
    assert answer.stdout == f"{discover()}\n"
