"""The person at the command line, who remembers what state every task was last asked to be in."""

import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos import audit
from benchmarks.chaos.installation import Answer, Installation

RUNNING, PAUSED, CANCELLED = "running", "paused", "cancelled"
AFTER = {"start": RUNNING, "pause": PAUSED, "resume": RUNNING, "cancel": CANCELLED, "retry": RUNNING}
"""What a task is asked to be by a command that was not refused; `restart` leaves it and makes another."""
SUITS = {
    "pause": ("running",),
    "cancel": ("running", "paused"),
    "resume": ("paused", "cancelled"),
    "retry": ("paused", "cancelled", "completed", "failed"),
    "restart": ("cancelled", "completed", "failed"),
}
"""In which status of a task a command makes sense."""
UNFINISHED = ("pending", "running", "paused")
LEAST, AT_MOST = 2, 7
"""Running tasks at the same time."""
DOUBLE = 0.15
"""How often a command is given twice at the same time."""
HALF = 0.5
ODD = 0.1
"""How often a command is given that does not suit the status."""
LEFT = 0.4
"""Share of the paused and cancelled tasks that are left so at the end."""
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Given:
    """A command that was given, from when to when by the machine's clock, and its answer."""

    action: str
    task: int
    began: float
    ended: float
    answer: Answer

    @property
    def done(self) -> bool:
        """Whether it was carried out."""
        return self.answer.code == 0


class Operator:
    """Gives one command after the other, also from several threads."""

    def __init__(self, installation: Installation, documents: list[dict[str, Any]], rng: random.Random) -> None:
        self._installation = installation
        self._documents = documents
        self._rng = rng
        self._one_at_a_time = threading.Lock()
        self._deck: list[str] = []
        self.wanted: dict[int, str] = {}
        self.given: list[Given] = []
        self.doubled: list[str] = []
        """Commands that were carried out twice when they were given twice."""

    def submit_missing(self) -> None:
        """Have a task of every document that is not finished: submitted, or an ended one started once more."""
        with self._one_at_a_time:
            for document in self._documents:
                tasks = [row for row in self.tasks() if row["name"] == document["name"]]
                if any(row["status"] in UNFINISHED for row in tasks):
                    continue
                if not tasks or self._rng.random() < HALF or self._give("restart", tasks[-1]["id"]).code:
                    self._submit(document)

    def act(self) -> tuple[str, str]:
        """Give a command that makes sense, or now and then one that does not; its name, and what came of it."""
        with self._one_at_a_time:
            action, task = self._choice(self.tasks())
            if action != "restart" and self._rng.random() < DOUBLE:
                answers = self._twice(action, task)
            else:
                answers = [self._give(action, task)]
        said = "; ".join(answer.text.splitlines()[-1] if answer.text else "" for answer in answers)
        return action, f"task {task}: {said}"

    def settle(self) -> None:
        """Leave some of the paused and cancelled tasks as they are, and have the others go on."""
        with self._one_at_a_time:
            for row in self.tasks():
                if self.wanted[row["id"]] != RUNNING and self._rng.random() > LEFT:
                    self._insist("resume", row["id"])

    def tasks(self) -> list[Any]:
        """The rows of all tasks, oldest first, with how many of their experiments have failed."""
        query = (
            "SELECT id, name, run, status, (SELECT count(*) FROM tuning_experiment e "
            "WHERE e.task_id = t.id AND e.status = 'failed') AS failed FROM tuning_task t ORDER BY id"
        )
        with audit.connected(self._installation.database) as connection:
            return connection.execute(query).fetchall()

    def _choice(self, tasks: list[Any]) -> tuple[str, int]:
        """The next command for which there is a task; now and then one that does not suit the task."""
        if not self._deck:
            self._deck = self._rng.sample(list(SUITS), len(SUITS))
        for action in self._deck:
            if found := self._suiting(action, tasks):
                self._deck.remove(action)
                return action, self._rng.choice(found)["id"]
        self._deck.clear()
        return "start", self._rng.choice(tasks)["id"]  # refused: all of them were started

    def _suiting(self, action: str, tasks: list[Any]) -> list[Any]:
        """At least two tasks are left running, so that there is always something to recover."""
        running = [row for row in tasks if row["status"] == RUNNING]
        busy = {row["name"] for row in tasks if row["status"] in UNFINISHED}
        if action in ("pause", "cancel") and len(running) <= LEAST:
            return []
        if self._rng.random() < ODD:
            return [row for row in tasks if row not in running]
        if action in ("resume", "retry", "restart") and len(running) >= AT_MOST:
            return []
        suiting = [row for row in tasks if row["status"] in SUITS[action]]
        if action == "retry":
            return [row for row in suiting if row["failed"]]
        return [row for row in suiting if action != "restart" or row["name"] not in busy]

    def _twice(self, action: str, task: int) -> list[Answer]:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: self._give(action, task), range(2)))
        if all(answer.code == 0 for answer in answers):
            self.doubled.append(f"{action} of task {task}")
        return answers

    def _submit(self, document: dict[str, Any]) -> None:
        """Submit a document; when the database is locked for too long, another one will be missing later."""
        began = time.time()
        answer = self._installation.submit(document)
        number = re.match(r"Task (\d+):", answer.text)
        task = int(number[1]) if number else 0
        self.given.append(Given("submit", task, began, time.time(), answer))
        if answer.code == 0:
            self.wanted[task] = RUNNING

    def _insist(self, action: str, task: int) -> None:
        """Give a command again while it is refused because something still ends."""
        give_up = time.monotonic() + PATIENCE_S
        while self._give(action, task).code and time.monotonic() < give_up:
            time.sleep(0.5)

    def _give(self, action: str, task: int) -> Answer:
        began = time.time()
        answer = self._installation.manage("task", action, str(task))
        self.given.append(Given(action, task, began, time.time(), answer))
        if answer.code == 0 and action in AFTER:
            self.wanted[task] = AFTER[action]
        if answer.code == 0 and action == "restart":
            again = re.search(r"as task (\d+)", answer.text)
            assert again  # noqa: S101 - it says so
            self.wanted[int(again[1])] = RUNNING
        return answer
