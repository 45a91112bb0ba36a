"""What goes wrong: one fault after the other, drawn by a seed, some of them at the same time."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chaos import audit
from benchmarks.chaos.installation import GPUS, Installation, lives, wait_for
from benchmarks.chaos.operator import Operator
from benchmarks.chaos.watch import Watch

GAP_S = (2.0, 6.0)
LOCKED_S = 10.0
FILLED_S = (6.0, 15.0)
WAIT_S = 10.0
"""How long a worker, or an engine, that is to be hit is waited for."""
NOTHING = "there was none"
"""What is said of a fault that found nothing to hit; it counts for nothing."""
ENDED_S = 60.0
"""Longer than a worker may take to hand back its work."""

KILL_WORKER, END_WORKER, STOP_WORKER, JUMP = "SIGKILL worker", "SIGTERM worker", "SIGSTOP worker", "clock jump"
KILL_WEB, KILL_ENGINE, KILL_SERVE = "SIGKILL web", "SIGKILL engine", "SIGKILL serve, start again"
FILL, LOCK, LOCK_QUEUE, COMMAND = "foreign process on a GPU", "database locked", "queue locked", "command"
WEIGHTS = {
    KILL_WORKER: 4,
    END_WORKER: 3,
    STOP_WORKER: 2,
    JUMP: 2,
    KILL_WEB: 2,
    KILL_ENGINE: 4,
    FILL: 3,
    KILL_SERVE: 1,
    LOCK: 1,
    LOCK_QUEUE: 1,
    COMMAND: 7,
}
"""How often each kind comes in as many faults as these are together."""
APART = {
    STOP_WORKER: (KILL_WORKER, END_WORKER, STOP_WORKER, JUMP, KILL_SERVE, LOCK),
    LOCK: (STOP_WORKER, LOCK),
    LOCK_QUEUE: (LOCK_QUEUE,),
    KILL_SERVE: (KILL_SERVE, STOP_WORKER),
}
"""What is not done while a fault of this kind lasts: a worker that is stopped would not notice."""


@dataclass
class Fault:
    """One fault, from when to when by the machine's clock; `facts` are for the checks."""

    kind: str
    began: float
    ended: float = 0.0
    text: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    rng: random.Random = field(default_factory=random.Random)
    """Its own, so that what is drawn does not depend on which of several threads is first."""


