"""A served installation for each file of tests, and pages of one Chromium for each test.

* `site`: served with a worker; shared by the tests of a file, which make tasks of their own.
* `history`: the same with a long history, in which nothing runs.
* `new_site`: served for one test alone, without any user.
* `own_site`: served for one test alone, which may stop and start it.
* `page`: signed in as ada, an operator. `visit(...)` opens more: other users, sizes, time zones, no JavaScript.
* `troubles`: all that went wrong on any page; a test fails at its end for what it did not `expect`.
"""

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.site import Site, Template, new_template

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.visit import Troubles

HERE = Path(__file__).parent
# Without what `make setup-browser` installs the other tests run all the same.
collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]

ARGUMENTS = (
    *("--no-sandbox", "--disable-quic", "--disable-background-networking"),
    *("--no-first-run", "--disable-component-update", "--disable-sync"),
)
MISSING = "Chromium is missing; `apt-get install --yes --no-install-recommends chromium` installs it."

Open = Callable[..., "Page"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs Chromium."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The data folder that all others are copied from."""
    return new_template(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="module")
def site(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served installation that the tests of a file share."""
    yield from _served(Site(template, tmp_path_factory.mktemp("site")))


@pytest.fixture
def own_site(template: Template, tmp_path: Path) -> Iterator[Site]:
    """A served installation for one test alone."""
    yield from _served(Site(template, tmp_path))


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Site]:
    """A served installation for one test alone, in which nobody has an account yet."""
    yield from _served(Site(new_template(tmp_path / "template", people=False), tmp_path / "site"))


@pytest.fixture(scope="module")
def history(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A served installation in which three tasks have ended: the last but one, number 2, has 500 experiments."""
    site = Site(template, tmp_path_factory.mktemp("history"))
    site.seed("--tasks", 3, "--experiments", 560, "--measurements", 2240, "--log-lines", 4000, "--long-log", 2000)
    yield from _served(site)


def _served(site: Site) -> Iterator[Site]:
    try:
        site.start()
        yield site
    finally:
        site.close()


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """One Chromium for all tests."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - tests without a browser run without it

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail(MISSING, pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def troubles() -> Iterator["Troubles"]:
    """What went wrong on the pages of this test; what it did not expect fails it."""
    from tests.browser.visit import Troubles  # noqa: PLC0415 - needs playwright

    troubles = Troubles()
    yield troubles
    assert not troubles.unexpected, "\n".join(troubles.unexpected)


@pytest.fixture
def visit(browser: "Browser", troubles: "Troubles", request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens a page in a context of its own: `visit(path, user, width=, dark=, ...)`; see `Visit`.

    It is a page of the `own_site`, `new_site` or `history` of the test where it has one, and else of the `site`.
    """
    from tests.browser.visit import Visit  # noqa: PLC0415 - needs playwright

    names = [name for name in ("own_site", "new_site", "history") if name in request.fixturenames]
    site: Site = request.getfixturevalue(names[0] if names else "site")
    contexts = []

    def open_page(path: str = "", user: str | None = "ada", **options: object) -> "Page":
        context = browser.new_context(base_url=site.url, **Visit(**options).context)
        contexts.append(context)
        if user is not None:
            context.add_cookies([{"name": "sessionid", "value": site.sessions[user], "url": site.url}])
        page = context.new_page()
        troubles.watch(page)
        if path:
            page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(visit: Open) -> "Page":
    """A page on which ada is signed in, at no address yet: `page.goto("/tasks")`."""
    return visit()
