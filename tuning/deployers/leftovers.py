"""Processes of this machine by the marks in their environment: what an instance has started and what still lives."""

import contextlib
import os

import psutil

from tuning.deployers.base import Leftover, Owner, Role
from tuning.deployers.processes import Identity, environment, living, marks_of


def find_leftovers(instance: str) -> list[Leftover]:
    """One for each attempt of `instance` that has a living process, by experiment and attempt; one pass over all."""
    found: dict[Owner, list[psutil.Process]] = {}
    for process in living():
        owner = Owner.of_environment(environment(process))
        if owner is not None and owner.instance == instance:
            found.setdefault(owner, []).append(process)
    owners = sorted(found, key=lambda owner: (owner.experiment, owner.attempt, owner.task))
    return [_leftover(owner, found[owner]) for owner in owners]


def _leftover(owner: Owner, processes: list[psutil.Process]) -> Leftover:
    """Named by its marks, and by its engine's first process where that lives: it leads to helpers without marks."""
    marks = marks_of(owner.environment())
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            if _leads_engine(process, owner):
                identity = Identity(process.pid, process.create_time(), marks)
                return Leftover(owner, identity.handle(), _what(process, len(processes)))
    return Leftover(owner, Identity.unknown(marks).handle(), _what(processes[0], len(processes)))


def _leads_engine(process: psutil.Process, owner: Owner) -> bool:
    marks = owner.environment(Role.ENGINE)
    return os.getsid(process.pid) == process.pid and marks.items() <= environment(process).items()


def _what(process: psutil.Process, count: int) -> str:
    more = f" and {count - 1} more" if count > 1 else ""
    return f"process {process.pid} ({_program(process)}){more}"


def _program(process: psutil.Process) -> str:
    """The name of the program; what renames itself may put its arguments behind it."""
    try:
        words = process.name().split()
    except psutil.Error:
        words = []
    return "".join(filter(str.isprintable, words[0])) if words else "unknown"
