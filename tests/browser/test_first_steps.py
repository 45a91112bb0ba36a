"""From an installation that nobody has used to the first running task: the link that `serve` prints, and the form."""

import re

from playwright.sync_api import expect

from tests.browser.checks import assert_accessible_in_every_look
from tests.browser.conftest import Open
from tests.browser.site import Site

LIVE_MS = 60_000
LINK = r"(http://\S+/sign-in/\S+/\S+)"


def test_a_newcomer_signs_in_by_the_printed_link_makes_a_task_by_the_form_and_watches_it(
    new_site: Site, visit: Open
) -> None:
    page = visit(user=None)
    page.goto(new_site.printed(LINK))
    assert_accessible_in_every_look(page)
    page.get_by_role("main").get_by_role("button").first.click()
    page.goto("/tasks")
    page.get_by_role("link", name="New task").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("New task")
    assert_accessible_in_every_look(page)
    page.get_by_label("Name", exact=True).fill("my first task")
    page.get_by_label("Engine", exact=True).select_option("simulated")
    page.get_by_label("Model", exact=True).fill("simulated/llama-1b")
    page.get_by_role("button", name=re.compile("start", re.IGNORECASE)).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("my first task")
    expect(page.locator("#task-now .badge").first).to_have_text("running", timeout=LIVE_MS)
    page.get_by_role("link", name="Log", exact=True).click()
    expect(page.get_by_role("log")).to_contain_text("engine started", timeout=LIVE_MS)


def test_the_printed_link_works_once(new_site: Site, visit: Open) -> None:
    link = new_site.printed(LINK)
    first = visit(user=None)
    first.goto(link)
    first.get_by_role("main").get_by_role("button").first.click()
    expect(first.get_by_role("button", name="Sign out")).to_be_visible()
    again = visit(user=None)
    answer = again.request.get(link)
    assert "Sign out" not in answer.text()
