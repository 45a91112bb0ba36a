"""Parts of a page that keep themselves up to date: what is asked, what is answered, and what many tabs share."""

import threading

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from tuning.views.live import LivePart, live

TEMPLATE = "tuning/_no_worker.html"


class _Part:
    """A part that shows whether there is a worker, and counts how often it is made."""

    def __init__(self, workers: int = 1, every_s: int | None = 2, version: object = None) -> None:
        self.workers, self.every_s, self.version, self.made = workers, every_s, version, 0

    def __call__(self, request: HttpRequest) -> LivePart:
        self.made += 1
        context = {"worker_count": self.workers}
        return LivePart(
            "part",
            f"{request.path}?{request.GET.urlencode()}".rstrip("?"),
            TEMPLATE,
            self.every_s,
            context,
            self.version,
        )

    @property
    def __name__(self) -> str:
        return "part"


def _ask(part: _Part, path: str = "/part", **query: str) -> HttpResponse:
    request = RequestFactory().get(path, query)
    request.user = AnonymousUser()
    return live(part)(request)


def _seen(answer: HttpResponse) -> str:
    return answer.content.decode().partition("seen=")[2].partition('"')[0]


def test_what_was_seen_is_not_sent_again_until_it_changes() -> None:
    part = _Part()
    seen = _seen(_ask(part))
    assert _ask(part, seen=seen).status_code == 204
    part.workers = 0
    answer = _ask(part, seen=seen)
    assert "No worker is running" in answer.content.decode()
    assert _seen(answer) != seen


def test_what_was_asked_with_stays_in_the_address_and_what_was_seen_does_not() -> None:
    answer = _ask(_Part(), sort="name", seen="x")
    assert 'hx-get="/part?sort=name&amp;seen=' in answer.content.decode()
    assert "seen=x" not in answer.content.decode()


def test_a_final_part_asks_no_more_and_is_sent_whatever_was_seen() -> None:
    answer = _ask(_Part(every_s=None), seen="anything")
    assert answer.status_code == 200
    assert "hx-" not in answer.content.decode()


def test_a_version_is_compared_instead_of_what_is_shown() -> None:
    part = _Part(version=(1, "a"))
    seen = _seen(_ask(part))
    part.workers = 0
    assert _ask(part, seen=seen).status_code == 204
    part.version = (2, "a")
    assert _ask(part, seen=seen).status_code == 200


def test_tabs_that_ask_within_a_moment_share_one_part(settings: Settings) -> None:
    settings.LIVE_SHARED_S = 60.0
    part = _Part()
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(_ask(part, "/shared").content)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert part.made == 1
    assert len(set(answers)) == 1
    _ask(part, "/shared", page="2")
    assert part.made == 2


def test_what_is_shared_is_forgotten(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuning.views.live.MOST_SHARED", 4)
    part = _Part()
    for number in range(20):
        settings.LIVE_SHARED_S = 0.0
        _ask(part, f"/forgotten/{number}")
    from tuning.views import live as module  # noqa: PLC0415 - what it keeps is nobody else's business

    assert len(module._shared._renderings) <= 4
    assert len(module._shared._locks) <= 5
