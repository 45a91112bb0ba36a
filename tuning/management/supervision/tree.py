"""The tree of web server and worker, from its start to the last process of it."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket

from tuning.management.supervision import Say
from tuning.management.supervision.announcement import Announcement
from tuning.management.supervision.child import Child, Role
from tuning.management.supervision.listener import listen, reachable, url
from tuning.management.supervision.lock import ServeLock
from tuning.management.supervision.signals import END, Signals

LOOK_S = 0.5
"""How often the tree looks at its parent and its children when no signal wakes it."""
ECHO_S = 0.3
"""One Ctrl-C may arrive twice: from the terminal, and passed on by the program that started this one."""


@dataclass(frozen=True)
class Plan:
    """What is to be served, and how.

    `web` makes the web server's role from the descriptor of the socket that it is to listen on. `probe` is a path that
    the web server answers to anybody; `wait_s` is how long the processes of a killed `serve` are waited for. `welcome`
    makes what is told below the address, from it; nothing when it is empty. With `parent`, everything ends when this
    process is no longer our parent.
    """

    host: str
    port: int
    lock: Path
    web: Callable[[int], Role]
    worker: Role
    probe: str
    wait_s: float
    welcome: Callable[[str], str]
    parent: int | None = None


def serve(plan: Plan, *, tell: Say, warn: Say) -> None:
    """Run the tree until it is asked to end; nothing of it is left then, however this ends.

    `tell` gets what a person waits for, `warn` what has gone wrong. ConflictError when another process serves from
    this data folder or the port is taken; AutotunerError when the address cannot be listened on.
    """
    with ExitStack() as stack:
        signals = Signals()
        lock = stack.enter_context(ServeLock(plan.lock))
        if not lock.acquire(signals, warn, plan.wait_s):
            return
        listener = stack.enter_context(listen(plan.host, plan.port))
        stack.enter_context(_announcement(plan, listener, tell))
        roles = (plan.web(listener.fileno()), plan.worker)
        children = [Child(_inheriting(role, lock.descriptor), warn) for role in roles]
        Tree(children, signals, warn, plan.parent).run()


class Tree:
    """Children that run until a signal comes or the parent has gone."""

    def __init__(self, children: list[Child], signals: Signals, warn: Say, parent: int | None) -> None:
        self._children = children
        self._signals = signals
        self._warn = warn
        self._parent = parent

    def run(self) -> None:
        """Keep the children running; when it is time, let them end in peace, and use force against the rest."""
        try:
            self._warn(self._keep())
            self._end()
        finally:
            for child in self._children:
                child.kill()

    def _keep(self) -> str:
        """Look after the children until there is a reason to end, and return it."""
        while True:
            for child in self._children:
                child.look()
            if self._signals.next(self._pause_s()) in END:
                return "Ending; running experiments are handed back. Ctrl-C again ends everything at once."
            if self._parent not in (None, os.getppid()):
                return "Ending: the process that started this one has gone."

    def _pause_s(self) -> float:
        due = (child.due_in_s for child in self._children)
        return min([LOOK_S, *(due_in_s for due_in_s in due if due_in_s is not None)])

    def _end(self) -> None:
        """Ask every child once; a further Ctrl-C ends the waiting, and so does a child's own limit for that child."""
        began = time.monotonic()
        waiting = self._children
        for child in waiting:
            child.ask_to_end()
        while waiting := [child for child in waiting if not child.is_gone()]:
            interrupted = self._signals.next(LOOK_S) == signal.SIGINT
            waited_s = time.monotonic() - began
            if interrupted and waited_s > ECHO_S:
                self._warn("Ending at once.")
                return
            for child in waiting:
                self._force(child, waited_s)

    def _force(self, child: Child, waited_s: float) -> None:
        if waited_s > child.role.grace_s:
            self._warn(f"The {child.role.name} has not ended in {child.role.grace_s:g} s; it is killed.")
            child.kill()


def _announcement(plan: Plan, listener: socket, tell: Say) -> Announcement:
    host, port = reachable(listener)
    return Announcement(host, port, plan.probe, lambda: _announce(plan, url(listener), tell))


def _announce(plan: Plan, address: str, tell: Say) -> None:
    tell(f"Web: {address}  Ctrl-C ends it.")
    if welcome := plan.welcome(address):
        tell(welcome)


def _inheriting(role: Role, descriptor: int) -> Role:
    return replace(role, descriptors=(*role.descriptors, descriptor))
