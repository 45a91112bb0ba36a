"""Finding processes by their marks: what is listed, what is not, and what removing takes away."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.deployers.conftest import LocalHarness
from tests.deployers.contract import Lines, answers, nothing, until
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.deployers.base import Owner, Role
from tuning.deployers.local import LocalDeployer
from tuning.deployers.registry import all_deployers
from tuning.errors import DeployError

ROOT = Path(__file__).parents[2]
WAIT = [sys.executable, "-c", "input()"]


@contextlib.contextmanager
def bearer(marks: Mapping[str, str], command: list[str] = WAIT) -> Iterator[subprocess.Popen[bytes]]:
    """A process that bears marks, leads a session, and ends with the block."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env={**os.environ, **marks}, start_new_session=True)
    try:
        yield process
    finally:
        process.communicate()


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def child_of(lines: Lines) -> psutil.Process:
    """The child that the fake engine has told of."""
    until(lambda: "CHILD " in lines.text)
    [line] = [line for _, line in lines.lines if line.startswith("CHILD ")]
    return psutil.Process(int(line.removeprefix("CHILD ")))


class TestListing:
    """What `started` tells."""

    def test_the_local_deployer_is_among_all(self) -> None:
        assert [type(deployer) for deployer in all_deployers()] == [LocalDeployer]

    def test_each_attempt_is_listed_once_in_order_with_all_its_processes(self, local: LocalHarness) -> None:
        owners = [Owner(local.instance, task, *rest) for task, rest in ((7, (12, 1)), (7, (9, 2)), (3, (9, 1)))]
        with contextlib.ExitStack() as running:
            for owner in (*owners, owners[0]):
                running.enter_context(bearer(owner.environment()))
            found = LocalDeployer().started(local.instance)
        assert [leftover.owner for leftover in found] == list(reversed(owners))
        assert [leftover.what.endswith(" and 1 more") for leftover in found] == [False, False, True]

    @pytest.mark.parametrize("name", ["TASK", "EXPERIMENT", "ATTEMPT"])
    @pytest.mark.parametrize("text", ["", "x", "1.0", "-1", "+1", " 1", "1\n", "007", "1e3", "٣", "9" * 30])
    def test_a_malformed_mark_is_nobodys(self, local: LocalHarness, name: str, text: str) -> None:
        """Pitfall A10: what we did not write is not ours."""
        marks = Owner(local.instance, 1, 1, 1).environment()
        assert Owner.of_environment(marks) == Owner(local.instance, 1, 1, 1)
        assert Owner.of_environment({**marks, f"AUTOTUNER_{name}": text}) is None
        del marks[f"AUTOTUNER_{name}"]
        assert Owner.of_environment(marks) is None

    def test_only_the_very_name_of_the_instance_and_whole_marks_are_listed(self, local: LocalHarness) -> None:
        marks = Owner(local.instance, 1, 1, 1).environment()
        variants = [{**marks, "AUTOTUNER_INSTANCE": text} for text in (f"{local.instance}0", local.instance[:-1])]
        variants += [{**marks, "AUTOTUNER_ATTEMPT": "x"}, {"AUTOTUNER_INSTANCE": local.instance}]
        with contextlib.ExitStack() as running:
            for variant in variants:
                running.enter_context(bearer(variant))
            assert LocalDeployer().started(local.instance) == []

    def test_a_process_that_has_ended_is_not_listed_before_its_parent_knows(self, local: LocalHarness) -> None:
        with bearer(Owner(local.instance, 1, 1, 1).environment()) as process:
            assert len(LocalDeployer().started(local.instance)) == 1
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            assert LocalDeployer().started(local.instance) == []

    def test_a_leftover_is_named_without_its_arguments(self, local: LocalHarness) -> None:
        """Pitfall D6: a command line may hold a key."""
        command = [*WAIT, "--api-key", "planted-key"]
        with bearer(Owner(local.instance, 1, 1, 1).environment(), command) as process:
            [leftover] = LocalDeployer().started(local.instance)
            assert "planted-key" in psutil.Process(process.pid).cmdline()
        assert leftover.what.startswith(f"process {process.pid} (python")
        assert "planted-key" not in str(leftover)

    def test_a_tuner_within_an_engine_neither_lists_nor_ends_itself(self, local: LocalHarness) -> None:
        """It has inherited the marks, and so has the shell that it was started from."""
        code = (
            "import sys; from tuning.deployers.base import Owner; from tuning.deployers.local import LocalDeployer\n"
            "owner, deployer = Owner(sys.argv[1], 1, 1, 1), LocalDeployer()\n"
            "print(deployer.started(owner.instance))\n"
            "deployer.remove(deployer.handle_of(owner), grace_s=0); print('it lives')"
        )
        shell = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]]); print('so does its shell')"
        done = subprocess.run(
            [sys.executable, "-c", shell, "-c", code, local.instance],
            cwd=ROOT,
            env={**os.environ, **Owner(local.instance, 1, 1, 1).environment(Role.ENGINE), "PYTHONUNBUFFERED": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == ["[]", "it lives", "so does its shell"], done.stderr


class TestRemoving:
    """What `remove` does with a leftover."""

    def test_a_daemon_of_a_dead_engine_is_found(self, local: LocalHarness) -> None:
        """Pitfall A10: it is nobody's child and leads a session of its own."""
        request = local.fake(FAKE_CHILD="own session", FAKE_EXIT="3")
        deployer = LocalDeployer()
        deployment = deployer.deploy(request, log=Lines(), stop=nothing)
        with pytest.raises(DeployError):
            deployer.wait_ready(deployment, limit_s=60, stop=nothing)
        [leftover] = deployer.started(local.instance)
        deployer.remove(leftover.handle, grace_s=0)
        assert local.leftovers() == []

    def test_a_helper_without_marks_goes_with_its_engine(self, local: LocalHarness) -> None:
        """Pitfall A7: only the marks are known, and the helper has lost them."""
        deployer, lines = LocalDeployer(), Lines()
        deployer.deploy(local.fake(FAKE_CHILD="no marks", FAKE_SLEEP="1"), log=lines, stop=nothing)
        helper = child_of(lines)
        [leftover] = deployer.started(local.instance)
        assert leftover.what.startswith(f"process {psutil.Process(helper.pid).ppid()} (")
        deployer.remove(leftover.handle, grace_s=0)
        assert gone(helper)

    @pytest.mark.parametrize("jump_s", [3600, -3600])
    def test_a_clock_that_was_set_does_not_hide_the_engine(self, local: LocalHarness, jump_s: float) -> None:
        """Start times are told in wall-clock time; the handle was written before it jumped an hour."""
        deployer, lines = LocalDeployer(), Lines()
        deployment = deployer.deploy(local.fake(FAKE_CHILD="no marks", FAKE_SLEEP="1"), log=lines, stop=nothing)
        helper = child_of(lines)
        written = dict(deployment.handle)
        deployer.remove({**written, "create_time": written["create_time"] + jump_s}, grace_s=0)
        assert gone(helper)
        assert local.leftovers() == []

    def test_the_rest_of_an_engine_goes_and_a_stranger_with_its_number_stays(self, local: LocalHarness) -> None:
        """Pitfall A10: the number of the engine's first process was given to somebody else meanwhile."""
        deployer, lines = LocalDeployer(), Lines()
        deployment = deployer.deploy(local.fake(FAKE_CHILD="own session", FAKE_EXIT="3"), log=lines, stop=nothing)
        child = child_of(lines)
        with bearer({}) as stranger:
            written = dict(deployment.handle)
            earlier = {"pid": stranger.pid, "pgid": stranger.pid, "create_time": written["create_time"] - 60}
            LocalDeployer().remove({**written, **earlier}, grace_s=0)
            assert stranger.poll() is None
        assert gone(child)
        deployer.remove(deployment.handle, grace_s=0)

    def test_what_another_owner_runs_below_an_engine_stays(self, local: LocalHarness) -> None:
        outer = Owner(local.instance, 1, 1, 1)
        inner = replace(outer, instance=f"{local.instance}-2")
        code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], env={**%r})"
        with bearer(outer.environment(Role.ENGINE), [sys.executable, "-c", code % inner.environment()]):
            until(lambda: LocalDeployer().started(inner.instance))
            LocalDeployer().remove(LocalDeployer().started(outer.instance)[0].handle, grace_s=0)
            [left] = local.processes()
            assert left.environ()["AUTOTUNER_INSTANCE"] == inner.instance
            LocalDeployer().remove(LocalDeployer().handle_of(inner), grace_s=0)
        assert local.leftovers() == []


