"""Around every page: who may see it, what it may load, and where it leads."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from tests.runner.factories import experiment, living, running
from tests.views.users import viewer
from tuning.models import Experiment, Slot

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
PAGES = ("dashboard", "dashboard-now")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_needs_a_user(client: Client, name: str) -> None:
    """Pitfall D1."""
    answer = client.get(reverse(name))
    assert (answer.status_code, answer.url) == (302, f"{reverse('sign-in')}?next={reverse(name)}")


def test_a_part_of_a_page_is_refused_in_words_where_nobody_is_signed_in(client: Client) -> None:
    answer = client.get(reverse("dashboard-now"), headers={"HX-Request": "true"})
    assert answer.status_code == 403
    assert "not signed in" in answer.headers["X-Reason"]
    assert answer.content == b""


def test_signing_in_leads_to_the_page_and_signing_out_ends_it(client: Client, django_user_model: type[User]) -> None:
    django_user_model.objects.create_user("ada", password="opensesame")
    address = f"{reverse('sign-in')}?next={reverse('dashboard')}"
    assert "Please enter a correct" in client.post(address, {"username": "ada", "password": "no"}).content.decode()
    answer = client.post(address, {"username": "ada", "password": "opensesame", "next": reverse("dashboard")})
    assert answer.url == reverse("dashboard")
    assert client.get(reverse("dashboard")).status_code == 200
    client.post(reverse("sign-out"))
    assert client.get(reverse("dashboard")).status_code == 302


@pytest.mark.parametrize("name", [*PAGES, "sign-in", "admin:index"])
def test_every_answer_says_what_may_be_loaded(admin_client: Client, name: str) -> None:
    assert "default-src 'self'" in admin_client.get(reverse(name)).headers["Content-Security-Policy"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_needs_what_the_policy_forbids(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"\sstyle=|\son\w+=|hx-on|<style|<script(?![^>]*\ssrc=)|javascript:", text)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_file_that_a_template_names_is_there(template: Path) -> None:
    """Pitfall E4a."""
    for name in re.findall(r"{% static '([^']+)' %}", template.read_text()):
        assert finders.find(name), name


def test_every_icon_that_is_asked_for_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static" / "img" / "icons.svg").read_text()))
    asked = {name for path in TEMPLATES for name in re.findall(r'{% icon "([^"]+)" %}', path.read_text())}
    assert asked <= drawn


def test_the_menu_marks_the_section_that_a_page_lies_in(admin_client: Client) -> None:
    one = running()
    experiment(one, 2)
    for name, args, marked in (
        ("tasks", [], "tasks"),
        ("task", [one.pk], "tasks"),
        ("experiment", [one.pk, 2], "tasks"),
        ("experiments", [], "experiments"),
        ("machines", [], "machines"),
        ("deployments", [], "deployments"),
    ):
        menu = _menu(admin_client.get(reverse(name, args=args)).content.decode())
        assert re.findall(r'<a href="([^"]+)" aria-current="\w+"', menu) == [reverse(marked)]


def test_a_page_that_no_section_has_is_not_marked(admin_client: Client) -> None:
    assert "aria-current" not in _menu(admin_client.get(reverse("search")).content.decode())


def test_only_staff_is_led_to_the_admin(admin_client: Client) -> None:
    assert reverse("admin:index") in _menu(admin_client.get(reverse("tasks")).content.decode())
    assert reverse("admin:index") not in _menu(viewer().get(reverse("tasks")).content.decode())


def _menu(page: str) -> str:
    return page.split('<aside class="sidebar"')[1].split("</aside>", maxsplit=1)[0]


def test_the_dashboard_says_what_runs_and_what_is_missing(admin_client: Client) -> None:
    """Pitfall E7a: without a worker the page says so."""
    assert "No worker is running" in admin_client.get(reverse("dashboard")).content.decode()
    living()
    one = running()
    row = experiment(one, status=Experiment.Status.DEPLOYING, claim="held")
    Slot.objects.create(node="here", index=0, claim="held")
    Slot.objects.create(node="here", index=1, gpu=3, device="3", name="H100", foreign="process 7 uses 9 MiB <b>")
    page = admin_client.get(reverse("dashboard")).content.decode()
    assert "No worker is running" not in page
    assert f"{one}, {row}" in page
    assert "GPU 3: H100" in page
    assert "9 MiB &lt;b&gt;" in page
    assert 'aria-current="page"' in page
