"""What holds for every page of tuning/urls.py: nothing goes wrong on it, all can use it, and its links lead on."""

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checks import assert_accessible, assert_accessible_in_every_look, assert_no_sideways_scroll
from tests.browser.conftest import Open
from tests.browser.site import Site
from tests.browser.visit import Troubles
from tests.runner.factories import SLOW
from tests.views.addresses import Address, walk

NO_PAGE = re.compile(
    r"-(now|lately|lines|text|part|charts|csv|json|document|check|draft)$|^(healthz|sign-out|sign-in-link|tasks-act)$"
)
"""Parts of pages, files, and what only takes forms."""
ONLY_OPERATORS = {"task-new", "task-edit", "task-duplicate", "task-act", "deployment-stop"}
PAGES = [address for address in walk() if not NO_PAGE.search(address.name) and address.name != "task-experiments"]
STATES = ("finished", "running")
LINKS = """() => {
  const names = ["href", "src", "hx-get", "data-url", "data-charts"];
  return names.flatMap((name) =>
    [...document.querySelectorAll(`[${name}]`)].map((element) => element.getAttribute(name)));
}"""
TIMES = """(zone) => [...document.querySelectorAll("time[datetime]")].map((time) => ({
  said: time.textContent, title: time.title, utc: time.dateTime, keeps: time.hasAttribute("data-keep"),
  expected: new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: zone })
    .format(new Date(time.dateTime)) }))"""
POSTS = """() => [...document.querySelectorAll("form[method=post]")].map((form) => new URL(form.action).pathname)"""
EXPERIMENTS = (1, 4)
"""Ids of the first experiments of both tasks, of which the second runs."""
FAR = "Pacific/Kiritimati"
LONG = {"fixed": SLOW, "workload": {"requests": 20_000, "seconds": 600}}


@pytest.fixture(scope="module")
def tasks(site: Site) -> dict[str, int]:
    """A task that is completed, with a configuration that the engine refuses, and one that goes on for long."""
    finished = site.finished(parameters={"max-num-seqs": [4, 8], "block-size": [16]}, name="finished")
    running = site.submit(parameters={"max-num-seqs": [4]}, **LONG, name="running")
    site.wait_for("select 1 from tuning_experiment where task_id = ? and status = 'benchmarking'", running)
    return {"finished": finished, "running": running}


def paths(address: Address, task: int) -> Iterator[str]:
    """The addresses of a page for one of the tasks; comparisons name what is compared, deployments their experiment."""
    rows = EXPERIMENTS if address.name == "deployment-stop" else (task,)
    for path in (path for row in rows for path in address.paths(pk=str(row), number="1")):
        yield f"{path}?experiment=1&experiment=2" if address.name == "task-compare" else path


def opens(page: Page, path: str) -> bool:
    """Go to a page; whether there is one for these rows."""
    answer = page.goto(path)
    assert answer is not None
    return answer.ok


def _id(address: Address) -> str:
    return address.name


@pytest.mark.parametrize("address", PAGES, ids=_id)
@pytest.mark.parametrize("state", STATES)
def test_a_page_is_clean_and_accessible_in_every_look(
    visit: Open, troubles: Troubles, tasks: dict[str, int], address: Address, state: str
) -> None:
    user = None if address.name == "sign-in" else "ada"
    page = visit(user=user)
    troubles.expect("40[049]")  # what cannot be done with a task in this state has no page
    for path in paths(address, tasks[state]):
        if opens(page, path):
            expect(page.get_by_role("heading", level=1)).not_to_be_empty()
        assert_accessible_in_every_look(page)


@pytest.mark.parametrize("address", PAGES, ids=_id)
def test_a_page_of_a_task_that_can_be_seen_is_there(
    site: Site, visit: Open, tasks: dict[str, int], address: Address
) -> None:
    """Were every page missing, the test above would hold."""
    page = visit()
    answers = [page.request.get(path).status for task in tasks.values() for path in paths(address, task)]
    assert 200 in answers


@pytest.mark.parametrize("user", ["ada", "bob"])
@pytest.mark.parametrize("state", STATES)
def test_every_address_on_every_page_answers(
    visit: Open, troubles: Troubles, tasks: dict[str, int], user: str, state: str
) -> None:
    """Pitfall E4a: also those of parts and of data; nobody is led to what he may not see."""
    troubles.expect("40[0349]")
    page = visit(user=user)
    asked: dict[str, int] = {}
    for address in PAGES:
        for path in paths(address, tasks[state]):
            if opens(page, path):
                for link in page.evaluate(LINKS):
                    where = urlsplit(urljoin(page.url, link))
                    name = where._replace(fragment="").geturl()
                    if name not in asked and f"{where.scheme}://{where.netloc}" in page.url:
                        asked[name] = page.request.get(name).status
    assert len(asked) > 20
    assert {name: status for name, status in asked.items() if status not in (200, 204)} == {}


def test_whoever_may_only_look_sees_the_same_pages_and_nothing_to_change_them(
    visit: Open, troubles: Troubles, tasks: dict[str, int]
) -> None:
    troubles.expect("40[0349]")
    page = visit(user="bob")
    for address in PAGES:
        for task in tasks.values():
            for path in paths(address, task):
                if opens(page, path):
                    assert address.name not in ONLY_OPERATORS
                    assert set(page.evaluate(POSTS)) <= {"/sign-out", "/password", "/sign-in"}
                    assert_accessible(page)


@pytest.mark.parametrize("name", ["dashboard", "tasks", "task", "experiments", "experiment", "machines"])
def test_times_are_those_of_a_far_time_zone(visit: Open, tasks: dict[str, int], name: str) -> None:
    """Pitfall E4b: every time is in the viewer's zone, with the same moment in UTC on hover."""
    (address,) = [address for address in PAGES if address.name == name]
    page = visit(next(paths(address, tasks["finished"])), timezone=FAR)
    times = page.evaluate(TIMES, FAR)
    assert times or name == "dashboard"
    for time in times:
        assert time["said"] == time["expected"] or time["keeps"]
        assert time["title"] == time["utc"].replace("T", " ")[:19] + " UTC"


def test_a_part_asks_at_a_steady_rate_and_shows_what_is_new_by_itself(site: Site, visit: Open) -> None:
    """Pitfall E6: an experiment that ends while the list of all is open appears in it."""
    page = visit("/experiments")
    times: list[float] = []
    page.on("request", lambda request: times.append(request.timing["startTime"]) if "/now" in request.url else None)
    site.finished(parameters={"max-num-seqs": [4]}, name="appears by itself")
    expect(page.get_by_role("main")).to_contain_text("appears by itself", timeout=30_000)
    site.finished(parameters={"max-num-seqs": [8]}, name="appears later")
    expect(page.get_by_role("main")).to_contain_text("appears later", timeout=30_000)
    assert len(times) < 60


@pytest.mark.parametrize(
    "name", ["dashboard", "tasks", "task", "task-results", "task-log", "experiments", "experiment"]
)
def test_a_task_with_500_experiments_fits_on_a_small_screen(visit: Open, history: Site, name: str) -> None:
    """Pitfall E10."""
    (address,) = [address for address in PAGES if address.name == name]
    page = visit(next(paths(address, 2)), width=400)
    expect(page.get_by_role("heading", level=1)).not_to_be_empty()
    assert_no_sideways_scroll(page)
    assert_accessible(page)
