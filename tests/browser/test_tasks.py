"""The list of tasks: several are selected and acted on at once, while the list keeps itself up to date."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.site import Site

SOON_MS = 20_000
"""The list asks every 5 s."""
PAUSE = "from tuning.models import Task; Task.objects.filter(pk={task}).update(status='paused')"


@pytest.fixture
def tasks(site: Site) -> list[int]:
    """Three tasks that wait to be started."""
    return [site.submit(start=False, name=f"number {number}") for number in range(3)]


def choose(page: Page, *tasks: int) -> None:
    for task in tasks:
        page.check(f"#choose-{task}")


def test_what_is_selected_stays_selected_when_the_list_changes(site: Site, visit: Open, tasks: list[int]) -> None:
    page = visit("/tasks")
    page.check("#choose-all")
    expect(page.locator("#batch")).to_have_text(f"Apply to {page.locator('input[name=task]').count()} selected")
    page.uncheck("#choose-all")
    choose(page, *tasks[:2])
    site.shell(PAUSE.format(task=tasks[2]))
    expect(page.locator("tr", has=page.locator(f"#task-{tasks[2]}")).locator(".badge")).to_have_text(
        "paused", timeout=SOON_MS
    )
    expect(page.locator("#batch")).to_have_text("Apply to 2 selected")
    expect(page.locator(f"#choose-{tasks[0]}")).to_be_checked()
    expect(page.locator(f"#choose-{tasks[2]}")).not_to_be_checked()


def test_several_are_deleted_after_a_question(site: Site, visit: Open, tasks: list[int]) -> None:
    """Pitfall E9b."""
    page = visit("/tasks?q=number")
    choose(page, *tasks[:2])
    page.select_option("#id_action", "delete")
    page.click("#batch")
    expect(page.get_by_role("heading", name="Delete 2 tasks?")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".toast")).to_contain_text("2 of 2 deleted: number 0")
    assert page.url.endswith("/tasks?q=number")
    assert site.query("select count(*) from tuning_task where id in (?, ?)", *tasks[:2]) == [(0,)]


def test_a_menu_opens_over_the_table_and_stays_while_the_list_changes(
    site: Site, visit: Open, tasks: list[int]
) -> None:
    page = visit("/tasks")
    page.click(f"#menu-{tasks[0]}")
    start = page.locator(f"#start-{tasks[0]}")
    expect(start).to_be_in_viewport()
    site.shell(PAUSE.format(task=tasks[1]))
    with page.expect_response(lambda answer: "/tasks/now" in answer.url and answer.status == 200):
        pass
    expect(start).to_be_visible()
    page.keyboard.press("Escape")
    expect(start).to_be_hidden()
    expect(page.locator(f"#menu-{tasks[0]}")).to_be_focused()
    expect(page.locator("tr", has=page.locator(f"#task-{tasks[1]}")).locator(".badge")).to_have_text(
        "paused", timeout=SOON_MS
    )
