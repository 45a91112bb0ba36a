"""The way of somebody who is new to the tuner, with a mouse, a keyboard, a phone, and without JavaScript."""

import re
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.browser.checks import PHONE, assert_accessible, assert_no_sideways_scroll
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.visit import Troubles
from tests.runner.factories import SLOW

LONG = {"fixed": SLOW, "workload": {"requests": 20_000, "seconds": 600}}
PARAMETERS = {"max-num-seqs": [4, 8, 16]}
LIVE_MS = 30_000
AWAY = ("ERR_CONNECTION_REFUSED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET", "ERR_SOCKET_NOT_CONNECTED", "htmx:")
"""What a browser says of a server that is gone."""


def status(page: Page) -> Locator:
    """The state of the task in the head of its page."""
    return page.locator("#task-now .badge").first


def act(page: Page, word: str) -> None:
    """Press the button or the link of an action, and say yes where it asks."""
    page.locator(f"#action-{word}").click()
    question = page.locator("form[data-question]")
    if word in ("cancel", "restart", "retry", "delete"):
        question.locator("button:not([data-close])").click()


def press_until(page: Page, target: Locator) -> None:
    """Press Tab until `target` has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        if target.evaluate("(element) => element === document.activeElement"):
            return
    raise AssertionError(f"{target} cannot be reached by the keyboard")


@pytest.fixture(scope="module")
def finished(site: Site) -> int:
    """A task that is completed."""
    return site.finished(parameters=PARAMETERS, name="finished")


@pytest.fixture
def running(site: Site) -> int:
    """A task that runs for long; it is cancelled afterwards."""
    return site.submit(parameters=PARAMETERS, name="running", **LONG)


def test_a_task_is_started_watched_cancelled_and_resumed(site: Site, visit: Open) -> None:
    task = site.submit(start=False, parameters={"max-num-seqs": [4]}, name="watched", **LONG)
    page = visit(f"/tasks/{task}")
    expect(status(page)).to_have_text("pending")
    act(page, "start")
    expect(status(page)).to_have_text("running", timeout=LIVE_MS)
    expect(page.locator("#experiments")).to_contain_text("benchmarking", timeout=LIVE_MS)
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text("engine started", timeout=LIVE_MS)
    page.get_by_role("link", name="Overview", exact=True).click()
    act(page, "cancel")
    expect(status(page)).to_have_text("cancelled", timeout=LIVE_MS)
    act(page, "resume")
    expect(status(page)).to_have_text("running", timeout=LIVE_MS)
    act(page, "cancel")
    expect(status(page)).to_have_text("cancelled", timeout=LIVE_MS)


def test_a_finished_task_shows_its_charts_while_it_is_looked_at(site: Site, visit: Open) -> None:
    task = site.submit(start=False, parameters=PARAMETERS, name="drawn live")
    page = visit(f"/tasks/{task}")
    act(page, "start")
    expect(status(page)).to_have_text("completed", timeout=2 * LIVE_MS)
    expect(page.locator("[data-finding=history]").first).to_contain_text("xperiment", timeout=LIVE_MS)
    points = "(canvas) => Chart.getChart(canvas)?.data.datasets.flatMap((one) => one.data).length >= 4"
    page.wait_for_function(f"() => ({points})(document.querySelector('#history-chart'))")


def test_results_are_compared_and_exported(finished: int, visit: Open, tmp_path: Path) -> None:
    page = visit(f"/tasks/{finished}")
    page.get_by_role("link", name="Results", exact=True).click()
    for number in (1, 2):
        page.get_by_label(f"Compare experiment {number}").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("columnheader", name="Experiment 2")).to_be_visible()
    assert_accessible(page)
    page.go_back()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "results.csv")
    assert len((tmp_path / "results.csv").read_text().splitlines()) > 4


def test_an_exported_document_is_imported_again(finished: int, visit: Open, site: Site, tmp_path: Path) -> None:
    page = visit(f"/tasks/{finished}")
    with page.expect_download() as download:
        page.locator("#document").get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "task.yaml")
    exported = yaml.safe_load((tmp_path / "task.yaml").read_text())
    assert exported["name"] == "finished"
    assert site.submit((tmp_path / "task.yaml").read_text()) != finished


def test_a_phone_shows_the_way_too(finished: int, visit: Open) -> None:
    page = visit("/", **PHONE)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Tasks", exact=True).click()
    page.get_by_role("link", name="finished", exact=True).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("finished")
    for tab in ("Results", "Log", "Overview"):
        page.get_by_role("link", name=tab, exact=True).click()
        expect(page.get_by_role("link", name=tab, exact=True)).to_have_attribute("aria-current", "page")
        assert_no_sideways_scroll(page)
    page.get_by_role("region", name="Experiments").get_by_role("link", name="1", exact=True).click()
    assert_no_sideways_scroll(page)


def test_everything_is_reached_by_the_keyboard(running: int, visit: Open) -> None:
    page = visit("/tasks")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    press_until(page, page.locator(f"a[href='/tasks/{running}']").first)
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/tasks/{running}$"))
    cancel = page.locator("#action-cancel")
    expect(cancel).to_be_visible(timeout=LIVE_MS)
    press_until(page, cancel)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    press_until(page, dialog.locator("button:not([data-close])"))
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("cancelled", timeout=LIVE_MS)


def test_without_javascript_all_is_read_and_done_by_links_and_forms(site: Site, finished: int, visit: Open) -> None:
    page = visit(f"/tasks/{finished}", javascript=False)
    expect(page.locator("#experiments").get_by_role("row")).to_have_count(5)
    page.get_by_role("link", name="Results", exact=True).click()
    expect(page.locator("[data-finding=history]").first).not_to_be_empty()
    page.locator("#compare-1").check()
    page.locator("#compare-2").check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("columnheader", name="Experiment 2")).to_be_visible()
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text("engine started")
    task = site.submit(start=False, parameters={"max-num-seqs": [4]}, name="plain", **LONG)
    page.goto(f"/tasks/{task}")
    for word, after in (("start", "running"), ("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        act(page, word)
        site.wait_for_status(task, after)
        page.goto(f"/tasks/{task}")
        expect(status(page)).to_have_text(after)
    site.wait_for("select 1 where not exists (select 1 from tuning_experiment where task_id = ? and claim <> '' "
                  "and status in ('deploying', 'benchmarking'))", task)  # fmt: skip
    page.goto(f"/tasks/{task}")
    act(page, "delete")
    assert site.query("select 1 from tuning_task where id = ?", task) == []


def test_a_server_that_is_gone_is_told_and_its_return_noticed(own_site: Site, visit: Open, troubles: Troubles) -> None:
    """Pitfall E10: the page goes on by itself, and shows what has changed meanwhile."""
    task = own_site.submit(start=False, parameters={"max-num-seqs": [4]}, name="started meanwhile", **LONG)
    page = visit("/")
    banner = page.locator("#offline")
    expect(banner).to_be_hidden()
    troubles.expect(*AWAY)
    own_site.stop()
    expect(banner).to_be_visible(timeout=LIVE_MS)
    own_site.start()
    expect(banner).to_be_hidden(timeout=LIVE_MS)
    own_site.manage("task", "start", task)
    expect(page.get_by_role("main")).to_contain_text("started meanwhile", timeout=LIVE_MS)


def test_what_happens_is_said_by_the_server_where_a_form_cannot_be_done(site: Site, visit: Open) -> None:
    """Two tabs: what was done in one is refused in the other, in words."""
    task = site.submit(start=False, parameters={"max-num-seqs": [4]}, name="two tabs")
    one, other = visit(f"/tasks/{task}"), visit(f"/tasks/{task}")
    act(one, "start")
    site.wait_for_status(task, "completed")
    other.evaluate("(action) => { const form = document.getElementById('act'); form.action = action; form.submit(); }",
                   f"/tasks/{task}/start")  # fmt: skip
    expect(other.locator(".toast")).to_contain_text(re.compile("completed|started|running"))
