"""Pictures of every page from real runs: `make screenshots` writes docs/screenshots/PAGE-{light,dark,phone}.png.

Serves a fresh installation, runs the quickstart and two richer tasks of the simulated engine in it, one of which still
runs while the pictures are taken. Exit code 1 when a page has trouble in the console, or a picture is too large.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
from playwright.sync_api import Browser, Page, sync_playwright

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
django.setup()

from tests.browser.checks import PHONE, SETTLE  # noqa: E402 - needs the settings
from tests.browser.conftest import ARGUMENTS  # noqa: E402
from tests.browser.site import PROJECT, Site, new_template  # noqa: E402
from tests.browser.visit import Troubles, Visit  # noqa: E402

OUT = PROJECT / "docs" / "screenshots"
MOST_BYTES = 200_000
QUICKSTART = "examples/quickstart.yaml"
SWEEP: dict[str, Any] = {
    "name": "chat, up to 64 streams",
    "description": "Which batching limits keep TTFT p99 below 400 ms from 8 to 64 streams?",
    "engine": {"name": "simulated"},
    "model": {"id": "simulated/llama-8b"},
    "search_space": {
        "parameters": {
            "max-num-batched-tokens": [512, 1024, 2048, 4096, 8192],
            "max-num-seqs": [8, 32, 128],
            "gpu-memory-utilization": [0.8, 0.9, 0.96],
            "kv-cache-dtype": ["auto", "fp8"],
        },
        "fixed": {"simulate-time-scale": 0.05, "simulate-startup-s": 0.1},
    },
    "slo": {"ttft_ms": {"p99": 400}, "tpot_ms": {"p90": 8}},
    "workload": {"scenarios": ["D(400,32)"], "concurrency": [8, 32, 64], "requests": 60},
    "strategy": {"name": "random", "seed": 3},
    "budget": {"experiments": 24, "max_failures": 20},
    "max_parallel": 2,
    "objective": {"name": "maximize_throughput"},
}
RUNNING: dict[str, Any] = {
    **SWEEP,
    "name": "first token, 32 streams",
    "description": "The shortest time to first token while every stream goes on without a halt.",
    "slo": {"tpot_ms": {"p90": 30}},
    "workload": {"scenarios": ["D(400,64)"], "concurrency": [8, 32], "requests": 200},
    "search_space": {
        "parameters": SWEEP["search_space"]["parameters"],
        "fixed": {"simulate-time-scale": 0.3, "simulate-startup-s": 0.5},
    },
    "strategy": {"name": "random", "seed": 5},
    "objective": {"name": "minimize_ttft", "statistic": "p90"},
}
MEASURED_OF_RUNNING = 3
"""Experiments of the running task that were measured when the pictures are taken."""
NAMES = [[str(PROJECT), "~/inference-autotuner"], [socket.gethostname(), "workstation"]]
"""What is told of this machine, and what the pictures show instead."""
REPLACE = """(names) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode())
    for (const [name, other] of names) texts.currentNode.data = texts.currentNode.data.replaceAll(name, other);
}"""
LOOKS = {"light": Visit(height=800), "dark": Visit(height=800, dark=True), "phone": Visit(**PHONE)}


def main() -> int:
    """Take every picture; see above."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with _site() as site, sync_playwright() as playwright:
        pages = _pages(site)
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        troubles = [trouble for name, look in LOOKS.items() for trouble in _take(browser, site, pages, name, look)]
        browser.close()
    large = [path.name for path in sorted(OUT.iterdir()) if path.stat().st_size > MOST_BYTES]
    for line in (*troubles, *(f"{name} has more than {MOST_BYTES} bytes" for name in large)):
        print(line, file=sys.stderr)  # noqa: T201 - a program
    return 1 if troubles or large else 0


@contextmanager
def _site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="autotuner-screenshots-") as folder:
        site = Site(new_template(Path(folder) / "template"), Path(folder) / "site")
        try:
            site.start()
            yield site
        finally:
            site.close()


def _pages(site: Site) -> dict[str, str]:
    """Run the tasks; the pages by the names of their pictures."""
    quick = site.submit((PROJECT / QUICKSTART).read_text())
    site.wait_for_status(quick, "completed")
    sweep = site.submit(SWEEP)
    site.wait_for_status(sweep, "completed")
    running = site.submit(RUNNING)
    site.wait_for(
        "select 1 where (select count(*) from tuning_experiment where task_id = ? and status = 'success') >= ?",
        running,
        MEASURED_OF_RUNNING,
    )
    best = site.query(
        "select number from tuning_experiment where id = (select best_id from tuning_task where id = ?)", quick
    )
    failed = site.query("select number from tuning_experiment where task_id = ? and status = 'failed'", sweep)
    pages = {
        "dashboard": "/",
        "tasks": "/tasks",
        "task-new": "/tasks/new",
        "task": f"/tasks/{quick}",
        "task-running": f"/tasks/{running}",
        "results": f"/tasks/{sweep}/results",
        "compare": f"/tasks/{quick}/compare?experiment=1&experiment=2&experiment=3",
        "log": f"/tasks/{quick}/experiments/2/log",
        "experiment": f"/tasks/{quick}/experiments/{best[0][0] if best else 1}",
        "experiments": "/experiments",
        "machines": "/machines",
        "deployments": "/deployments",
        "search": "/search?q=chat",
        "admin": "/admin/",
        "sign-in": "/sign-in",
    }
    return pages | ({"experiment-failed": f"/tasks/{sweep}/experiments/{failed[0][0]}"} if failed else {})


def _take(browser: Browser, site: Site, pages: dict[str, str], look: str, visit: Visit) -> list[str]:
    """Take the pictures of one look; what went wrong on the pages."""
    troubles = Troubles()
    context = browser.new_context(base_url=site.url, **visit.context)
    for name, path in pages.items():
        context.clear_cookies()
        if name != "sign-in":
            context.add_cookies([{"name": "sessionid", "value": site.sessions["ada"], "url": site.url}])
        page = context.new_page()
        troubles.watch(page)
        _picture(page, path, OUT / f"{name}-{look}.png")
        page.close()
    context.close()
    return troubles.unexpected


def _picture(page: Page, path: str, file: Path) -> None:
    """One page as it is a moment after it was opened, with its charts drawn."""
    page.goto(path, wait_until="networkidle")
    page.evaluate(REPLACE, NAMES)
    page.evaluate(SETTLE)
    page.screenshot(path=file, animations="disabled", caret="hide")


if __name__ == "__main__":
    sys.exit(main())
