# ruff: noqa: N802, N816
"""A stand-in for `pynvml`: the GPUs are those of the JSON file that FAKE_NVML names; without it there is no driver.

    {"fails": {"nvmlInit": "LibRmVersionMismatch"},
     "gpus": [{"uuid": "GPU-a", "name": "NVIDIA H100", "bus": 23, "memory_mib": 81559, "used_mib": 600,
               "utilisation_percent": 87, "temperature_c": 61, "power_w": 512.5,
               "processes": [{"pid": 4711, "used_mib": 40960, "kinds": ["compute", "graphics"]}],
               "fails": {"nvmlDeviceGetMemoryInfo": "NotSupported"},
               "mig": [{"uuid": "MIG-b", ...}]}]}

All but `uuid` has a default. `used_mib` is what nobody in the list uses; processes come on top, unless they have ended.
null is what a driver does not tell. "fails" names functions and the NVMLError_* that they raise. "mig" switches MIG on;
utilisation, temperature and power are told of whole GPUs only.
The file is read anew by each nvmlInit; `write` replaces it in one step.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml as real

VARIABLE = "FAKE_NVML"

NVMLError = real.NVMLError
NVMLError_LibraryNotFound = real.NVMLError_LibraryNotFound
NVMLError_DriverNotLoaded = real.NVMLError_DriverNotLoaded
NVML_DEVICE_MIG_ENABLE = real.NVML_DEVICE_MIG_ENABLE
NVML_TEMPERATURE_GPU = real.NVML_TEMPERATURE_GPU
NVML_VALUE_NOT_AVAILABLE_uint = real.NVML_VALUE_NOT_AVAILABLE_uint
NVML_VALUE_NOT_AVAILABLE_ulonglong = real.NVML_VALUE_NOT_AVAILABLE_ulonglong
nvmlMemory_v2 = real.nvmlMemory_v2

_RESERVED_MIB = 500
_opened: list[dict[str, Any]] = []
"""One for each nvmlInit that has had no nvmlShutdown; the last is what the driver answers from."""


class _Handle:
    """A device, until the library is shut down."""

    def __init__(self, described: Mapping[str, Any], place: int = 0, *, is_instance: bool = False) -> None:
        self.described, self.place, self.driver, self.is_instance = described, place, _driver(), is_instance


def install() -> None:
    """Be `pynvml` in this process; to be called before tuning.deployers.gpus is imported."""
    sys.modules["pynvml"] = sys.modules[__name__]


def write(path: Path, gpus: Sequence[Mapping[str, Any]], fails: Mapping[str, str] | None = None) -> None:
    """Change the GPUs; a reader sees all of it or nothing."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump({"gpus": list(gpus), "fails": dict(fails or {})}, file)
    Path(file.name).replace(path)


def left_open() -> int:
    """How many times the library is open."""
    return len(_opened)


def nvmlInit() -> None:
    path = os.environ.get(VARIABLE)
    if not path or not Path(path).exists():
        raise real.NVMLError_LibraryNotFound
    driver = json.loads(Path(path).read_text())
    _may_fail("nvmlInit", driver)
    _opened.append(driver)


def nvmlShutdown() -> None:
    _may_fail("nvmlShutdown", _driver())
    _opened.pop()


def nvmlDeviceGetCount() -> int:
    _may_fail("nvmlDeviceGetCount", _driver())
    return len(_driver()["gpus"])


def nvmlDeviceGetHandleByIndex(index: int) -> _Handle:
    gpus = _driver()["gpus"]
    if not 0 <= index < len(gpus):
        raise real.NVMLError_InvalidArgument
    _may_fail("nvmlDeviceGetHandleByIndex", gpus[index])
    return _Handle(gpus[index], index)


def nvmlDeviceGetUUID(handle: _Handle) -> str:
    return str(_of(handle, "nvmlDeviceGetUUID")["uuid"])


def nvmlDeviceGetName(handle: _Handle) -> str:
    return str(_told(_of(handle, "nvmlDeviceGetName").get("name", "NVIDIA H100 80GB HBM3")))


def nvmlDeviceGetPciInfo(handle: _Handle) -> SimpleNamespace:
    described = _of(handle, "nvmlDeviceGetPciInfo")
    return SimpleNamespace(domain=described.get("domain", 0), bus=described.get("bus", handle.place), device=0)


