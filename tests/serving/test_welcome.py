"""The link by which the first person signs in: when `serve` prints it, where it leads, and where it is not found."""

import http.cookiejar
import re
import signal
import sqlite3
import sys
import urllib.parse
import urllib.request
from contextlib import closing

from tests.serving.conftest import Stage, status, wait_until

LINK = r"^Sign in, once and within an hour: (http://\S+/sign-in/\S+/\S+)$"


def _browser() -> urllib.request.OpenerDirector:
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)


def _press(browser: urllib.request.OpenerDirector, link: str) -> str:
    """Open the page of a link and press its button; the address where that leads."""
    with browser.open(link) as page:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())
    assert found
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": found[1]}).encode()
    with browser.open(link, form) as answer:
        return str(answer.url)


def test_the_first_start_prints_a_link_that_signs_in_once(stage: Stage) -> None:
    served = stage.start()
    url = served.url()
    link = served.wait_for_line(LINK)[1]
    assert link.startswith(url)
    where = [index for index, line in enumerate(served.lines) if line.startswith(("Web:", "Sign in"))]
    assert where == [where[0], where[0] + 1], "the link is below the address"
    browser = _browser()
    assert _press(browser, link) == f"{url}password"
    with browser.open(f"{url}tasks") as page:
        assert "operator<small>administrator" in page.read().decode()
    assert status(link) == 403
    served.end(signal.SIGTERM)
    assert served.output.count(link.rpartition("/")[2]) == 1, "no log line repeats it"


def test_a_link_that_nobody_used_is_printed_anew_and_after_the_first_sign_in_none_is(stage: Stage) -> None:
    first = stage.start()
    first.wait_for_line(LINK)
    first.end(signal.SIGTERM)
    second = stage.start()
    link = second.wait_for_line(LINK)[1]
    _press(_browser(), link)
    second.end(signal.SIGTERM)
    third = stage.start()
    third.url()
    third.worker()
    third.end(signal.SIGTERM)
    assert "/sign-in/" not in third.output


def test_the_secret_is_in_no_file_of_the_data_folder(stage: Stage) -> None:
    served = stage.start()
    secret = served.wait_for_line(LINK)[1].rpartition("/")[2].encode()
    served.end(signal.SIGTERM)
    files = [path for path in stage.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_behind_tls_the_link_names_the_host_of_the_proxy(stage: Stage) -> None:
    served = stage.start(AUTOTUNER_TLS="1", AUTOTUNER_ALLOWED_HOSTS="tuner.example.org")
    served.wait_for_line(r"^Sign in, once and within an hour: https://tuner\.example\.org/sign-in/\S+$")


def test_a_name_that_is_only_a_viewer_s_is_not_raised_and_it_is_said_what_to_do(stage: Stage) -> None:
    made = stage.run(sys.executable, "manage.py", "sign_in_link", "operator", "--viewer")
    assert made.wait() == 0
    served = stage.start()
    served.wait_for_line(r"^Nobody may change anything.*`manage\.py sign_in_link NAME --operator`")


def test_health_follows_the_real_worker(stage: Stage) -> None:
    """Pitfall E7a."""
    served = stage.start(command=(sys.executable, "manage.py", "serve"))
    url = served.url()
    served.worker()
    assert status(f"{url}healthz") == 200
    alone = stage.start()  # refused: the folder is served
    assert alone.wait() == 1
    served.end(signal.SIGTERM)
    web = stage.start()  # the stand-in is no worker
    assert status(f"{web.url()}healthz") == 503


def test_the_real_worker_deletes_sessions_that_have_ended(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.folder / "autotuner.sqlite3", isolation_level=None)) as rows:
        for key, end in (("ended", "2001-01-01 00:00:00"), ("open", "2999-01-01 00:00:00")):
            rows.execute("insert into django_session values (?, '', ?)", (key, end))
        stage.run(sys.executable, "manage.py", "run_worker").worker()
        wait_until(lambda: rows.execute("select session_key from django_session").fetchall() == [("open",)])
