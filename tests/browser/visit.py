"""A page of the browser that notices everything which goes wrong on it."""

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Request, Response

VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error("policy violation: " + event.violatedDirective + " " + event.blockedURI + " " + event.sourceFile));
"""
LEFT = "net::ERR_ABORTED"
"""How requests end that were under way when the page was left."""


class Troubles:
    """What went wrong on a page: console errors and warnings, exceptions, violations of the policy, failed requests.

    A test that provokes trouble says which by `expect`, before or after it comes; all else fails it at its end.
    """

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._expected: list[str] = []

    def watch(self, page: Page) -> None:
        """Take note of what goes wrong on this page from now on."""
        page.add_init_script(VIOLATIONS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._seen.append(f"exception: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def expect(self, *patterns: str) -> None:
        """Regular expressions of what may go wrong here."""
        self._expected += patterns

    @property
    def unexpected(self) -> list[str]:
        """What went wrong and was not said to do so."""
        return [line for line in self._seen if not any(re.search(pattern, line) for pattern in self._expected)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._seen.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        if request.failure != LEFT:
            self._seen.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400:
            self._seen.append(f"answer {response.status}: {response.request.method} {response.url}")


@dataclass(frozen=True)
class Visit:
    """How somebody looks at a page."""

    width: int = 1280
    height: int = 900
    dark: bool = False
    javascript: bool = True
    timezone: str = "UTC"

    @property
    def context(self) -> dict[str, Any]:
        """The same as options of a context of the browser."""
        return {
            "viewport": {"width": self.width, "height": self.height},
            "color_scheme": "dark" if self.dark else "light",
            "java_script_enabled": self.javascript,
            "timezone_id": self.timezone,
            "locale": "en-GB",
            "reduced_motion": "reduce",
        }
