"""The log of an experiment as a person sees it: live, long, searched, and while the server is away."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checks import assert_accessible_in_every_look
from tests.browser.conftest import Open
from tests.browser.logs import WrittenLog, box, do, shown, written_log
from tests.browser.site import Site
from tests.browser.visit import Troubles

MANY = 100_000
MOST_ELEMENTS = 2500
SCROLL_ALL = """async (box) => {
  const frames = [];
  let most = 0;
  let start = performance.now();
  const look = async () => {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - start);
    start = now;
    most = Math.max(most, document.querySelectorAll(".log-line").length);
  };
  const first = () => box.querySelector(".log-line .text").textContent;
  do {
    box.scrollTop = 0;
    await look();
  } while (first() !== "line 1" || box.scrollTop > 0);
  const loading = frames.length;
  while (box.scrollTop + box.clientHeight < box.scrollHeight - 1) {
    box.scrollTop += 9000;
    await look();
  }
  const sorted = frames.slice(loading).sort((one, other) => one - other);
  return { most, height: box.scrollHeight, p95: sorted[Math.floor(sorted.length * 0.95)], frames: frames.length };
}"""
IN_VIEW = """(box) => {
  const edge = box.getBoundingClientRect();
  return [...box.querySelectorAll(".log-line")].filter((row) => {
    const place = row.getBoundingClientRect();
    return place.top >= edge.top - 1 && place.bottom <= edge.bottom + 1;
  }).map((row) => row.querySelector(".text").textContent);
}"""


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


def test_a_hundred_thousand_lines_stay_smooth(site: Site, page: Page) -> None:
    """Pitfalls E1, E10: only what is near the viewport is an element."""
    log = written_log(site, MANY)
    page.goto(log.path)
    wait_for_view(page, f"line {MANY}")
    seen = box(page).evaluate(SCROLL_ALL)
    assert seen["most"] < MOST_ELEMENTS
    assert seen["p95"] < 100, seen
    expect(page.locator("[data-log-note]")).to_have_text("100,000 lines")
    wait_for_view(page, f"line {MANY}")
    page.locator(".log-line .number").last.wait_for()
    assert page.locator(".log-line .number").last.inner_text() == str(MANY)


def test_new_lines_come_once_each_and_the_view_stays_at_the_end(site: Site, page: Page) -> None:
    """Pitfall E2a."""
    log = written_log(site, 20)
    page.goto(log.path)
    numbers_without_gap(page, 1, 20)
    state(page, "Live")
    expect(page.locator("[data-log-state]")).to_have_class("live is-live")
    for _ in range(3):
        log.write(40)
        wait_for_view(page, f"line {log.written}")
    numbers_without_gap(page, 1, 140)


def test_of_more_lines_than_one_answer_holds_the_last_are_shown_and_the_others_on_scrolling_up(
    site: Site, page: Page
) -> None:
    log = written_log(site, 1)
    page.goto(log.path)
    state(page, "Live")
    log.write(1800)
    wait_for_view(page, "line 1801")
    note = page.locator("[data-log-note]")
    expect(note).to_have_text("500 lines, older ones on scrolling up")
    for text in ("1,000 lines, older ones on scrolling up", "1,500 lines, older ones on scrolling up", "1,801 lines"):
        box(page).evaluate("(box) => (box.scrollTop = 0)")
        expect(note).to_have_text(text)
    box(page).evaluate("(box) => (box.style.height = '40000px')")
    expect(page.locator(".log-line")).to_have_count(1801)
    numbers_without_gap(page, 1, 1801)


def test_scrolling_up_ends_following_and_a_button_goes_on(site: Site, page: Page) -> None:
    log = written_log(site, 700)
    page.goto(log.path)
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    box(page).hover()
    page.mouse.wheel(0, -3000)
    expect(follow).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("(box) => box.scrollTop > 0", arg=box(page).element_handle())
    seen = in_view(page)
    log.write(30)
    expect(page.locator("[data-log-note]")).to_contain_text("30 lines")
    assert in_view(page) == seen
    follow.click()
    wait_for_view(page, "line 730")
    expect(follow).to_have_attribute("aria-pressed", "true")


def test_older_lines_come_above_and_what_is_read_stays_in_place(site: Site, page: Page) -> None:
    log = written_log(site, 1500)
    page.goto(log.path)
    wait_for_view(page, "line 1500")
    expect(page.locator("[data-log-note]")).to_have_text("500 lines, older ones on scrolling up")
    box(page).evaluate("(box) => (box.scrollTop = 500)")
    seen = in_view(page)
    expect(page.locator("[data-log-note]")).to_have_text("1,000 lines, older ones on scrolling up")
    assert in_view(page) == seen
    do(page, "oldest")
    wait_for_view(page, "line 1")
    do(page, "newest")
    wait_for_view(page, "line 1500")


def test_the_beginning_of_a_long_log_is_read_on_by_scrolling_down(site: Site, page: Page) -> None:
    log = written_log(site, 1600)
    page.goto(log.path + "?after=0")
    wait_for_view(page, "line 1")
    for line in ("line 500", "line 1000", "line 1600"):
        page.wait_for_function(
            """([box, text]) => {
              box.scrollTop += 1500;
              return [...box.querySelectorAll(".text")].some((one) => one.textContent === text);
            }""",
            arg=[box(page).element_handle(), line],
        )
    expect(page.locator("[data-log-note]")).to_have_text("1,600 lines")


def test_a_pause_fetches_nothing_and_afterwards_nothing_is_missing(site: Site, page: Page) -> None:
    log = written_log(site, 5)
    page.clock.install()
    page.goto(log.path)
    state(page, "Live")
    do(page, "pause")
    state(page, "Paused")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    log.write(10)
    page.clock.fast_forward(5000)
    expect(page.locator("[data-log-state]")).to_be_visible()
    assert asked == []
    numbers_without_gap(page, 1, 5)
    do(page, "pause")
    numbers_without_gap(page, 1, 15)
    page.locator("[data-live-switch]").click()
    state(page, "Paused")
    log.write(5)
    page.locator("[data-live-switch]").click()
    numbers_without_gap(page, 1, 20)


def test_a_finished_log_says_so_and_is_not_asked_for_again(site: Site, page: Page) -> None:
    """Pitfall E2b."""
    log = written_log(site, 5)
    page.clock.install()
    page.goto(log.path)
    state(page, "Live")
    log.write(3)
    log.end()
    state(page, "Complete")
    numbers_without_gap(page, 1, 8)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.fast_forward(5000)
    expect(page.locator("[data-log-state]")).to_be_visible()
    assert asked == []
    expect(page.get_by_role("button", name="Follow")).to_be_disabled()


def test_a_server_that_goes_away_and_comes_back_leaves_no_gap(own_site: Site, page: Page, troubles: Troubles) -> None:
    """Pitfall E10."""
    troubles.expect("ERR_CONNECTION", "ERR_EMPTY_RESPONSE")
    log = written_log(own_site, 5)
    page.goto(log.path)
    state(page, "Live")
    own_site.stop()
    expect(page.locator("#offline")).to_be_visible()
    log.write(20)
    own_site.start()
    expect(page.locator("#offline")).to_be_hidden(timeout=20_000)
    numbers_without_gap(page, 1, 25)
    log.write(1)
    numbers_without_gap(page, 1, 26)


def test_a_server_that_fails_now_and_then_leaves_no_gap(site: Site, page: Page, troubles: Troubles) -> None:
    troubles.expect("500", "503")
    log = written_log(site, 5)
    page.goto(log.path)
    state(page, "Live")
    failures = [500, 503]
    page.route("**/log/lines?*", lambda route: route.fulfill(status=failures.pop()) if failures else route.continue_())
    log.write(5)
    numbers_without_gap(page, 1, 10)
    assert failures == []


def test_whoever_is_not_signed_in_any_more_is_told_so_once(site: Site, page: Page, troubles: Troubles) -> None:
    troubles.expect("403")
    log = written_log(site, 5)
    page.goto(log.path)
    state(page, "Live")
    page.context.clear_cookies()
    state(page, "Stopped")
    expect(page.locator(".toast")).to_have_count(1)
    expect(page.locator(".toast")).to_contain_text("not signed in any more")


def test_a_run_is_watched_to_its_last_line(site: Site, page: Page) -> None:
    """Pitfall E2b, with a worker that writes: what is on the page at the end is what is in the database."""
    task = site.submit(parameters={"max-num-seqs": [8, 16]})
    page.goto(f"/tasks/{task}/log")
    expect(page.locator("[data-log-state]")).to_have_text("Complete", timeout=60_000)
    kept = [text for (text,) in site.query("select text from tuning_logline where task_id = ? order by id", task)]
    assert kept[-1].startswith("completed")
    box(page).evaluate("(box) => (box.style.height = '20000px')")
    expect(page.locator(".log-line")).to_have_count(len(kept))
    assert shown(page) == kept


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
    field = page.get_by_role("searchbox")
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
    page.get_by_role("searchbox").fill("needle")
    expect(page.locator("[data-log-hits]")).to_have_text("1 hit")
    page.get_by_role("searchbox").press("Enter")
    wait_for_view(page, "the needle")


def test_text_of_a_log_is_never_markup(mixed: WrittenLog, page: Page) -> None:
    """Pitfall D4: neither as the server renders it nor as the script does."""
    page.goto(mixed.path)
    line = page.locator(".log-warning .text")
    expect(line).to_have_text("a slow <script>alert('no')</script> & <b>answer</b>")
    page.get_by_role("searchbox").fill("<b>")
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
