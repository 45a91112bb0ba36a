"""`manage.py sign_in_link`: for whom it prints a link, whom it adds, and what it refuses."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django.fixtures import Settings

from tests.commands.test_operators import refusal, say
from tuning.runner import access

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
COMMANDS = re.findall(r"manage\.py (sign_in_link|axes_reset_username)([^#\n]*)", PAGE.read_text().partition("```sh")[2])


def path_of(printed: str) -> str:
    """The path of the one line that was printed."""
    match = re.fullmatch(r"https?://[^/]+(/sign-in/\S+/\S+)\n", printed)
    assert match, printed
    return match[1]


def test_without_a_name_it_is_the_first_operator_who_is_made_when_there_is_none() -> None:
    assert Client().post(path_of(say("sign_in_link"))).url == "/password"
    user = User.objects.get()
    assert (user.username, user.is_superuser) == ("operator", True)
    assert Client().post(path_of(say("sign_in_link"))).status_code == 302
    assert User.objects.count() == 1


@pytest.mark.parametrize(("flag", "may"), [("--viewer", False), ("--operator", True)])
def test_somebody_new_gets_a_link_and_a_group(flag: str, may: bool) -> None:
    client = Client()
    assert client.post(path_of(say("sign_in_link", "grace", flag))).status_code == 302
    user = User.objects.get(username="grace")
    assert (user.has_perm("tuning.operate"), user.is_staff, user.has_usable_password()) == (may, False, False)


def test_nobody_is_added_or_moved_without_being_asked_for() -> None:
    assert "There is no user grace" in refusal("sign_in_link", "grace")
    access.add_user("grace", access.VIEWER)
    assert "There is a user grace already" in refusal("sign_in_link", "grace", "--operator")
    assert not User.objects.get().has_perm("tuning.operate")


def test_somebody_who_may_not_sign_in_gets_no_link() -> None:
    User.objects.create_user("grace", is_active=False)
    assert "may not sign in" in refusal("sign_in_link", "grace")


def test_the_address_can_be_given_and_behind_tls_it_is_that_of_the_proxy(settings: Settings) -> None:
    assert say("sign_in_link", "--url", "http://tuner:9000/").startswith("http://tuner:9000/sign-in/")
    settings.TLS = True
    settings.ALLOWED_HOSTS = ["tuner.example.org", "localhost"]
    assert say("sign_in_link").startswith("https://tuner.example.org/sign-in/")
    settings.ALLOWED_HOSTS = ["*"]
    assert say("sign_in_link", "--url", "https://tuner/").startswith("https://tuner/sign-in/")


def test_the_commands_of_the_page_work_in_their_order() -> None:
    assert len(COMMANDS) == 6
    for name, arguments in COMMANDS:
        assert say(name, *arguments.split())
    assert sorted(User.objects.values_list("username", flat=True)) == ["grace", "linus", "operator"]


@pytest.mark.parametrize("name", ["", "a b", "../x", "<b>", "x\ny", "x" * 200])
def test_what_cannot_be_a_name_is_refused_and_leaves_nobody_behind(name: str) -> None:
    """Pitfall D3a."""
    assert "cannot be the name of a user" in refusal("sign_in_link", name, "--viewer")
    assert not User.objects.exists()


def test_a_group_that_somebody_deleted_is_made_again() -> None:
    Group.objects.all().delete()
    say("sign_in_link")
    say("sign_in_link", "grace", "--operator")
    assert User.objects.get(username="grace").has_perm("tuning.operate")
