"""Which GPUs this machine has, what they are doing, and which of them somebody else fills: read through NVML, the
library of the driver.

What a driver does not tell ("N/A": vGPU, MIG, unified memory, a container) is None and hides no GPU. CUDA sees the
instances of a GPU in MIG mode instead of that GPU, and so does this module.
"""

import threading
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import pynvml

Answer = TypeVar("Answer")

IGNORED_MIB = 1024
"""An idle CUDA context takes some 600 MiB (PyTorch on an H100: 612), a desktop a few hundred."""
IGNORED_SHARE = 0.05
"""Engines leave 10 % of a GPU free by default; what takes half of that from a large GPU is in nobody's way."""

_MIB = 2**20
_NAMED_AT_MOST = 3
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Process:
    """A process on a GPU; `used_mib` is None where the driver does not tell."""

    pid: int
    used_mib: int | None


@dataclass(frozen=True)
class Gpu:
    """What CUDA can be given: a GPU, or one instance of a GPU in MIG mode.

    `index` is the number of the GPU in PCI bus order, which the instances of one GPU share; `uuid` is unique, and what
    CUDA_VISIBLE_DEVICES takes. `utilisation_percent` is the share of the driver's last sample period (1/6 s to 1 s) in
    which any kernel ran; `power_w` is of the whole board. Of an instance drivers tell neither these nor a temperature.
    """

    index: int
    uuid: str
    name: str
    memory_mib: int | None
    used_mib: int | None
    processes: tuple[Process, ...]
    utilisation_percent: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None


@dataclass(frozen=True)
class Survey:
    """What was found, and a sentence for each GPU that is there and cannot be used, or for a driver that fails."""

    gpus: tuple[Gpu, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Card:
    """One GPU as it is plugged in: the devices that it is to CUDA, or a note that says why it is none."""

    index: int
    uuid: str
    devices: tuple[Gpu, ...]
    note: str = ""


def discover(wanted: Sequence[str] = ("all",)) -> list[Gpu]:
    """The GPUs of this machine that may be used, in PCI bus order; none where there is no driver or it fails.

    `wanted` is `all`, `none` (or nothing), or numbers in PCI bus order and UUIDs, which may be cut as long as they stay
    unique. The number or UUID of a GPU in MIG mode means all of its instances.
    ValueError, with a sentence, when a GPU that is named is not there or cannot be used.
    """
    return list(survey(wanted).gpus)


def survey(wanted: Sequence[str] = ("all",)) -> Survey:
    """What `discover` finds, with the reasons for what it does not; the same ValueError."""
    words = [word.lower() for word in wanted]
    if words in ([], ["none"]):
        return Survey(())
    cards, trouble = _cards()
    if words == ["all"]:
        notes = [trouble, *(card.note for card in cards)]
        return Survey(tuple(gpu for card in cards for gpu in card.devices), tuple(note for note in notes if note))
    chosen = {gpu.uuid for word in wanted for gpu in _named(word, cards, trouble)}
    return Survey(tuple(gpu for card in cards for gpu in card.devices if gpu.uuid in chosen))


def foreign(gpu: Gpu, ours: Container[int]) -> str:
    """Who else fills a GPU, as a sentence; empty when nobody does. `ours` are the process ids that do not count.

    Up to 1 GiB, or 5 % of a larger GPU, is nobody's business: idle contexts and displays. Where the driver tells
    neither the memory in use nor that of processes, nothing is known and the answer is empty.
    """
    others = sorted((process for process in gpu.processes if process.pid not in ours), key=_size, reverse=True)
    seen = sum(map(_size, others))
    total = max(seen, _not_ours(gpu, ours))
    if total <= _ignored_mib(gpu):
        return ""
    if any(process.used_mib is None for process in others):
        return f"{_people(others)} {_verb(others, 'runs', 'run')} on it, and {total:,} MiB are in use"
    if seen >= total - seen:
        return f"{_people(others)} {_verb(others, 'uses', 'use')} {seen:,} MiB"
    return f"{total - seen:,} MiB are used by processes that cannot be seen"


def _cards() -> tuple[list[_Card], str]:
    """All GPUs in PCI bus order; or none, and what is wrong with a driver that is there and fails."""
    try:
        with _nvml():
            return [_card(index, number) for index, number in enumerate(_bus_order())], ""
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):
        return [], ""
    except pynvml.NVMLError as error:
        return [], f"the NVIDIA driver cannot be read: {error}"


@contextmanager
def _nvml() -> Iterator[None]:
    """NVML, open for one reading.

    Kept open, it would keep an administrator from reloading the driver, resetting a GPU or switching MIG, and its
    handles would be dead afterwards.
    """
    with _ONE_AT_A_TIME:
        pynvml.nvmlInit()
        try:
            yield
        finally:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()


def _bus_order() -> list[int]:
    """NVML's numbers in PCI bus order, which NVML does not promise; where the bus cannot be read, a number stays."""
    buses = [_bus(number) for number in range(pynvml.nvmlDeviceGetCount())]
    ordered = iter(sorted((bus, number) for number, bus in enumerate(buses) if bus))
    return [next(ordered)[1] if bus else number for number, bus in enumerate(buses)]


def _bus(number: int) -> tuple[int, int, int] | None:
    handle = _read(pynvml.nvmlDeviceGetHandleByIndex, number)
    address = handle and _read(pynvml.nvmlDeviceGetPciInfo, handle)
    return (address.domain, address.bus, address.device) if address else None


