"""Engines as local processes, and the certainty that none of them outlives a test."""

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.deployers.contract import answers, until
from tests.simulated_engine.processes import EngineProcess
from tuning.deployers.base import Deployment, DeployRequest, Owner
from tuning.deployers.local import LocalDeployer
from tuning.document.task import EngineName, TaskDocument
from tuning.engines.registry import engine_for

FAKE = Path(__file__).with_name("fake_engine.py")
STARTER = textwrap.dedent(
    """
    import json, sys, threading
    from tuning.deployers.base import DeployRequest, Owner
    from tuning.deployers.local import LocalDeployer
    from tuning.document.task import TaskDocument
    from tuning.engines.registry import engine_for
    document = TaskDocument.model_validate(json.loads(sys.argv[1]), strict=False)
    owner, parameters = Owner(**json.loads(sys.argv[2])), json.loads(sys.argv[3])
    deployer = LocalDeployer()
    request = DeployRequest(owner, document, engine_for(document.engine.name), parameters)
    deployment = deployer.deploy(request, log=lambda level, line: None, stop=lambda: None)
    deployer.wait_ready(deployment, limit_s=60, stop=lambda: None)
    print(json.dumps({**deployment.handle, "url": deployment.base_url}), flush=True)
    threading.Event().wait()
    """
)


class LocalHarness:
    """The local deployer; every process that carries this test's instance, or a similar one, is a leftover."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = uuid.uuid4().hex
        self.model = folder / "model"
        self.model.mkdir()
        self._experiments = itertools.count(2)

    def deployer(self) -> LocalDeployer:
        return LocalDeployer()

    def request(self, parameters: dict[str, Any], **engine: Any) -> DeployRequest:
        return self._request(EngineName.SIMULATED, parameters, "simulated-model", engine)

    def fake(self, parameters: dict[str, Any] | None = None, **environment: str) -> DeployRequest:
        """A request for fake_engine.py in the place of vLLM."""
        program = self.folder / "vllm"
        program.write_text(f"#!{sys.executable}\n{FAKE.read_text()}")
        program.chmod(0o755)
        serving = {"FAKE_COMPLETIONS": "200", **environment}
        return self.vllm(parameters, executable=program, environment=serving)

    def vllm(
        self, parameters: dict[str, Any] | None = None, *, model: str | None = None, **engine: Any
    ) -> DeployRequest:
        return self._request(EngineName.VLLM, parameters or {}, model or str(self.model), engine)

    def next_experiment(self, request: DeployRequest) -> DeployRequest:
        """The same of another experiment."""
        return dataclasses.replace(
            request, owner=dataclasses.replace(request.owner, experiment=next(self._experiments))
        )

    def similar_instance(self, request: DeployRequest) -> DeployRequest:
        """See `Harness.similar_instance`."""
        owner = dataclasses.replace(request.owner, instance=f"{self.instance}-2")
        return dataclasses.replace(request, owner=owner)

    def orphan(self, request: DeployRequest) -> dict[str, Any]:
        """See `Harness.orphan`."""
        values = (dataclasses.asdict(request.owner), request.parameters)
        arguments = [request.document.model_dump_json(), *map(json.dumps, values)]
        command = [sys.executable, "-c", STARTER, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
            assert starter.stdout is not None
            handle: dict[str, Any] = json.loads(starter.stdout.readline())
            starter.send_signal(signal.SIGKILL)
        return handle

    @contextlib.contextmanager
    def foreign(self) -> Iterator[Callable[[], bool]]:
        """See `Harness.foreign`: the very program of the simulated engine."""
        engine = EngineProcess()
        try:
            url = engine.url()
            yield lambda: answers(url + "/health")
        finally:
            engine.close()

    def _request(
        self, name: EngineName, parameters: dict[str, Any], model: str, engine: dict[str, Any]
    ) -> DeployRequest:
        document = TaskDocument.model_validate(
            {"name": "test", "engine": {"name": name, **engine}, "model": {"id": model, "served_name": "tuned"}}
        )
        return DeployRequest(Owner(self.instance, 1, 1, 1), document, engine_for(name), parameters)

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("AUTOTUNER_INSTANCE", "").startswith(self.instance)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def leftovers(self) -> list[str]:
        zombies = [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
        return [str(process) for process in (*self.processes(), *zombies)]

    def kill(self, deployment: Deployment) -> None:
        process = psutil.Process(deployment.handle["pid"])
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalHarness]:
    """The local deployer; a test that leaves a process fails, and the process is ended."""
    harness = LocalHarness(tmp_path)
    yield harness
    left = harness.processes()
    for process in left:
        process.kill()
    assert left == []
