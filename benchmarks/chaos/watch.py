"""Looks at the machine again and again: which engines live, on which GPUs, and for which attempts."""

import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
EVERY_S = 0.2


@dataclass(frozen=True)
class Engine:
    """One process of an engine, by what it was started with."""

    pid: int
    experiment: int
    attempt: int
    gpus: tuple[str, ...]

    @property
    def attempt_of(self) -> tuple[int, int]:
        """Which attempt at which experiment it serves."""
        return self.experiment, self.attempt


@dataclass
class Sightings:
    """What was seen. `twins` are seconds in which two attempts at one experiment had engines, by experiment."""

    looks: int = 0
    engines: set[tuple[int, int]] = field(default_factory=set)
    shared_gpus: list[str] = field(default_factory=list)
    twins: dict[int, float] = field(default_factory=dict)


class Watch:
    """A thread that looks every `EVERY_S` seconds, between entering and leaving."""

    def __init__(self, instance: str) -> None:
        self._mark = f"AUTOTUNER_INSTANCE={instance}".encode()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._looked_at = time.monotonic()
        self.seen = Sightings()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._thread.join()

    def engines(self) -> list[Engine]:
        """The processes of engines that live now; what has ended has no environment any more."""
        found = (self._engine(int(path.name)) for path in PROC.iterdir() if path.name.isdecimal())
        return [engine for engine in found if engine]

    def _run(self) -> None:
        while not self._closed.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Note what lives now; what is odd counts only when all of it is still there at a second look."""
        engines = self.engines()
        now = time.monotonic()
        passed_s, self._looked_at = now - self._looked_at, now
        self.seen.looks += 1
        self.seen.engines |= {engine.attempt_of for engine in engines}
        if _twins(engines) or _shared(engines):
            engines = [engine for engine in engines if self._engine(engine.pid) == engine]
        for experiment in _twins(engines):
            self.seen.twins[experiment] = self.seen.twins.get(experiment, 0.0) + passed_s
        self.seen.shared_gpus += _shared(engines)

    def _engine(self, pid: int) -> Engine | None:
        try:
            text = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            return None
        if self._mark not in text or b"AUTOTUNER_ROLE=engine" not in text:
            return None
        variables = dict(line.partition("=")[::2] for line in text.decode(errors="replace").split("\0"))
        experiment, attempt = (int(variables[f"AUTOTUNER_{name}"]) for name in ("EXPERIMENT", "ATTEMPT"))
        gpus = tuple(filter(None, variables.get("CUDA_VISIBLE_DEVICES", "").split(",")))
        return Engine(pid, experiment, attempt, gpus)


def _twins(engines: list[Engine]) -> set[int]:
    """Experiments of which two attempts have engines."""
    attempts = {engine.attempt_of for engine in engines}
    experiments = [experiment for experiment, _ in attempts]
    return {experiment for experiment in experiments if experiments.count(experiment) > 1}


def _shared(engines: list[Engine]) -> list[str]:
    """GPUs that several experiments have, in words; an engine without a GPU is one as well."""
    users: dict[str, set[int]] = {}
    for engine in engines:
        for gpu in engine.gpus or ("none",):
            users.setdefault(gpu, set()).add(engine.experiment)
    return [
        f"GPU {gpu}: experiments {sorted(found)}" for gpu, found in users.items() if len(found) > 1 or gpu == "none"
    ]
