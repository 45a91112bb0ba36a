"""What holds for every page: nothing serious for axe in any look, and no scrolling sideways on a phone."""

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

PHONE = {"width": 390, "height": 844}
SERIOUS = ("serious", "critical")
SETTLE = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  do { await frame(); await frame(); } while (document.getAnimations().some((one) =>
    one.effect.getComputedTiming().endTime !== Infinity));
}"""
"""Waits until no colour changes any more: what inherits one follows a frame after what it inherits from."""


def assert_accessible(page: Page) -> None:
    """Axe finds nothing serious on the page as it is now."""
    page.evaluate(SETTLE)
    found = Axe().run(page).response["violations"]
    serious = [_sentence(violation) for violation in found if violation["impact"] in SERIOUS]
    assert not serious, "\n".join(serious)


def assert_accessible_in_every_look(page: Page) -> None:
    """The same in light, in dark and on a phone; the page keeps its size and is light afterwards."""
    size = page.viewport_size
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    assert_accessible(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)
    assert_accessible(page)
    assert_no_sideways_scroll(page)
    if size:
        page.set_viewport_size(size)


def assert_no_sideways_scroll(page: Page) -> None:
    """The page is no wider than its window."""
    wide = page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? [] :
        [...document.body.querySelectorAll("*")].filter((element) =>
          element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML.slice(0, 120))"""
    )
    assert not wide, "\n".join(wide)


def _sentence(violation: dict[str, Any]) -> str:
    places = ["; ".join(map(str, node["target"])) + ": " + node["html"][:200] for node in violation["nodes"][:5]]
    checks = [check["message"] for check in violation["nodes"][0]["any"][:1]]
    return f"{violation['impact']} {violation['id']}: {violation['help']} {checks} at {places}"
