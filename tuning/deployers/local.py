"""Engines as processes of this machine."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuning.deployers.base import Deployment, DeployRequest, Leftover, Owner, Role
from tuning.deployers.environment import engine_environment
from tuning.deployers.leftovers import find_leftovers
from tuning.deployers.output import Output
from tuning.deployers.ports import CAN_SHARE, HeldPort
from tuning.deployers.processes import Identity, Marks, end, marks_of
from tuning.deployers.readiness import Probe
from tuning.document.task import Engine as EngineSection
from tuning.engines.base import Command, Explanation, Launch
from tuning.engines.shell import is_secret
from tuning.errors import DeployError, EngineDied, Reason
from tuning.hooks import LogSink, StopCheck

HOST = "127.0.0.1"
PROJECT = Path(__file__).parents[2]
PORT_ATTEMPTS = 4
"""How often an engine is started when each time somebody else took its port."""
FIRST_POLL_S, LAST_POLL_S = 0.05, 1.0
"""How long between two looks whether an engine is ready: a tenth of the time it has taken so far, within these."""
LOOK_S = 0.2
"""How often a wait looks whether it should go on."""
LAST_LINES_S = 1.0
"""How long the last lines of an engine that has ended are waited for; its workers may hold the pipe open."""
CLOSE_S = 5.0
"""How long a slow log is waited for when everything else is gone."""
MIN_SECRET = 6
"""Shorter values of secret variables are not masked in logs: they would blot out ordinary text."""


@dataclass
class _Process:
    """One started engine with all that has to be given back."""

    child: subprocess.Popen[bytes]
    identity: Identity
    output: Output
    port: HeldPort
    command: Command

    def close(self) -> None:
        """Give everything back; the engine's processes are gone."""
        self.child.wait()
        self.output.close(CLOSE_S)
        self.port.close()


