"""Engines as processes of this machine: the contract, and what only processes can do wrong."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.deployers.conftest import LocalHarness
from tests.deployers.contract import FAST, DeployerContract, Lines, answers, nothing
from tuning.deployers import output
from tuning.deployers.base import DeployRequest
from tuning.deployers.local import LocalDeployer, LocalDeployment
from tuning.deployers.registry import SUPPORTED_MODES, deployer_for, mode_problems
from tuning.engines.base import Command, Launch
from tuning.engines.vllm import VllmEngine
from tuning.errors import DeployError, DocumentError, EngineDied, Reason


class TestContract(DeployerContract):
    """What every deployer promises."""

    @pytest.fixture
    def harness(self, local: LocalHarness) -> LocalHarness:
        return local


def run_until_ready(request: DeployRequest, *, limit_s: float = 60) -> tuple[LocalDeployer, LocalDeployment, Lines]:
    deployer, lines = LocalDeployer(), Lines()
    deployment = deployer.deploy(request, log=lines, stop=nothing)
    try:
        deployer.wait_ready(deployment, limit_s=limit_s, stop=nothing)
    except BaseException:
        deployer.remove(deployment.handle, grace_s=5)
        raise
    return deployer, deployment, lines


def failure(request: DeployRequest, *, limit_s: float = 60) -> DeployError:
    with pytest.raises(DeployError) as caught:
        run_until_ready(request, limit_s=limit_s)
    return caught.value


class TestStart:
    """Before there is a process."""

    def test_a_missing_program_says_what_to_do(self, local: LocalHarness) -> None:
        error = failure(local.vllm(executable=local.folder / "no" / "vllm"))
        assert error.reason is Reason.ENGINE_NOT_FOUND
        assert "install vllm" in str(error)
        assert "engine.executable" in str(error)

    def test_a_program_that_is_not_on_the_path_is_missed(
        self, local: LocalHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(local.folder))
        assert failure(local.vllm()).reason is Reason.ENGINE_NOT_FOUND

    def test_a_file_that_may_not_be_executed_is_told_apart(self, local: LocalHarness) -> None:
        program = local.folder / "vllm"
        program.write_text("#!/bin/sh\n")
        error = failure(local.vllm(executable=program))
        assert error.reason is Reason.ENGINE_NOT_FOUND
        assert "permissions" in str(error)

    def test_a_script_whose_interpreter_is_gone_is_told(self, local: LocalHarness) -> None:
        program = local.folder / "vllm"
        program.write_text("#!/no/such/interpreter\n")
        program.chmod(0o755)
        error = failure(local.vllm(executable=program))
        assert error.reason is Reason.ENGINE_NOT_FOUND
        assert "cannot be started" in str(error)

    def test_an_interpreter_without_the_engine_is_told(self, local: LocalHarness) -> None:
        error = failure(local.vllm(python=Path(sys.executable)))
        assert error.reason is Reason.ENGINE_NOT_FOUND
        assert "No module named 'vllm'" in str(error)

    @pytest.mark.parametrize("model", ["/no/such/model", "./no/model", "../model", "~/no/such/model", "a/b/c"])
    def test_a_model_folder_that_does_not_exist_is_missed_before_the_start(
        self, local: LocalHarness, model: str
    ) -> None:
        error = failure(local.vllm(model=model, executable=Path("/bin/false")))
        assert error.reason is Reason.MODEL_NOT_FOUND
        assert "does not exist" in str(error)

    def test_a_hub_id_is_passed_on_as_it_is(self, local: LocalHarness) -> None:
        deployer = LocalDeployer()
        request = local.vllm(model="owner/name", executable=Path(sys.executable))
        deployment = deployer.deploy(request, log=Lines(), stop=nothing)
        assert deployment.command.arguments[:3] == (sys.executable, "serve", "owner/name")
        deployer.remove(deployment.handle, grace_s=5)

    def test_an_argument_that_no_process_can_get_is_refused(self, local: LocalHarness) -> None:
        assert failure(local.fake({"chat-template": "a\0b"})).reason is Reason.INVALID_CONFIG
        assert failure(local.fake({"chat-template": "x" * 3_000_000})).reason is Reason.INVALID_CONFIG


class TestEnvironment:
    """What an engine gets to know of us."""

    def environment(self, request: DeployRequest) -> tuple[dict[str, str], Lines]:
        deployer, deployment, lines = run_until_ready(request)
        deployer.remove(deployment.handle, grace_s=5)
        [line] = [line for _, line in lines.lines if line.startswith("ENVIRONMENT ")]
        return json.loads(line.removeprefix("ENVIRONMENT ")), lines

    def test_only_a_short_list_of_variables_is_inherited(
        self, local: LocalHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AUTOTUNER_SECRET_KEY", "DJANGO_SETTINGS_MODULE", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "planted")
        monkeypatch.setenv("HF_HOME", "/cache")
        monkeypatch.setenv("VLLM_API_KEY", "planted")
        environment, _ = self.environment(local.fake(FAKE_ENVIRONMENT="1"))
        assert "planted" not in environment.values()
        assert environment["HF_HOME"] == "/cache"
        assert environment["PATH"].startswith(str(local.folder))
        assert "127.0.0.1" in environment["no_proxy"]

    def test_document_parameters_marks_and_gpus_arrive(self, local: LocalHarness) -> None:
        """Pitfall C3b: devices are counted in PCI order."""
        request = local.fake({"env:TUNED": 7}, FAKE_ENVIRONMENT="1", FROM_DOCUMENT="yes")
        request = DeployRequest(request.owner, request.document, request.engine, request.parameters, gpus=("3", "5"))
        environment, _ = self.environment(request)
        assert environment["TUNED"] == "7"
        assert environment["FROM_DOCUMENT"] == "yes"
        assert environment["CUDA_VISIBLE_DEVICES"] == "3,5"
        assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
        assert {name: environment[name] for name in request.owner.environment()} == request.owner.environment()

    def test_a_secret_is_in_no_line_of_the_log(self, local: LocalHarness) -> None:
        """Pitfall D6: a planted token that the engine prints is masked."""
        request = local.fake(HF_TOKEN="hf_planted_token", FAKE_ECHO="using hf_planted_token now")
        deployer, deployment, lines = run_until_ready(request)
        deployer.remove(deployment.handle, grace_s=5)
        assert "hf_planted_token" not in lines.text
        assert "using *** now" in lines.text
        assert "hf_planted_token" not in " ".join(deployment.command.arguments)


class TestReadiness:
    """An engine is ready when it serves the right model, and not before."""

    @pytest.mark.parametrize(
        ("variables", "words"),
        [
            ({"FAKE_ROOT": "/another/model"}, "loaded '/another/model'"),
            ({"FAKE_ID": "another"}, "does not serve 'tuned'; it serves another"),
            ({"FAKE_COMPLETIONS": "404"}, "refuses every request"),
        ],
    )
    def test_another_model_is_no_readiness(self, local: LocalHarness, variables: dict[str, str], words: str) -> None:
        """Engine facts 14.5; Pitfall C1b: a server that answers 404 to our name is not measured."""
        error = failure(local.fake(**variables))
        assert error.reason is Reason.WRONG_MODEL
        assert words in str(error)

    def test_a_server_that_wants_a_key_is_told_at_once(self, local: LocalHarness) -> None:
        error = failure(local.fake(FAKE_MODELS="401"))
        assert error.reason is Reason.INVALID_CONFIG
        assert "without a key" in str(error)

    @pytest.mark.parametrize("variables", [{"FAKE_HEALTH": "503"}, {"FAKE_COMPLETIONS": "500"}, {"FAKE_MODELS": "503"}])
    def test_a_server_that_does_not_serve_yet_is_waited_for(
        self, local: LocalHarness, variables: dict[str, str]
    ) -> None:
        assert failure(local.fake(**variables), limit_s=1).reason is Reason.STARTUP_TIMEOUT

    @pytest.mark.parametrize("path", ["FAKE_CHAT_COMPLETIONS", "FAKE_EMBEDDINGS"])
    def test_a_model_that_only_chats_or_embeds_is_ready_too(self, local: LocalHarness, path: str) -> None:
        deployer, deployment, _ = run_until_ready(local.fake(**{"FAKE_COMPLETIONS": "404", path: "200"}))
        deployer.remove(deployment.handle, grace_s=5)

    def test_a_health_page_that_never_answers_hides_neither_stop_nor_limit(self, local: LocalHarness) -> None:
        """Engine facts 11.5: a wait that hears nothing still looks around."""
        calls = []
        deployer = LocalDeployer()
        deployment = deployer.deploy(local.fake(FAKE_HANGING_HEALTH="1"), log=Lines(), stop=nothing)
        with pytest.raises(DeployError, match="it has not printed a line") as caught:
            deployer.wait_ready(deployment, limit_s=2, stop=lambda: calls.append(1))
        assert caught.value.reason is Reason.STARTUP_TIMEOUT
        assert len(calls) >= 4
        deployer.remove(deployment.handle, grace_s=5)


class TestPorts:
    """A port is ours until the engine has it."""

    def test_a_port_taken_between_choice_and_start_is_retried(self, local: LocalHarness) -> None:
        """Pitfall A14b: somebody else listens before the engine does."""
        thieves: list[socket.socket] = []

        class Unlucky(VllmEngine):
            def command(self, launch: Launch) -> Command:
                if not thieves:
                    thief = socket.socket()
                    thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    thief.bind((launch.host, launch.port))
                    thief.listen()
                    thieves.append(thief)
                return super().command(launch)

        request = local.fake()
        request = DeployRequest(request.owner, request.document, Unlucky(), {})
        deployer, deployment, lines = run_until_ready(request)
        with thieves[0]:
            taken = thieves[0].getsockname()[1]
            assert f"port {taken} was taken" in lines.text
            assert answers(deployment.base_url + "/health")
        deployer.remove(deployment.handle, grace_s=5)
        assert local.leftovers() == []

    def test_an_engine_that_cannot_share_its_port_gets_one_that_is_free(self, local: LocalHarness) -> None:
        deployer, deployment, _ = run_until_ready(local.fake(FAKE_NO_REUSE="1"))
        deployer.remove(deployment.handle, grace_s=5)
        assert local.leftovers() == []

    def test_where_ports_cannot_be_shared_they_are_released_before_the_start(
        self, local: LocalHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tuning.deployers.local.CAN_SHARE", False)
        deployer, deployment, lines = run_until_ready(local.fake(FAKE_NO_REUSE="1"))
        deployer.remove(deployment.handle, grace_s=5)
        assert "was taken" not in lines.text

    def test_a_port_that_is_always_taken_is_given_up(self, local: LocalHarness) -> None:
        request = local.fake(FAKE_ECHO="OSError: [Errno 98] Address already in use", FAKE_EXIT="1")
        assert failure(request).reason is Reason.PORT_IN_USE
        assert local.leftovers() == []


class TestEnd:
    """Nothing outlives `remove`."""

    @pytest.mark.parametrize("child", ["same session", "own session"])
    def test_children_that_ignore_a_polite_request_are_ended_too(self, local: LocalHarness, child: str) -> None:
        deployer, deployment, _ = run_until_ready(local.fake(FAKE_STUBBORN="1", FAKE_CHILD=child))
        assert len(local.processes()) == 2
        deployer.remove(deployment.handle, grace_s=0.3)
        assert local.leftovers() == []

    @pytest.mark.parametrize("child", ["same session", "own session"])
    def test_children_of_an_engine_that_has_ended_are_found(self, local: LocalHarness, child: str) -> None:
        """A daemon that forked twice is nobody's child; its marks give it away."""
        request = local.fake(FAKE_CHILD=child, FAKE_EXIT="3")
        deployer = LocalDeployer()
        deployment = deployer.deploy(request, log=Lines(), stop=nothing)
        with pytest.raises(DeployError, match="asked to exit"):
            deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        assert len(local.processes()) == 1
        LocalDeployer().remove(deployment.handle, grace_s=0.1)
        deployer.remove(deployment.handle, grace_s=0.1)
        assert local.leftovers() == []

    def test_a_child_that_has_lost_its_marks_is_found_by_its_group(self, local: LocalHarness) -> None:
        """Some programs overwrite their environment; the engine that started them may be gone."""
        lines, deployer = Lines(), LocalDeployer()
        deployment = deployer.deploy(local.fake(FAKE_CHILD="no marks", FAKE_EXIT="3"), log=lines, stop=nothing)
        with pytest.raises(DeployError, match="asked to exit"):
            deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        [line] = [line for _, line in lines.lines if line.startswith("CHILD ")]
        child = psutil.Process(int(line.removeprefix("CHILD ")))
        deployer.remove(deployment.handle, grace_s=0.1)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    def test_workers_that_live_on_do_not_hide_the_death_of_the_server(self, local: LocalHarness) -> None:
        deployer, deployment, _ = run_until_ready(local.fake(FAKE_CHILD="same session"))
        local.kill(deployment)
        with pytest.raises(EngineDied, match="SIGKILL"):
            deployment.check()
        deployer.remove(deployment.handle, grace_s=0.1)
        assert local.leftovers() == []

    def test_a_polite_engine_has_its_time(self, local: LocalHarness) -> None:
        deployer, deployment, lines = run_until_ready(local.request(FAST))
        deployer.remove(deployment.handle, grace_s=30)
        assert "Shutting down" in lines.text

    def test_a_process_that_only_has_the_number_is_spared(self, local: LocalHarness) -> None:
        """Numbers are given to others; a start time or a mark must agree."""
        deployer, deployment, _ = run_until_ready(local.fake())
        handle = dict(deployment.handle)
        deployer.remove(handle, grace_s=5)
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
        try:
            earlier = {"pid": stranger.pid, "pgid": stranger.pid, "create_time": handle["create_time"] - 60}
            LocalDeployer().remove({**handle, **earlier}, grace_s=0)
            assert stranger.poll() is None
        finally:
            stranger.communicate(b"\n")

    def test_an_engine_whose_tuner_was_killed_is_removed_by_the_next_one(self, local: LocalHarness) -> None:
        """Pitfall A10: SIGKILL of the runner, then removal from another process by the stored handle."""
        handle = local.orphan(local.fake())
        assert answers(handle["url"] + "/health")
        LocalDeployer().remove(handle, grace_s=5)
        assert local.leftovers() == []

    def test_fifty_deployments_leave_no_descriptor_and_no_thread(self, local: LocalHarness) -> None:
        """Pitfall A12b."""

        def once() -> None:
            deployment = deployer.deploy(request, log=Lines(), stop=nothing)
            deployer.remove(deployment.handle, grace_s=0)
            with pytest.raises(DeployError):
                deployer.deploy(missing, log=Lines(), stop=nothing)

        deployer, request = LocalDeployer(), local.fake(FAKE_SLEEP="1")
        missing = local.vllm(executable=Path("/no/such/vllm"))
        once()
        before = psutil.Process().num_fds(), threading.active_count()
        for _ in range(50):
            once()
        assert (psutil.Process().num_fds(), threading.active_count()) == before


