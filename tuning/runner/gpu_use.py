"""What the GPUs of an experiment are doing during a load point.

`MeasurementRow.gpu_use` keeps a list with an entry for each GPU, in PCI bus order:

    {"gpu": 0, "name": "NVIDIA H100 80GB HBM3", "seconds": 61.2,
     "utilisation_percent": {"mean": 91.3, "max": 100},
     "used_mib": {"mean": 72110.0, "max": 72340}, "memory_mib": 81559,
     "power_w": {"mean": 583.4, "max": 641.2}, "temperature_c": {"max": 66}}

"seconds" is how long it was watched: the whole run of the load generator, whose own start and end are in the means.
What the driver never told is null. The list is empty where NVML finds none of the experiment's GPUs.
"""

import contextlib
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pydantic import JsonValue

from tuning.deployers.gpus import Gpu, survey
from tuning.runner.repeating import repeated
from tuning.runner.slots import device_of

SAMPLE_EVERY_S = 1.0
"""Drivers average utilisation over 1/6 s to 1 s, and the power of newer GPUs over 1 s."""


@dataclass(frozen=True)
class Sample:
    """The GPUs as they were `at_s` seconds after the load began."""

    at_s: float
    gpus: tuple[Gpu, ...]


@contextlib.contextmanager
def watched(devices: Collection[str]) -> Iterator[Sequence[Sample]]:
    """Sample the GPUs among `devices` each second, and once more at the end; the list grows meanwhile.

    The thread that does so is gone afterwards, whatever happens inside. Without devices there is none.
    """
    samples: list[Sample] = []
    if not devices:
        yield samples
        return
    began = time.monotonic()

    def look() -> None:
        found = tuple(gpu for gpu in survey().gpus if device_of(gpu) in devices)
        samples.append(Sample(time.monotonic() - began, found))

    with repeated(look, every_s=SAMPLE_EVERY_S, name="gpu use"):
        yield samples


def summary(samples: Sequence[Sample]) -> list[JsonValue]:
    """What `MeasurementRow.gpu_use` keeps of the samples."""
    seen: dict[tuple[int, str], list[tuple[float, Gpu]]] = {}
    for sample in samples:
        for gpu in sample.gpus:
            seen.setdefault((gpu.index, gpu.uuid), []).append((sample.at_s, gpu))
    return [_use(seen[key]) for key in sorted(seen)]


def _use(seen: Sequence[tuple[float, Gpu]]) -> JsonValue:
    until_s, last = seen[-1]
    readings = [gpu for _, gpu in seen]
    return {
        "gpu": last.index,
        "name": last.name,
        "seconds": round(until_s, 1),
        "utilisation_percent": _mean_and_max([gpu.utilisation_percent for gpu in readings]),
        "used_mib": _mean_and_max([gpu.used_mib for gpu in readings]),
        "memory_mib": last.memory_mib,
        "power_w": _mean_and_max([gpu.power_w for gpu in readings]),
        "temperature_c": _max([gpu.temperature_c for gpu in readings]),
    }


def _mean_and_max(readings: Sequence[float | None]) -> JsonValue:
    known = [reading for reading in readings if reading is not None]
    return {"mean": round(fmean(known), 1), "max": round(max(known), 1)} if known else None


def _max(readings: Sequence[float | None]) -> JsonValue:
    known = [reading for reading in readings if reading is not None]
    return {"max": max(known)} if known else None