class _Started:
    """The engines that this process has started, by their marks, whichever deployer object did it.

    Only the parent can wait for a child, and only it holds the pipe and the port.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_marks: dict[Marks, _Process] = {}

    def add(self, process: _Process) -> None:
        with self._lock:
            self._by_marks[process.identity.marks] = process

    def reap(self, marks: Marks) -> None:
        """Wait for the children that have ended."""
        with self._lock:
            processes = [self._by_marks[own] for own in self._bearing(marks)]
        for process in processes:
            process.child.poll()

    def close(self, marks: Marks) -> None:
        """Give back what belongs to an engine that is gone; nothing when it is not ours."""
        with self._lock:
            processes = [self._by_marks.pop(own) for own in self._bearing(marks)]
        for process in processes:
            process.close()

    def _bearing(self, marks: Marks) -> list[Marks]:
        """A handle may name fewer marks than an engine bears; without any it names nothing."""
        return [own for own in self._by_marks if marks and set(marks) <= set(own)]


_started = _Started()


class LocalDeployment:
    """An engine process. While it starts, `base_url` and `handle` may change: when somebody else took its port."""

    def __init__(self, request: DeployRequest, launch: Launch, log: LogSink, process: _Process) -> None:
        self.request = request
        self.launch = launch
        self.log = log
        self.process = process
        self.starts = 1
        self.version = ""

    @property
    def base_url(self) -> str:
        """See `Deployment.base_url`."""
        return f"http://{HOST}:{self.process.port.number}"

    @property
    def served_name(self) -> str:
        """See `Deployment.served_name`."""
        return self.launch.served_name

    @property
    def command(self) -> Command:
        """See `Deployment.command`."""
        return self.process.command

    @property
    def handle(self) -> Mapping[str, Any]:
        """See `Deployment.handle`."""
        return self.process.identity.handle()

    def check(self) -> None:
        """See `Deployment.check`; workers that live on do not count when the process that was started has ended."""
        if explanation := self.ended():
            raise EngineDied(explanation.reason, explanation.line)

    def check_serving(self, *, limit_s: float, stop: StopCheck) -> None:
        """See `Deployment.check_serving`."""
        deadline = time.monotonic() + limit_s

        def alive() -> None:
            stop()
            self.check()

        probe = _probe(self, alive)
        while not probe.healthy(deadline):
            if time.monotonic() > deadline:
                raise EngineDied(Reason.ENGINE_CRASHED, f"the engine runs, but was silent for {limit_s:g} s")
            _pause(FIRST_POLL_S, alive)
        alive()

    def ended(self) -> Explanation | None:
        """Why it has ended, None while it runs."""
        exit_code = self.process.child.poll()
        if exit_code is None:
            return None
        self.process.output.wait_read(LAST_LINES_S)
        return self.request.engine.explain(self.process.output.tail, exit_code)

    def check_start(self) -> None:
        """DeployError when it ended before it was ready."""
        if explanation := self.ended():
            raise DeployError(explanation.reason, explanation.line)


class LocalDeployer:
    """Starts each engine as a process group of its own that serves on the loopback address.

    `environ` is the environment that engines inherit a part of (see `tuning.deployers.environment`), by default ours.
    """

    def __init__(self, *, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    def handle_of(self, owner: Owner) -> Mapping[str, Any]:
        """See `Deployer.handle_of`."""
        return Identity.unknown(marks_of(owner.environment())).handle()

    def deploy(self, request: DeployRequest, *, log: LogSink, stop: StopCheck) -> LocalDeployment:
        """See `Deployer.deploy`; what the same attempt started before is ended first."""
        stop()
        launch = _launch(request)
        marks = _marks(request)
        end(Identity.unknown(marks), grace_s=0, reap=lambda: _started.reap(marks))
        _started.close(marks)
        return LocalDeployment(request, launch, log, self._start(request, launch, log, share_port=CAN_SHARE))

    def wait_ready(self, deployment: Deployment, *, limit_s: float, stop: StopCheck) -> None:
        """See `Deployer.wait_ready`; an engine whose port was taken by somebody else is started again on another."""
        if not isinstance(deployment, LocalDeployment):
            raise TypeError("this deployment was not made by the local deployer")
        started = time.monotonic()
        deadline = started + limit_s

        def alive() -> None:
            stop()
            deployment.check_start()

        while True:
            probe = _probe(deployment, alive)
            try:
                alive()
                if probe.ready(deadline):
                    break
                _check_limit(deployment, deadline, limit_s)
                _pause(min(_delay(started), deadline - time.monotonic()), alive)
            except DeployError as error:
                if error.reason is not Reason.PORT_IN_USE or deployment.starts >= PORT_ATTEMPTS:
                    raise
                self._start_again(deployment)
        deployment.check_start()
        deployment.version = probe.version(deployment.request.engine.version_path, deadline)
        deployment.process.port.close()

    def remove(self, handle: Mapping[str, Any], *, grace_s: float) -> None:
        """See `Deployer.remove`; works in any process of this machine, not only in the one that deployed."""
        identity = Identity.from_handle(handle)
        end(identity, grace_s=grace_s, reap=lambda: _started.reap(identity.marks))
        _started.close(identity.marks)

    def started(self, instance: str) -> list[Leftover]:
        """See `Deployer.started`."""
        return find_leftovers(instance)

    def _start_again(self, deployment: LocalDeployment) -> None:
        """Another process on another port, which is not shared this time: the engine may be unable to share it."""
        taken = deployment.process.port.number
        deployment.log("warning", f"port {taken} was taken by somebody else; the engine is started again on another")
        self.remove(deployment.handle, grace_s=0)
        deployment.starts += 1
        deployment.process = self._start(deployment.request, deployment.launch, deployment.log, share_port=False)

    def _start(self, request: DeployRequest, launch: Launch, log: LogSink, *, share_port: bool) -> _Process:
        port = _held_port()
        try:
            command = request.engine.command(replace(launch, port=port.number))
            environment = self._environment(request, command)
            if not share_port:
                port.close()
            child = _popen(request, command, environment)
        except BaseException:
            port.close()
            raise
        identity = Identity.of(child.pid, _marks(request))
        secrets = (text for name, text in environment.items() if is_secret(name) and len(text) >= MIN_SECRET)
        assert child.stdout is not None  # noqa: S101  -- a pipe was asked for
        process = _Process(child, identity, Output(child.stdout, log, secrets=secrets), port, command)
        _started.add(process)
        return process

    def _environment(self, request: DeployRequest, command: Command) -> dict[str, str]:
        return engine_environment(
            parent=os.environ if self._environ is None else self._environ,
            document=command.environment,
            marks=dict(_marks(request)),
            gpus=request.gpus,
            program=command.arguments[0],
        )


def _marks(request: DeployRequest) -> Marks:
    """Those of the engine alone: the load generator of the same attempt is started before it and outlives it."""
    return marks_of(request.owner.environment(Role.ENGINE))


def _held_port() -> HeldPort:
    try:
        return HeldPort(HOST)
    except OSError as error:
        raise DeployError(Reason.PORT_IN_USE, f"no free port on {HOST}: {error}") from error


def _launch(request: DeployRequest) -> Launch:
    """Names and paths as an engine on this machine needs them; DeployError when a path does not exist."""
    model = request.document.model
    return Launch(
        engine=_with_paths(request.document.engine),
        model=_place(model.id, "model"),
        served_name=model.public_name,
        host=HOST,
        port=0,
        parameters=request.parameters,
        tokenizer=_place(model.tokenizer, "tokenizer") if model.tokenizer else None,
        python=sys.executable,
    )


def _with_paths(engine: EngineSection) -> EngineSection:
    """Programs named with a folder get their full path; symbolic links stay, virtual environments need them."""
    paths = {name: getattr(engine, name) for name in ("executable", "python")}
    full = {name: path.expanduser().absolute() for name, path in paths.items() if path and len(path.parts) > 1}
    return engine.model_copy(update=full)


def _place(name: str, what: str) -> str:
    """The full path of what is or looks like a path, a hub id as it is."""
    path = Path(name).expanduser().absolute()
    if path.exists():
        return str(path)
    if name.startswith(("/", ".", "~")) or name.count("/") > 1:
        message = f"the {what} {path} does not exist; correct the path in the document, or give a hub id (owner/name)"
        raise DeployError(Reason.MODEL_NOT_FOUND, message)
    return name


def _popen(request: DeployRequest, command: Command, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the engine; DeployError says what to do when it cannot be started."""
    program = command.arguments[0]
    if not shutil.which(program, path=environment.get("PATH", os.defpath)):
        raise DeployError(Reason.ENGINE_NOT_FOUND, _missing(request, program))
    try:
        return subprocess.Popen(
            command.arguments,
            env=environment,
            cwd=PROJECT if request.engine.simulated else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise DeployError(_start_reason(error), f"{program} cannot be started: {error}") from error


def _missing(request: DeployRequest, program: str) -> str:
    name = request.engine.name
    if Path(program).exists():
        return f"{program} is not a program that may be executed; check its permissions"
    return (
        f"{program} was not found; install {name}, or say in the document where it is: "
        "engine.executable (a console script) or engine.python (an interpreter that has it installed)"
    )


def _start_reason(error: OSError | ValueError) -> Reason:
    if isinstance(error, FileNotFoundError | PermissionError):
        return Reason.ENGINE_NOT_FOUND
    if isinstance(error, ValueError) or error.errno == errno.E2BIG:
        return Reason.INVALID_CONFIG
    return Reason.OUT_OF_MEMORY if error.errno in (errno.ENOMEM, errno.EAGAIN) else Reason.ENGINE_CRASHED


def _probe(deployment: LocalDeployment, alive: Callable[[], None]) -> Probe:
    engine = deployment.request.engine
    roots = engine.roots(deployment.launch)
    return Probe(deployment.base_url, engine.health_path, deployment.served_name, roots, alive)


def _check_limit(deployment: LocalDeployment, deadline: float, limit_s: float) -> None:
    if time.monotonic() < deadline:
        return
    lines = deployment.process.output.tail
    last = f"the last line of its log is: {lines[-1]}" if lines else "it has not printed a line"
    raise DeployError(Reason.STARTUP_TIMEOUT, f"the engine was not ready after {limit_s:g} s; {last}")


def _delay(started: float) -> float:
    return min(max(FIRST_POLL_S, (time.monotonic() - started) / 10), LAST_POLL_S)


def _pause(seconds: float, alive: Callable[[], None]) -> None:
    """Wait without losing sight of the engine and of a wish to stop."""
    end_at = time.monotonic() + seconds
    while (left := end_at - time.monotonic()) > 0:
        time.sleep(min(left, LOOK_S))
        alive()
