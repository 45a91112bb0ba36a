"""Logs of any length in an installation that is served, and what a page shows of them."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

from playwright.sync_api import Locator, Page, expect

from tests.browser.site import Site

IN_VIEW = """(box) => {
  const edge = box.getBoundingClientRect();
  return [...box.querySelectorAll(".log-line")].filter((row) => {
    const place = row.getBoundingClientRect();
    return place.top >= edge.top - 1 && place.bottom <= edge.bottom + 1;
  }).map((row) => row.querySelector(".text").textContent);
}"""

AT = "2026-01-02 03:04:05"
MAKE = """
from tuning.models import Experiment, Task
task = Task.objects.get(pk={task})
for number in (1, 2):
    row = Experiment.objects.create(task=task, number=number, parameters_hash=str(number))
    print(row.pk)
"""
INSERT = "insert into tuning_logline (task_id, experiment_id, at, level, source, text) values (?, ?, ?, ?, ?, ?)"


@dataclass
class WrittenLog:
    """The log of a task that waits, and of its first experiment; nobody but the test writes to them."""

    site: Site
    task: int
    experiments: tuple[int, ...]
    written: int = 0

    @property
    def path(self) -> str:
        """The page of the experiment's log."""
        return f"/tasks/{self.task}/experiments/1/log"

    def write(self, count: int = 1, *, level: str = "info", source: str = "engine", text: str = "line {}") -> None:
        """More lines of the first experiment; `text` may have the number of the line."""
        numbers = range(self.written + 1, self.written + count + 1)
        self.written += count
        self._run(
            INSERT,
            ((self.task, self.experiments[0], AT, level, source, text.format(number)) for number in numbers),
        )

    def end(self) -> None:
        """Nothing will be written any more."""
        self._run("update tuning_experiment set status = 'success' where task_id = ?", [(self.task,)])
        self._run("update tuning_task set status = 'completed', finished_at = ? where id = ?", [(AT, self.task)])

    def _run(self, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
        path = self.site.folder / "autotuner.sqlite3"
        with closing(sqlite3.connect(path, timeout=20)) as database, database:
            database.executemany(sql, rows)


def written_log(site: Site, lines: int = 0) -> WrittenLog:
    """A log with that many lines, `line 1` ..., which may grow."""
    task = site.submit(start=False)
    rows = site.shell(MAKE.format(task=task)).split()
    log = WrittenLog(site, task, tuple(map(int, rows)))
    log.write(lines)
    return log


def box(page: Page) -> Locator:
    """The region that has the lines."""
    return page.get_by_role("log")


def shown(page: Page) -> list[str]:
    """The texts of the lines that are elements now."""
    return page.locator(".log-line .text").all_text_contents()


def loaded(page: Page) -> str:
    """What the page says of what it has."""
    return page.locator("[data-log-note]").inner_text()


def do(page: Page, name: str) -> None:
    """Press a button of the log."""
    page.locator(f'[data-log-do="{name}"]').click()


def in_view(page: Page) -> list[str]:
    """The lines that a person sees, once there are any: lines become elements a moment after they come into view."""
    handle = box(page).element_handle()
    found = page.wait_for_function(
        f"(box) => {{ const lines = ({IN_VIEW})(box); return lines.length && lines; }}", arg=handle
    )
    lines: list[str] = found.json_value()
    return lines


def wait_for_view(page: Page, text: str) -> None:
    """Wait until a person sees this line."""
    page.wait_for_function(f"([box, text]) => ({IN_VIEW})(box).includes(text)", arg=[box(page).element_handle(), text])


def numbers_without_gap(page: Page, first: int, last: int) -> None:
    """The lines that are elements are these, each once, in order, with their numbers."""
    expect(page.locator(".log-line").last.locator(".text")).to_have_text(f"line {last}", timeout=20_000)
    assert shown(page) == [f"line {number}" for number in range(first, last + 1)]
    assert page.locator(".log-line .number").all_text_contents() == [str(number) for number in range(first, last + 1)]


def state(page: Page, word: str) -> None:
    expect(page.locator("[data-log-state]")).to_have_text(word)
