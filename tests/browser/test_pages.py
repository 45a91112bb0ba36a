"""What holds for every page in a browser."""

from playwright.sync_api import expect

from tests.browser.checks import assert_accessible_in_every_look
from tests.browser.conftest import Open


def test_the_dashboard_is_accessible_in_every_look(visit: Open) -> None:
    page = visit("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    assert_accessible_in_every_look(page)