def nvmlDeviceGetMemoryInfo(handle: _Handle, version: int | None = None) -> SimpleNamespace:
    """The first version counts what the driver keeps for itself as used."""
    described = _of(handle, "nvmlDeviceGetMemoryInfo_v2" if version else "nvmlDeviceGetMemoryInfo")
    used_mib = _told(described.get("used_mib", 0)) + sum(process["used_mib"] or 0 for process in _living(described))
    total_mib = _told(described.get("memory_mib", 81559))
    return SimpleNamespace(total=total_mib * 2**20, used=(used_mib + (0 if version else _RESERVED_MIB)) * 2**20)


def nvmlDeviceGetUtilizationRates(handle: _Handle) -> SimpleNamespace:
    described = _of(handle, "nvmlDeviceGetUtilizationRates")
    return SimpleNamespace(gpu=_of_a_whole_gpu(handle, described.get("utilisation_percent", 0)), memory=0)


def nvmlDeviceGetTemperature(handle: _Handle, sensor: int) -> int:
    described = _of(handle, "nvmlDeviceGetTemperature")
    if sensor != NVML_TEMPERATURE_GPU:
        raise real.NVMLError_InvalidArgument
    return int(_of_a_whole_gpu(handle, described.get("temperature_c", 30)))


def nvmlDeviceGetPowerUsage(handle: _Handle) -> int:
    """In milliwatts."""
    described = _of(handle, "nvmlDeviceGetPowerUsage")
    return int(1000 * _of_a_whole_gpu(handle, described.get("power_w", 70)))


def nvmlDeviceGetMigMode(device: _Handle) -> list[int]:
    described = _of(device, "nvmlDeviceGetMigMode")
    return [int("mig" in described), int("mig" in described)]


def nvmlDeviceGetMaxMigDeviceCount(device: _Handle) -> int:
    _of(device, "nvmlDeviceGetMaxMigDeviceCount")
    return 7


def nvmlDeviceGetMigDeviceHandleByIndex(device: _Handle, index: int) -> _Handle:
    instances = _of(device, "nvmlDeviceGetMigDeviceHandleByIndex").get("mig", [])
    if index >= len(instances):
        raise real.NVMLError_NotFound
    _may_fail("nvmlDeviceGetHandleByIndex", instances[index])
    return _Handle(instances[index], is_instance=True)


def nvmlDeviceGetComputeRunningProcesses(handle: _Handle) -> list[SimpleNamespace]:
    return _processes(_of(handle, "nvmlDeviceGetComputeRunningProcesses"), "compute")


def nvmlDeviceGetGraphicsRunningProcesses(handle: _Handle) -> list[SimpleNamespace]:
    return _processes(_of(handle, "nvmlDeviceGetGraphicsRunningProcesses"), "graphics")


def nvmlDeviceGetMPSComputeRunningProcesses(handle: _Handle) -> list[SimpleNamespace]:
    return _processes(_of(handle, "nvmlDeviceGetMPSComputeRunningProcesses"), "mps")


def _driver() -> dict[str, Any]:
    if not _opened:
        raise real.NVMLError_Uninitialized
    return _opened[-1]


def _of(handle: _Handle, function: str) -> Mapping[str, Any]:
    """The device; a handle does not outlive the library that it was given by."""
    if handle.driver is not _driver():
        raise real.NVMLError_InvalidArgument
    _may_fail(function, handle.described)
    return handle.described


def _may_fail(function: str, described: Mapping[str, Any]) -> None:
    if name := described.get("fails", {}).get(function):
        raise getattr(real, f"NVMLError_{name}")


def _told(value: Any) -> Any:
    if value is None:
        raise real.NVMLError_NotSupported
    return value


def _of_a_whole_gpu(handle: _Handle, value: Any) -> Any:
    if handle.is_instance:
        raise real.NVMLError_NotSupported
    return _told(value)


def _living(described: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [process for process in described.get("processes", ()) if _lives(process["pid"])]


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _processes(described: Mapping[str, Any], kind: str) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(pid=process["pid"], usedGpuMemory=_bytes(process["used_mib"]))
        for process in _living(described)
        if kind in process.get("kinds", ("compute",))
    ]


def _bytes(size_mib: int | None) -> int | None:
    return None if size_mib is None else size_mib * 2**20
