"""One client process for all load points of an experiment."""

import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.requests import END_S, MARKS, GiveUp, Log, bear, load_request, never, still_running
from tests.benchmarks.server import ROLE, Move, Reply, ScriptedServer, serving, whole_answer
from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.builtin.client_process import ROOT
from tuning.deployers.processes import living
from tuning.errors import BenchmarkError

COMMAND = [sys.executable, "-m", "tuning.benchmarks.builtin"]


def hang(_: int, body: object) -> Reply:
    return Reply([ROLE, Move.HANG])


def clients() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.cmdline()[1:] == COMMAND[1:]]


def request(server: ScriptedServer, folder: Path, index: int = 0) -> LoadRequest:
    return load_request(server.url, folder / str(index), index=index, concurrency=(1, 2, 3), warmup_requests=2)


def test_one_process_serves_the_warm_up_and_every_load_point(tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body)) as server, Builtin() as builtin:
        first = clients()
        assert len(first) == 1
        builtin.warm_up(request(server, tmp_path), log=Log(), stop=never)
        for index in range(3):
            assert builtin.run(request(server, tmp_path, index), log=Log(), stop=never).completed == 8
        assert clients() == first
    assert clients() == []


def test_a_load_point_is_the_same_whatever_was_run_before_it(tmp_path: Path) -> None:
    """Prompts, lengths and the number of rows; and no connection of the load point before is used again."""
    bodies = []
    for before in ([], [0, 1]):
        with serving(lambda _, body: whole_answer(body)) as server, Builtin() as builtin:
            for index in before:
                builtin.run(request(server, tmp_path / str(len(before)), index), log=Log(), stop=never)
            earlier = len(server.loaded())
            used = {seen.connection for seen in server.loaded()}
            builtin.run(request(server, tmp_path / str(len(before)), 2), log=Log(), stop=never)
        last = server.loaded()[earlier:]
        assert used.isdisjoint(seen.connection for seen in last)
        bodies.append(sorted(str(seen.body) for seen in last))
    assert len(bodies[0]) == 8
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_was_killed_between_two_load_points_is_replaced(tmp_path: Path, number: signal.Signals) -> None:
    """Pitfall A10: the other one bears the same marks."""
    with serving(lambda _, body: whole_answer(body)) as server, Builtin(MARKS) as builtin:
        builtin.run(request(server, tmp_path), log=Log(), stop=never)
        [killed] = clients()
        assert bear([killed], MARKS)
        killed.send_signal(number)
        os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
        assert builtin.run(request(server, tmp_path, 1), log=Log(), stop=never).completed == 8
        [other] = clients()
        assert other != killed
        assert bear([other], MARKS)
    assert clients() == []


def test_a_client_that_is_killed_during_a_load_is_an_error_and_replaced(tmp_path: Path) -> None:
    def stop() -> None:
        if server.hanging.is_set():
            client.kill()

    with serving(hang) as server, Builtin() as builtin:
        [client] = clients()
        with pytest.raises(BenchmarkError, match="ended with code -9"):
            builtin.run(request(server, tmp_path), log=Log(), stop=stop)
        assert clients() == []
        with serving(lambda _, body: whole_answer(body)) as sound:
            assert builtin.run(request(sound, tmp_path, 1), log=Log(), stop=never).completed == 8


def test_stopping_ends_the_client_and_the_next_load_point_gets_another(tmp_path: Path) -> None:
    """Pitfall A7: after a stop nothing of the load point goes on."""

    def stop() -> None:
        if server.hanging.is_set():
            raise GiveUp

    with serving(hang) as server, Builtin() as builtin:
        with pytest.raises(GiveUp):
            builtin.run(request(server, tmp_path), log=Log(), stop=stop)
        assert server.client_gone.wait(2)
        assert clients() == []
        with serving(lambda _, body: whole_answer(body)) as sound:
            assert builtin.run(request(sound, tmp_path, 1), log=Log(), stop=never).completed == 8


def test_a_plan_that_is_refused_does_not_end_the_client(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("text\nhello\n")
    dataset = {"path": tmp_path / "prompts.csv"}
    with serving(lambda _, body: whole_answer(body)) as server, Builtin() as builtin:
        first = clients()
        with pytest.raises(BenchmarkError, match="no field 'prompt'"):
            builtin.run(
                load_request(server.url, tmp_path / "refused", scenarios=("dataset",), dataset=dataset),
                log=Log(),
                stop=never,
            )
        assert builtin.run(request(server, tmp_path), log=Log(), stop=never).completed == 8
        assert clients() == first


def test_the_client_is_gone_after_the_block_also_when_it_ends_with_an_exception() -> None:
    def fail() -> None:
        with Builtin():
            assert len(clients()) == 1
            raise GiveUp

    with pytest.raises(GiveUp):
        fail()
    assert clients() == []


def test_a_waiting_client_ends_with_its_standard_input() -> None:
    """Pitfall A10: so it does when the worker is killed."""
    with subprocess.Popen(COMMAND, cwd=ROOT, stdin=subprocess.PIPE) as client:
        assert client.stdin is not None
        client.stdin.close()
        assert client.wait(30) == 0


def test_a_waiting_client_does_not_outlive_a_worker_that_was_killed() -> None:
    """Pitfall A10."""
    code = (
        "from tuning.benchmarks.builtin.adapter import Builtin\n"
        "with Builtin():\n    print('started', flush=True)\n    input()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "started\n"
        waiting = psutil.Process(worker.pid).children(recursive=True)
        assert waiting
        worker.kill()
    assert not still_running(waiting, limit_s=END_S)


@pytest.mark.parametrize("start", ["Builtin(marks).__enter__()", "Child([*GUARD, 'sleep', '3600'], **given)"])
def test_what_has_just_been_started_does_not_outlive_a_worker_that_was_killed(start: str) -> None:
    """Pitfall A10: killed before the client, or the guard of a foreign tool, has begun to look."""
    code = (
        "import json, os, signal, sys; from pathlib import Path\n"
        "from tuning.benchmarks.builtin.adapter import Builtin\n"
        "from tuning.benchmarks.genai_bench import GUARD, Child\n"
        "marks = json.loads(sys.argv[1])\n"
        "given = {'env': {**os.environ, **marks}, 'cwd': Path.cwd(), 'on_line': print}\n"
        f"started = {start}\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    marks = {**MARKS, "AUTOTUNER_INSTANCE": uuid.uuid4().hex}
    done = subprocess.run([sys.executable, "-c", code, json.dumps(marks)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = [process for process in living() if bear([process], marks)]
    assert not still_running(left)


def test_a_waiting_client_uses_no_processor_time(tmp_path: Path) -> None:
    """While the worker is busy elsewhere, here with a load of another client."""
    with serving(lambda _, body: whole_answer(body)) as server, Builtin() as builtin:
        builtin.run(request(server, tmp_path), log=Log(), stop=never)
        [waiting] = clients()
        before = waiting.cpu_times()
        Builtin().run(request(server, tmp_path, 1), log=Log(), stop=never)
        after = waiting.cpu_times()
    assert after.user + after.system - before.user - before.system <= 0.02
