"""Finding and ending every process of an engine, also from another process than the one that started it.

A process belongs to an engine when it carries the engine's marks in its environment, or when it is a member of the
group, the session or the descendants of the engine's first process, which is recognised by number **and** start time.
A number alone proves nothing: the system gives it to others later.
"""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

from tuning.errors import DeployError, Reason

CLOCK_TOLERANCE_S = 2.0
"""Start times are computed from the machine's boot time, which moves a little when the clock is set."""
POLL_S = 0.02
LOADED_S, NEW_S = 0.2, 2.0
"""How long the environment of a program that is being loaded is waited for, and how old such a process may be."""
FORCE_S = 30.0
"""How long force may take: a process may hang in a driver for a while."""


Marks = tuple[tuple[str, str], ...]
"""Environment variables that say whose a process is, sorted by name."""


def marks_of(variables: Mapping[str, str]) -> Marks:
    """Marks from a mapping."""
    return tuple(sorted(variables.items()))


@dataclass(frozen=True)
class Identity:
    """The first process of an engine: leader of a group and a session that bear its number."""

    pid: int
    create_time: float
    marks: Marks

    @classmethod
    def of(cls, pid: int, marks: Marks) -> Self:
        """The identity of a child of ours that was not waited for yet."""
        return cls(pid, psutil.Process(pid).create_time(), marks)

    @classmethod
    def unknown(cls, marks: Marks) -> Self:
        """Of an engine of which only the marks are known."""
        return cls(0, 0.0, marks)

    @classmethod
    def from_handle(cls, handle: Mapping[str, Any]) -> Self:
        """Read what `handle` wrote."""
        return cls(int(handle["pid"]), float(handle["create_time"]), marks_of(handle["marks"]))

    def handle(self) -> dict[str, Any]:
        """JSON values for `from_handle`."""
        return {"mode": "local", **asdict(self), "pgid": self.pid, "marks": dict(self.marks)}

    def is_leader(self, process: psutil.Process) -> bool:
        """Whether this is the very process that was started, not one that got its number later.

        Its marks prove it as well as its start time, which seems to be another one after the clock was set.
        """
        if process.pid != self.pid:
            return False
        return _is_marked(process, self) or abs(_create_time(process) - self.create_time) < CLOCK_TOLERANCE_S


def members(identity: Identity) -> list[psutil.Process]:
    """Every living process of the engine, its leader first; zombies do not count, nor what carries other marks."""
    everybody = list(living())
    bearers = [process for process in everybody if process.pid == identity.pid]
    leader = [process for process in bearers if identity.is_leader(process)]
    if leader:
        related = {*leader, *_descendants(leader), *(other for other in everybody if _in_group(other, identity.pid))}
    else:  # without a leader the group is trusted less, and not at all when its number was given to somebody else
        related = set() if bearers else {process for process in everybody if _is_orphan(process, identity)}
    related = {process for process in related if not _is_of_another(process, identity)}
    others = [process for process in everybody if process in related or _is_marked(process, identity)]
    return [*leader, *(process for process in others if process not in leader)]


def living() -> Iterator[psutil.Process]:
    """All processes but this one, those it descends from, and zombies.

    Not by `psutil.process_iter`, which remembers start times: a number that was given to another is not noticed there.
    """
    ourselves = {0, os.getpid(), *(process.pid for process in psutil.Process().parents())}
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):
            if pid not in ourselves and (process := psutil.Process(pid)).status() != psutil.STATUS_ZOMBIE:
                yield process


def _descendants(leader: Iterable[psutil.Process]) -> Iterator[psutil.Process]:
    for process in leader:
        with contextlib.suppress(psutil.Error):
            yield from process.children(recursive=True)


def _is_marked(process: psutil.Process, identity: Identity) -> bool:
    carried = environment(process)
    return bool(identity.marks) and all(carried.get(name) == value for name, value in identity.marks)


def _is_of_another(process: psutil.Process, identity: Identity) -> bool:
    """Whether a mark of it says that it belongs elsewhere: a tuner may run below an engine, with engines of its own."""
    carried = environment(process)
    return any(carried.get(name, value) != value for name, value in identity.marks)


def _is_orphan(process: psutil.Process, identity: Identity) -> bool:
    """Whether it is of the group, started after the leader, and has an environment that tells nothing else."""
    is_later = _create_time(process) > identity.create_time - CLOCK_TOLERANCE_S
    return is_later and _in_group(process, identity.pid) and not environment(process)


def _in_group(process: psutil.Process, number: int) -> bool:
    try:
        return number > 1 and number in (os.getpgid(process.pid), os.getsid(process.pid))
    except OSError:
        return False


def _create_time(process: psutil.Process) -> float:
    """When it was started, in seconds since the epoch; minus infinity when it is gone."""
    try:
        return process.create_time()
    except psutil.Error:
        return -math.inf


def environment(process: psutil.Process) -> dict[str, str]:
    """The environment that it was started with; empty when it is gone or not ours to read.

    While a program is being loaded, Linux shows neither environment nor arguments of it for a moment.
    """
    give_up = time.monotonic() + LOADED_S
    try:
        while not (carried := process.environ()) and _is_being_loaded(process) and time.monotonic() < give_up:
            time.sleep(0.001)
    except (psutil.Error, OSError):
        return {}
    return carried


def _is_being_loaded(process: psutil.Process) -> bool:
    """Whether it is new and has no arguments yet; threads of the kernel never have any."""
    return time.time() - process.create_time() < NEW_S and not process.cmdline()


def end(identity: Identity, *, grace_s: float, reap: Callable[[], object]) -> None:
    """Ask every process of the engine to end, use force after `grace_s` seconds, return when all are gone.

    `reap` is called again and again, for the parent to wait for its child. DeployError when force does not help.
    """
    found = members(identity)
    _signal(found, signal.SIGTERM)
    remaining = _wait_gone(identity, found, grace_s, reap)
    give_up = time.monotonic() + FORCE_S
    while remaining and time.monotonic() < give_up:
        _signal(remaining, signal.SIGKILL)
        remaining = _wait_gone(identity, remaining, 1.0, reap)
    if remaining:
        numbers = ", ".join(str(process.pid) for process in remaining)
        raise DeployError(Reason.INTERNAL_ERROR, f"processes that not even force has ended: {numbers}")
    reap()


def _wait_gone(
    identity: Identity, known: list[psutil.Process], limit_s: float, reap: Callable[[], object]
) -> list[psutil.Process]:
    """Who is left after `limit_s`: those that are known, which the end of the leader may make hard to find, and others.

    Others are looked for only when the known ones are gone.
    """
    deadline = time.monotonic() + limit_s
    while known:
        while living_known := [process for process in known if _lives(process)]:
            if time.monotonic() >= deadline:
                return list(dict.fromkeys([*living_known, *members(identity)]))
            reap()
            time.sleep(POLL_S)
        known = members(identity)
        if time.monotonic() >= deadline:
            return known
    return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
