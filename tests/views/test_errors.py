"""Pages and parts that say why a request was not answered, to everybody and in every way it can be asked."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django.fixtures import Settings

from autotuner_site.urls import handler400, handler403, handler404, handler500, urlpatterns
from tests.views.users import viewer
from tuning.views import errors

pytestmark = pytest.mark.django_db

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

ODD = "q: é 💩 <b>\r\nSet-Cookie: a=b\x00"


def broken(request: HttpRequest, kind: str) -> HttpResponse:
    """Fail in this way."""
    raise {
        "400": BadRequest("page: give a number"),
        "403": PermissionDenied(),
        "404": Http404("no Task matches"),
        "500": OperationalError("/secret/path is locked"),
        "odd": BadRequest(ODD),
    }[kind]


urlpatterns = [path("broken/<kind>", broken), *urlpatterns]

REASONS = {
    "400": "page: give a number",
    "403": "Only operators may do this.",
    "404": "There is nothing here; it may have been deleted.",
    "500": "The server failed; its log says why.",
}


@pytest.fixture
def bob(settings: Settings) -> Iterator[Client]:
    """Signed in, where addresses are that fail."""
    settings.ROOT_URLCONF = __name__
    client = viewer()
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("kind", REASONS)
def test_a_page_says_the_reason_in_words(bob: Client, kind: str) -> None:
    answer = bob.get(f"/broken/{kind}")
    page = answer.content.decode()
    assert answer.status_code == int(kind)
    assert f"<strong>{REASONS[kind]}</strong>" in page
    assert "secret" not in page
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("kind", REASONS)
def test_a_part_of_a_page_gets_the_reason_as_a_line_and_in_a_header(bob: Client, kind: str) -> None:
    answer = bob.get(f"/broken/{kind}", headers={"HX-Request": "true"})
    assert answer.status_code == int(kind)
    assert answer.content.decode() == answer.headers["X-Reason"] == REASONS[kind]
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_a_reason_with_odd_characters_ends_no_header_and_becomes_no_markup(bob: Client) -> None:
    part = bob.get("/broken/odd", headers={"HX-Request": "true"})
    assert part.headers["X-Reason"] == "q: ? ? <b> Set-Cookie: a=b?"
    assert part.content.decode().startswith("q: é 💩 <b> Set-Cookie: a=b")
    assert not part.cookies
    page = bob.get("/broken/odd").content.decode()
    assert "é 💩 &lt;b&gt;" in page
    assert "<b>" not in page


def test_a_long_reason_is_cut() -> None:
    request = HttpRequest()
    request.META["HTTP_HX_REQUEST"] = "true"
    answer = errors.bad_request(request, BadRequest("x" * 5000))
    assert len(answer.headers["X-Reason"]) == errors.MAX_REASON


@pytest.mark.parametrize("htmx", [False, True])
def test_a_form_without_its_token_is_refused_in_words(django_user_model: type[User], htmx: bool) -> None:
    client = Client(enforce_csrf_checks=True)
    headers = {"HX-Request": "true"} if htmx else {}
    answer = client.post("/sign-in", {"username": "a", "password": "b"}, headers=headers)
    assert answer.status_code == 403
    assert "This form is too old; load its page again." in answer.content.decode()
    assert ("X-Reason" in answer.headers) == htmx


def test_whoever_has_not_signed_in_sees_no_menu_around_an_error(client: Client, settings: Settings) -> None:
    refused = Client(enforce_csrf_checks=True).post("/sign-in")
    for answer in (client.get("/there-is-nothing"), refused, client.get("/sign-in", headers={"Host": "evil.example"})):
        page = answer.content.decode()
        assert answer.status_code in (400, 403, 404)
        assert not re.search(r"sidebar|topbar|data-live-switch|app\.js", page)
        assert 'href="/"' in page
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_whoever_has_signed_in_keeps_the_menu(bob: Client) -> None:
    page = bob.get("/there-is-nothing").content.decode()
    assert "sidebar" in page
    assert 'href="/tasks"' in page


def test_an_error_of_ours_needs_no_database_and_no_menu(bob: Client) -> None:
    page = bob.get("/broken/500").content.decode()
    assert "sidebar" not in page


@pytest.mark.parametrize(
    "url", ["/static/css/app.css", "/static/none.css", "/sign-in", "/healthz", "/admin/login/", "/"]
)
def test_every_answer_says_what_may_be_loaded(client: Client, url: str) -> None:
    answer = client.get(url)
    answer.close()
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_redirect_to_https_says_it_too(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = client.get("/")
    assert answer.status_code == 301
    assert "Content-Security-Policy" in answer.headers
