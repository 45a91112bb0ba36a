"""What is around every page in a real browser: menu, search, messages, the banner, the switch of live updates."""

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.checks import PHONE, assert_accessible_in_every_look, assert_no_sideways_scroll
from tests.browser.conftest import Open
from tests.browser.site import Site

MENU = ["Autotuner", "Dashboard", "Tasks", "Experiments", "Workers and GPUs", "Deployments"]


@pytest.fixture
def phone(visit: Open) -> Page:
    """The list of tasks on a phone."""
    return visit("/tasks", width=PHONE["width"], height=PHONE["height"])


def test_the_menu_of_a_phone_is_opened_walked_and_closed_by_the_keyboard(phone: Page) -> None:
    button = phone.get_by_role("button", name="Menu")
    expect(phone.get_by_role("link", name="Deployments")).to_be_hidden()
    button.focus()
    phone.keyboard.press("Space")
    expect(button).to_have_attribute("aria-expanded", "true")
    for name in MENU:
        expect(phone.locator(":focus")).to_have_text(name)
        phone.keyboard.press("Tab")
    assert phone.evaluate("document.querySelector('main').inert")
    phone.keyboard.press("Escape")
    expect(button).to_be_focused()
    expect(phone.get_by_role("link", name="Deployments")).to_be_hidden()
    assert not phone.evaluate("document.querySelector('main').inert")


def test_a_menu_that_is_open_when_the_window_grows_leaves_nothing_behind(phone: Page) -> None:
    phone.get_by_role("button", name="Menu").click()
    phone.set_viewport_size({"width": 1280, "height": 900})
    phone.wait_for_function("() => !document.querySelector('main').inert")
    expect(phone.locator(".backdrop")).to_be_hidden()


def test_the_menu_opens_without_javascript(visit: Open) -> None:
    page = visit("/tasks", javascript=False, width=PHONE["width"])
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Deployments").click()
    page.wait_for_url("**/deployments")


def test_the_search_of_a_phone_is_a_page(phone: Page) -> None:
    phone.get_by_role("link", name="Search").click()
    expect(phone.get_by_role("searchbox")).to_be_focused()
    phone.get_by_role("searchbox").fill("nothing of that name")
    phone.keyboard.press("Enter")
    expect(phone.get_by_role("main")).to_contain_text("Nothing is called")
    assert_no_sideways_scroll(phone)


def test_a_slash_leads_to_the_search_and_can_be_typed_there(site: Site, page: Page) -> None:
    site.submit(start=False, parameters={"max-num-seqs": [4, 8]}, name="path a/b")
    page.goto("/tasks")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("a/b")
    expect(page.locator("#search")).to_have_value("a/b")
    page.keyboard.press("Enter")
    expect(page.get_by_role("main").get_by_role("link", name="path a/b")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert_accessible_in_every_look(page)


def test_a_message_lets_clicks_through_and_goes_by_itself(page: Page) -> None:
    page.goto("/tasks")
    page.evaluate("autotuner.say('Refused, because it is so.', 'warning')")
    toast = page.locator(".toast")
    expect(toast).to_have_text("Refused, because it is so.")
    box = toast.bounding_box()
    assert box
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    assert not page.evaluate("([x, y]) => Boolean(document.elementFromPoint(x, y).closest('.toasts'))", middle)
    expect(toast).to_have_count(0, timeout=6_000)


def test_the_end_of_a_page_can_be_read_below_a_message(phone: Page) -> None:
    phone.evaluate("autotuner.say('Refused, because it is so.', 'warning')")
    phone.evaluate("scrollTo(0, document.body.scrollHeight)")
    ends = phone.evaluate("document.querySelector('main').lastElementChild.getBoundingClientRect().bottom")
    box = phone.locator(".toast").bounding_box()
    assert box
    assert ends <= box["y"]


def test_the_banner_stays_in_sight_and_goes_though_updates_are_paused(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 500})
    page.goto("/")
    page.get_by_role("button", name="Live").click()
    page.evaluate("scrollTo(0, 400)")
    banner = page.locator("#offline")
    expect(banner).to_be_hidden()
    page.evaluate("autotuner.lost(true)")
    expect(banner).to_be_visible()
    under = "(banner) => banner.contains(document.elementFromPoint(195, banner.getBoundingClientRect().top + 5))"
    assert banner.evaluate(under)
    expect(banner).to_be_hidden(timeout=8_000)


def test_updates_that_are_paused_stay_so_on_the_next_page(page: Page) -> None:
    page.goto("/tasks")
    page.get_by_role("button", name="Live").click()
    page.goto("/experiments")
    expect(page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")


def test_the_first_tab_leads_to_the_content(page: Page) -> None:
    page.goto("/tasks")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_axis_of_the_dashboard_is_in_the_time_of_the_viewer(history: Site, visit: Open) -> None:
    """Pitfall E4b."""
    pages = [visit("/", timezone=zone) for zone in ("UTC", "Asia/Kolkata")]
    labels = [page.locator(".lane-axis text:not([text-anchor=end])").all_text_contents() for page in pages]
    here, there = ([timedelta(hours=int(each[:2]), minutes=int(each[3:])) for each in row[1:]] for row in labels)
    assert here
    assert [(at + timedelta(hours=5, minutes=30)) % timedelta(days=1) for at in here] == there