class TestLoadGenerator:
    """It bears the marks of the attempt whose engine it loads, and is started before it."""

    def test_starting_and_removing_the_engine_leave_it_alone(self, local: LocalHarness) -> None:
        deployer, request = LocalDeployer(), local.fake()
        with Builtin(request.owner.environment(Role.LOAD)):
            [client] = local.processes()
            deployment = deployer.deploy(request, log=Lines(), stop=nothing)
            deployer.wait_ready(deployment, limit_s=60, stop=nothing)
            assert client in local.processes()
            deployer.remove(deployment.handle, grace_s=5)
            assert local.processes() == [client]
            assert not answers(deployment.base_url + "/health")
        assert local.leftovers() == []

    def test_it_is_one_leftover_with_its_engine_and_removed_with_it(self, local: LocalHarness) -> None:
        """Pitfall A7."""
        deployer, request = LocalDeployer(), local.fake(FAKE_SLEEP="1")
        with Builtin(request.owner.environment(Role.LOAD)):
            deployment = deployer.deploy(request, log=Lines(), stop=nothing)
            [leftover] = deployer.started(local.instance)
            assert leftover.what == f"process {deployment.process.child.pid} (vllm) and 1 more"
            deployer.remove(leftover.handle, grace_s=0)
            assert local.processes() == []
        assert local.leftovers() == []
