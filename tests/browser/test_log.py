"""The log of an experiment as it grows: live, long, paused, and while the server is away."""

from playwright.sync_api import Page, expect

from tests.browser.logs import box, do, in_view, numbers_without_gap, shown, state, wait_for_view, written_log
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


def test_a_hundred_thousand_lines_stay_smooth(site: Site, page: Page) -> None:
    """Pitfalls E1, E10: only what is near the viewport is an element."""
    log = written_log(site, MANY)
    page.goto(log.path)
    wait_for_view(page, f"line {MANY}")
    seen = box(page).evaluate(SCROLL_ALL)
    assert seen["most"] < MOST_ELEMENTS
    assert seen["p95"] < 200, seen
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