class Faults:
    """Makes faults until told to end; leaving it ends those that last."""

    def __init__(self, installation: Installation, operator: Operator, watch: Watch, rng: random.Random) -> None:
        self._installation = installation
        self._operator = operator
        self._watch = watch
        self._rng = rng
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="fault")
        self._under_way: dict[Future[None], str] = {}
        self._filled: dict[str, int] = {}
        self._filling = threading.Lock()
        self._deck: list[str] = []
        self.made: list[Fault] = []
        self._do: dict[str, Callable[[Fault], None]] = {
            KILL_WORKER: self._kill_worker,
            END_WORKER: self._end_worker,
            STOP_WORKER: self._stop_worker,
            JUMP: self._jump,
            KILL_WEB: self._kill_web,
            KILL_ENGINE: self._kill_engine,
            FILL: self._fill,
            KILL_SERVE: self._kill_serve,
            LOCK: lambda fault: self._lock(fault, installation.database),
            LOCK_QUEUE: lambda fault: self._lock(fault, installation.queue),
            COMMAND: self._command,
        }

    def make(self, count: int, until: float, tell: Callable[[str], None]) -> None:
        """Make `count` faults, fewer when it is `until` (monotonic) before; what any of them raises passes through."""
        while self._hits < count and time.monotonic() < until:
            time.sleep(self._rng.uniform(*GAP_S))
            self._collect()
            self._submit(self._operator.submit_missing, "submit")
            kind = self._choice()
            fault = Fault(kind, time.time(), rng=random.Random(self._rng.random()))
            self.made.append(fault)
            self._submit(partial(self._run, fault, tell), kind)
            if self._hits >= count:
                wait(self._under_way)  # some may turn out to have hit nothing

    @property
    def _hits(self) -> int:
        """Faults, those that are still under way included."""
        return sum(fault.text != NOTHING for fault in self.made)

    def finish(self) -> None:
        """Wait for what lasts."""
        self._pool.shutdown()
        self._collect()

    def _submit(self, do: Callable[[], None], what: str) -> None:
        if what != "submit" or what not in self._under_way.values():
            self._under_way[self._pool.submit(do)] = what

    def _collect(self) -> None:
        for future in [future for future in self._under_way if future.done()]:
            del self._under_way[future]
            future.result()

    def _choice(self) -> str:
        """The next kind that can be now; each comes once before any comes twice, then as often as WEIGHTS says."""
        busy = set(self._under_way.values())
        barred = {kind for lasting in busy for kind in APART.get(lasting, ())}
        if list(self._under_way.values()).count(FILL) >= len(GPUS) - 1:
            barred.add(FILL)
        while not (possible := [kind for kind in self._deck if kind not in barred]):
            self._deck += self._shuffled()
        self._deck.remove(possible[0])
        return possible[0]

    def _shuffled(self) -> list[str]:
        first = list(WEIGHTS)
        rest = [kind for kind, weight in WEIGHTS.items() for _ in range(weight - 1)]
        self._rng.shuffle(first)
        self._rng.shuffle(rest)
        return [*first, *rest]

    def _run(self, fault: Fault, tell: Callable[[str], None]) -> None:
        self._do[fault.kind](fault)
        fault.ended = fault.ended or time.time()
        tell(f"{fault.kind}: {fault.text} ({fault.ended - fault.began:.1f} s)")

    def _hit_worker(self, fault: Fault, number: signal.Signals) -> psutil.Process | None:
        process: psutil.Process | None = self._wait_for(self._installation.worker)
        if process is None:
            fault.text = NOTHING
            return None
        fault.began = time.time()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        fault.text = f"process {process.pid}"
        return process

    def _kill_worker(self, fault: Fault) -> None:
        self._hit_worker(fault, signal.SIGKILL)

    def _end_worker(self, fault: Fault) -> None:
        """Its end is waited for: from then on the next one can be expected."""
        process = self._hit_worker(fault, signal.SIGTERM)
        if process:
            wait_for(lambda: not lives(process), ENDED_S, every_s=0.05)

    def _stop_worker(self, fault: Fault) -> None:
        """Stop the worker for longer than its lease, have its work taken back meanwhile, and let it go on."""
        process = self._hit_worker(fault, signal.SIGSTOP)
        if process is None:
            return
        try:
            time.sleep(self._installation.lease_s + 0.5)
            answer = self._installation.manage("reconcile")
            fault.facts["reconcile"] = answer.code
            fault.text += f", {answer.text.count('attempt')} taken back or removed"
            fault.facts["last"] = self._last_entry()
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)
            fault.ended = time.time()

    def _jump(self, fault: Fault) -> None:
        """Before its settings are read a worker has no handler, and would be ended by the signal."""
        number = fault.rng.choice((signal.SIGUSR1, signal.SIGUSR2))
        process = self._wait_for(lambda: _catching(self._installation.worker(), number))
        if process:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        fault.text = f"an hour {'forwards' if number == signal.SIGUSR1 else 'back'}" if process else NOTHING

    def _kill_web(self, fault: Fault) -> None:
        process = self._wait_for(self._installation.web)
        if process is None:
            fault.text = NOTHING
            return
        fault.began = time.time()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        wait_for(lambda: not lives(process), WAIT_S, every_s=0.05)
        answered = self._installation.web_answers(60.0)
        fault.facts["answers_after_s"] = time.time() - fault.began if answered else None
        fault.text = f"process {process.pid}, it answers again: {answered}"

    def _kill_serve(self, fault: Fault) -> None:
        """Kill the supervisor alone and start it again at once, whatever is left of the first."""
        worker = self._wait_for(self._installation.worker)
        fault.began = time.time()
        self._installation.kill_serve()
        self._installation.start()
        if worker:
            wait_for(lambda: not lives(worker), ENDED_S, every_s=0.05)
        fault.text = f"its worker ended after {time.time() - fault.began:.1f} s"

    def _kill_engine(self, fault: Fault) -> None:
        engines = self._wait_for(self._watch.engines)
        if not engines:
            fault.text = NOTHING
            return
        engine = fault.rng.choice(engines)
        fault.began = time.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine.pid, signal.SIGKILL)
        fault.facts["attempt_of"] = engine.attempt_of
        fault.text = f"experiment {engine.experiment}, attempt {engine.attempt}"

    def _fill(self, fault: Fault) -> None:
        """A process that is not ours takes a GPU, whether an engine of ours is on it or not."""
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        try:
            gpu = self._put(child.pid, fault.rng)
            fault.began, fault.facts["gpu"] = time.time(), gpu
            time.sleep(fault.rng.uniform(*FILLED_S))
            fault.ended = time.time()
            self._take_away(gpu)
        finally:
            child.kill()
            child.wait()
        fault.text = f"GPU {gpu}"

    def _put(self, pid: int, rng: random.Random) -> str:
        """Put a process on a GPU that none of its kind is on; the GPU."""
        with self._filling:
            gpu = rng.choice([gpu for gpu in GPUS if gpu not in self._filled])
            self._filled[gpu] = pid
            self._installation.fill(self._filled)
            return gpu

    def _take_away(self, gpu: str) -> None:
        with self._filling:
            del self._filled[gpu]
            self._installation.fill(self._filled)

    def _lock(self, fault: Fault, database: Path) -> None:
        with audit.connected(database) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            fault.began = time.time()
            time.sleep(LOCKED_S)
            connection.execute("ROLLBACK")
        fault.text = f"for {time.time() - fault.began:.1f} s"

    def _command(self, fault: Fault) -> None:
        action, said = self._operator.act()
        fault.facts["action"] = action
        fault.text = f"{action} {said}"

    def _last_entry(self) -> int:
        with audit.connected(self._installation.database) as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM chaos_audit").fetchone()[0])

    def _wait_for(self, look: Callable[[], Any]) -> Any:
        give_up = time.monotonic() + WAIT_S
        while not (found := look()) and time.monotonic() < give_up:
            time.sleep(0.05)
        return found


def _catching(process: psutil.Process | None, number: signal.Signals) -> psutil.Process | None:
    """The process, once it has a handler for this signal."""
    with contextlib.suppress(OSError):
        if process:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            status = dict(line.split(":", 1) for line in lines)
            if int(status["SigCgt"], 16) >> (number - 1) & 1:
                return process
    return None