def _card(index: int, number: int) -> _Card:
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(number)
        uuid = pynvml.nvmlDeviceGetUUID(handle)
    except pynvml.NVMLError as error:
        return _Card(index, "", (), f"GPU {index} cannot be read: {error}")
    if not _in_mig_mode(handle):
        return _Card(index, uuid, (_gpu(index, uuid, handle),))
    instances = tuple(_instances(index, handle))
    return _Card(index, uuid, instances, "" if instances else f"GPU {index} is in MIG mode and has no instance")


def _in_mig_mode(handle: Any) -> bool:
    modes = _read(pynvml.nvmlDeviceGetMigMode, handle)
    return modes is not None and modes[0] == pynvml.NVML_DEVICE_MIG_ENABLE


def _instances(index: int, card: Any) -> Iterator[Gpu]:
    for place in range(_read(pynvml.nvmlDeviceGetMaxMigDeviceCount, card) or 0):
        handle = _read(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, card, place)
        uuid = handle and _read(pynvml.nvmlDeviceGetUUID, handle)
        if uuid:
            yield _gpu(index, uuid, handle)


def _gpu(index: int, uuid: str, handle: Any) -> Gpu:
    name = _read(pynvml.nvmlDeviceGetName, handle) or "GPU"
    memory, processes = _memory(handle), tuple(_processes(handle))
    return Gpu(index, uuid, name, *memory, processes, _utilisation(handle), _temperature(handle), _power(handle))


def _memory(handle: Any) -> tuple[int | None, int | None]:
    """Total and used. What the driver keeps for itself is not in the second version's `used`, which came later."""
    memory = _read(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    memory = memory or _read(pynvml.nvmlDeviceGetMemoryInfo, handle)
    if not memory or not _mib(memory.total):
        return None, None
    return _mib(memory.total), _mib(memory.used)


def _utilisation(handle: Any) -> int | None:
    rates = _read(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return _known(rates.gpu) if rates else None


def _temperature(handle: Any) -> int | None:
    return _known(_read(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU))


def _power(handle: Any) -> float | None:
    milliwatts = _known(_read(pynvml.nvmlDeviceGetPowerUsage, handle))
    return None if milliwatts is None else milliwatts / 1000


def _processes(handle: Any) -> Iterator[Process]:
    """A process that computes and draws is in two lists, with the same memory."""
    found: dict[int, int | None] = {}
    for question in (
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetGraphicsRunningProcesses,
        pynvml.nvmlDeviceGetMPSComputeRunningProcesses,
    ):
        for process in _read(question, handle) or ():
            amounts = [found.get(process.pid), _mib(process.usedGpuMemory)]
            found[process.pid] = max((amount for amount in amounts if amount is not None), default=None)
    return (Process(pid, found[pid]) for pid in sorted(found))


def _read(question: Callable[..., Answer], *arguments: Any) -> Answer | None:
    """What the driver answers; None where it does not: not supported, not permitted, not known to it, GPU lost."""
    try:
        return question(*arguments)
    except pynvml.NVMLError:
        return None


def _mib(size_bytes: int | None) -> int | None:
    if size_bytes is None or size_bytes == pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value:
        return None
    return size_bytes // _MIB


def _known(number: int | None) -> int | None:
    return None if number == pynvml.NVML_VALUE_NOT_AVAILABLE_uint.value else number


def _named(word: str, cards: Sequence[_Card], trouble: str) -> tuple[Gpu, ...]:
    """The devices of the GPU, or the instance, that a number or a UUID means."""
    instances = [_Card(gpu.index, gpu.uuid, (gpu,)) for card in cards for gpu in card.devices]
    known = {name.lower(): card for card in [*instances, *cards] for name in (card.uuid, str(card.index)) if name}
    sought = word.lower()
    matches = [sought] if sought in known else [name for name in known if sought and name.startswith(sought)]
    if not matches:
        here = ", ".join(f"{gpu.index} ({gpu.uuid})" for card in cards for gpu in card.devices)
        raise ValueError(f"there is no GPU {word}; " + (trouble or f"NVML finds {here or 'none'}"))
    if len(matches) > 1:
        raise ValueError(f"{word} is the beginning of several GPUs: {', '.join(known[name].uuid for name in matches)}")
    card = known[matches[0]]
    if card.note:
        raise ValueError(card.note)
    return card.devices


def _not_ours(gpu: Gpu, ours: Container[int]) -> int:
    """MiB in use that are not of our processes; 0 where that cannot be told."""
    own = [process.used_mib for process in gpu.processes if process.pid in ours]
    if gpu.used_mib is None or None in own:
        return 0
    return gpu.used_mib - sum(amount or 0 for amount in own)


def _ignored_mib(gpu: Gpu) -> float:
    return max(IGNORED_MIB, IGNORED_SHARE * (gpu.memory_mib or 0))


def _size(process: Process) -> int:
    return process.used_mib or 0


def _verb(processes: Sequence[Process], one: str, several: str) -> str:
    return one if len(processes) == 1 else several


def _people(processes: Sequence[Process]) -> str:
    """`process 4711 (python)`, `processes 4711 (python), 4712 (python)`, `... and 6 more`."""
    names = ", ".join(_name(process.pid) for process in processes[:_NAMED_AT_MOST])
    more = len(processes) - _NAMED_AT_MOST
    return f"{_verb(processes, 'process', 'processes')} {names}" + (f" and {more} more" if more > 0 else "")


def _name(pid: int) -> str:
    """A process of another container, or one that has just ended, has a number and no name."""
    try:
        return f"{pid} ({psutil.Process(pid).name()})"
    except (psutil.Error, ValueError):
        return str(pid)
