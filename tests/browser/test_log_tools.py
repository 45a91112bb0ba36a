"""What a person does with a log: filter, search, wrap, copy, download, and read it without JavaScript."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checks import assert_accessible_in_every_look
from tests.browser.conftest import Open
from tests.browser.logs import (
    WrittenLog,
    box,
    do,
    numbers_without_gap,
    shown,
    wait_for_view,
    written_log,
)
from tests.browser.site import Site


@pytest.fixture
def mixed(site: Site) -> WrittenLog:
    """Some lines of each level and source."""
    log = written_log(site)
    log.write(30, text="ordinary {}")
    log.write(1, level="warning", source="benchmark", text="a slow <script>alert('no')</script> & <b>answer</b>")
    log.write(30, level="debug", text="Details {}")
    log.write(1, level="error", source="runner", text="the ANSWER never came")
    return log


def test_levels_and_sources_are_chosen_on_the_server_and_kept_in_the_address(mixed: WrittenLog, page: Page) -> None:
    page.goto(mixed.path)
    page.get_by_label("Level").select_option("warning")
    expect(page.locator(".log-line")).to_have_count(2)
    assert page.locator(".log-line .number").all_text_contents() == ["31", "62"]
    assert page.url.endswith("?level=warning")
    page.get_by_label("Source").select_option("runner")
    expect(page.locator(".log-line")).to_have_count(1)
    page.reload()
    expect(page.locator(".log-line")).to_have_count(1)
    mixed.write(1, level="error", source="runner", text="once more")
    mixed.write(1, level="info", source="runner", text="not wanted")
    mixed.write(1, level="error", source="runner", text="the last")
    expect(page.locator(".log-line")).to_have_count(3)
    assert shown(page) == ["the ANSWER never came", "once more", "the last"]


def test_a_search_marks_counts_and_leads_from_hit_to_hit(mixed: WrittenLog, page: Page) -> None:
    page.goto(mixed.path)
    box(page).focus()
    page.keyboard.press("/")
    field = page.get_by_role("searchbox", name="Search the log")
    expect(field).to_be_focused()
    field.fill("answer")
    hits = page.locator("[data-log-hits]")
    expect(hits).to_have_text("2 hits")
    assert page.locator(".log-line mark").all_text_contents() == ["answer", "ANSWER"]
    field.press("Enter")
    expect(hits).to_have_text("1 of 2")
    expect(page.locator(".log-line.is-current .text")).to_contain_text("<b>answer</b>")
    field.press("Enter")
    expect(page.locator(".log-line.is-current .text")).to_have_text("the ANSWER never came")
    field.press("Shift+Enter")
    expect(hits).to_have_text("1 of 2")
    page.get_by_label("Only hits").check()
    expect(page.locator(".log-line")).to_have_count(2)
    field.fill("a.*")
    expect(hits).to_have_text("0 hits")


def test_a_hit_far_away_is_brought_into_view(site: Site, page: Page) -> None:
    log = written_log(site, 50)
    log.write(1, text="the needle")
    log.write(2000)
    page.goto(log.path + "?after=0")
    for expected in ("1,000", "1,500", "2,000", "2,051"):
        box(page).evaluate("(box) => (box.scrollTop = box.scrollHeight)")
        expect(page.locator("[data-log-note]")).to_have_text(re.compile(f"^{expected} "))
    page.get_by_role("searchbox", name="Search the log").fill("needle")
    expect(page.locator("[data-log-hits]")).to_have_text("1 hit")
    page.get_by_role("searchbox", name="Search the log").press("Enter")
    wait_for_view(page, "the needle")


def test_text_of_a_log_is_never_markup(mixed: WrittenLog, page: Page) -> None:
    """Pitfall D4: neither as the server renders it nor as the script does."""
    page.goto(mixed.path)
    line = page.locator(".log-warning .text")
    expect(line).to_have_text("a slow <script>alert('no')</script> & <b>answer</b>")
    page.get_by_role("searchbox", name="Search the log").fill("<b>")
    expect(page.locator("mark")).to_have_text("<b>")
    assert page.locator(".log-lines script, .log-lines b").count() == 0


def test_warnings_and_errors_are_marked_in_words(mixed: WrittenLog, page: Page) -> None:
    page.goto(mixed.path)
    for level in ("warning", "error"):
        mark = page.locator(f".log-{level} .text").evaluate("(one) => getComputedStyle(one, '::before').content")
        assert level in mark


def test_long_lines_wrap_on_demand_and_the_view_stays(site: Site, page: Page) -> None:
    log = written_log(site)
    log.write(400, text="line {} " + "word " * 100)
    page.goto(log.path)
    assert box(page).evaluate("(box) => box.scrollWidth > box.clientWidth")
    do(page, "wrap")
    assert box(page).evaluate("(box) => box.scrollWidth <= box.clientWidth")
    wait_for_view(page, f"line 400 {'word ' * 100}")
    for _ in range(30):
        box(page).evaluate("(box) => (box.scrollTop -= 2000)")
    box(page).evaluate("(box) => (box.scrollTop = 0)")
    wait_for_view(page, f"line 1 {'word ' * 100}")


def test_clearing_empties_the_view_only(site: Site, page: Page) -> None:
    log = written_log(site, 10)
    page.goto(log.path)
    do(page, "clear")
    expect(page.locator(".log-line")).to_have_count(0)
    log.write(2)
    numbers_without_gap(page, 11, 12)
    do(page, "newest")
    numbers_without_gap(page, 1, 12)


def test_lines_are_copied_and_all_of_them_downloaded(site: Site, page: Page) -> None:
    log = written_log(site, 600)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(log.path)
    wait_for_view(page, "line 600")
    do(page, "copy")
    expect(page.locator(".toast")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[-1] == "2026-01-02T03:04:05.000Z info    engine        line 600"
    assert 10 < len(copied) < 60
    page.locator(".log-line .text").last.click(click_count=3)
    do(page, "copy")
    expect(page.locator(".toast").last).to_have_text("Copied a line.")
    assert page.evaluate("navigator.clipboard.readText()").endswith(" line 600")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"task-{log.task}-experiment-1-log.txt"
    assert len(download.value.path().read_text().splitlines()) == 600


def test_times_are_those_of_the_viewer(site: Site, visit: Open) -> None:
    """Pitfall E4b: as the server renders them and as the script does."""
    log = written_log(site, 1)
    page = visit(log.path, timezone="Asia/Kolkata")
    log.write(1)
    expect(page.locator(".log-line time")).to_have_text(["08:34:05", "08:34:05"])
    assert page.locator(".log-line time").first.get_attribute("title") == "2026-01-02 03:04:05.000 UTC"


def test_without_javascript_a_log_is_read_by_links_and_a_form(site: Site, visit: Open) -> None:
    log = written_log(site, 700)
    log.write(1, level="error", text="it broke")
    page = visit(log.path, javascript=False)
    expect(page.locator(".log-line")).to_have_count(500)
    expect(page.get_by_role("button", name="Follow")).to_be_hidden()
    page.get_by_role("link", name="Older").click()
    expect(page.locator(".log-line")).to_have_count(201)
    expect(page.locator(".log-line .number").first).to_have_text("1")
    page.get_by_role("link", name="Newer").click()
    expect(page.locator(".log-line .number").last).to_have_text("701")
    page.get_by_label("Level").select_option("error")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".log-line .text")).to_have_text("it broke")


def test_a_task_has_the_log_of_its_experiments(mixed: WrittenLog, page: Page) -> None:
    page.goto(f"/tasks/{mixed.task}/log")
    wait_for_view(page, "the ANSWER never came")
    expect(page.locator(".log-error .source")).to_have_text("runner 1")
    mixed.write(1, text="new")
    wait_for_view(page, "new")
    expect(page.locator(".log-line .source").last).to_have_text("engine 1")


def test_the_log_is_accessible_in_every_look(mixed: WrittenLog, page: Page) -> None:
    page.goto(mixed.path)
    expect(box(page)).to_have_attribute("aria-live", "off")
    assert_accessible_in_every_look(page)
