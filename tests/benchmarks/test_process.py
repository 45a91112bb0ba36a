"""Children that never outlive their load point."""

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.benchmarks.requests import MARKS, GiveUp, Log, bear, load_request, never, still_running
from tests.benchmarks.server import serving, whole_answer
from tuning.benchmarks.process import Child
from tuning.benchmarks.registry import BENCHMARKS, benchmark_for
from tuning.document.workload import BenchmarkName
from tuning.errors import BenchmarkError

STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "print(child.pid, flush=True); time.sleep(60)"
)


def child(code: str, lines: list[str]) -> Child:
    return Child([sys.executable, "-c", code], env=os.environ, cwd=Path.cwd(), on_line=lines.append)


def test_the_exit_code_and_every_line_are_there_at_the_end() -> None:
    lines: list[str] = []
    with child("print('one'); import sys; print('two', file=sys.stderr); sys.exit(3)", lines) as started:
        assert started.wait(30, never) == 3
    assert sorted(lines) == ["one", "two"]


def test_a_child_that_ignores_term_and_its_own_child_are_killed() -> None:
    lines: list[str] = []
    grandchildren: list[psutil.Process] = []

    def stop() -> None:
        if lines:
            grandchildren.append(psutil.Process(int(lines[0])))
            raise GiveUp

    start = time.monotonic()
    with pytest.raises(GiveUp), child(STUBBORN, lines) as started:
        started.wait(30, stop)
    assert grandchildren
    assert not still_running(grandchildren)
    assert time.monotonic() - start < 30


def test_a_limit_that_passes_is_not_an_exit_code() -> None:
    with child("import time; time.sleep(60)", []) as started:
        assert started.wait(0.3, never) is None


def test_a_child_is_spoken_to_line_by_line_and_its_end_is_told() -> None:
    lines: list[str] = []
    ended = threading.Event()
    command = [sys.executable, "-c", "print(input()[::-1], flush=True); input()"]
    with Child(command, env=os.environ, cwd=Path.cwd(), on_line=lines.append, on_end=ended.set) as started:
        started.say("abc")
        assert not ended.is_set()
        started.say("the end")
        assert ended.wait(30)
        assert started.wait(30, never) == 0
        assert not started.running
        started.say("too late")
    assert lines == ["cba"]


def test_a_program_that_does_not_exist_is_a_sentence() -> None:
    with pytest.raises(BenchmarkError, match="/nowhere cannot be started: No such file"):
        Child(["/nowhere"], env={}, cwd=Path.cwd(), on_line=print)


def test_no_descriptor_is_left_open() -> None:
    """Pitfall A12b."""

    def run() -> None:
        with child("print('x')", []) as started:
            started.wait(30, never)

    run()
    before = psutil.Process().num_fds()
    for _ in range(5):
        run()
    assert psutil.Process().num_fds() == before


def test_every_load_generator_of_the_document_is_registered(tmp_path: Path) -> None:
    assert set(BENCHMARKS) == set(BenchmarkName)
    for name in BenchmarkName:
        request = load_request("http://127.0.0.1:9", tmp_path, warmup_requests=0)
        benchmark_for(name, genai_bench=tmp_path / "genai-bench").warm_up(request, log=Log(), stop=never)


@pytest.mark.parametrize("name", BenchmarkName)
def test_the_marks_given_to_the_registry_are_borne_by_what_warms_up(name: BenchmarkName, tmp_path: Path) -> None:
    """Pitfall A10."""
    before, seen = set(psutil.Process().children()), []

    def stop() -> None:
        seen.append(bear(set(psutil.Process().children()) - before, MARKS))

    with serving(lambda _, body: whole_answer(body)) as server:
        benchmark = benchmark_for(name, genai_bench=tmp_path / "genai-bench", marks=MARKS)
        benchmark.warm_up(load_request(server.url, tmp_path, warmup_requests=2), log=Log(), stop=stop)
    assert seen
    assert all(seen)