class TestLog:
    """The engine never waits for its log."""

    def test_a_sink_that_is_stuck_does_not_stop_the_engine(
        self, local: LocalHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(output, "MAX_WAITING", 1000)
        stuck, lines = threading.Event(), Lines()

        def sink(level: str, line: str) -> None:
            stuck.wait()
            lines(level, line)

        deployer = LocalDeployer()
        deployment = deployer.deploy(local.fake(FAKE_LINES="20000"), log=sink, stop=nothing)
        deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        stuck.set()
        deployer.remove(deployment.handle, grace_s=5)
        assert "lines of the engine were dropped" in lines.text
        assert "INFO line 19999" in lines.text
        assert len(lines.lines) < 19_000

    def test_a_sink_that_fails_does_not_stop_the_engine(self, local: LocalHarness) -> None:
        """Disk full while logging."""

        def sink(level: str, line: str) -> None:
            raise OSError(28, "No space left on device")

        deployer = LocalDeployer()
        deployment = deployer.deploy(local.fake(FAKE_LINES="5000"), log=sink, stop=nothing)
        deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        deployer.remove(deployment.handle, grace_s=5)
        assert local.leftovers() == []


def test_modes_that_are_still_to_come_are_refused_in_words() -> None:
    assert {"local"} == SUPPORTED_MODES
    assert mode_problems("local") == []
    [problem] = mode_problems("docker")
    assert problem.path == "deployment.mode"
    assert "not available yet" in problem.message
    with pytest.raises(DocumentError, match="ome is not available yet"):
        deployer_for("ome")
    assert isinstance(deployer_for("local"), LocalDeployer)
