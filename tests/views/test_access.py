"""Who gets in, by which way, what they may do then, and how long."""

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from axes.models import AccessAttempt
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from autotuner_site.logs import WithoutLinks
from autotuner_site.middleware import client_address
from tests.runner.factories import running
from tests.views.users import operator, viewer
from tuning.errors import ConflictError
from tuning.runner import access

pytestmark = pytest.mark.django_db

PASSWORD = "open sesame 7"
NEW = "shut sesame 8"


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    """Many sign in here, and a real hash is slow on purpose."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", password=PASSWORD)


def sign_in(client: Client, password: str = PASSWORD, name: str = "ada", **headers: str) -> int:
    """The status that a password is answered with."""
    form = {"username": name, "password": password, "next": ""}
    return client.post(reverse("sign-in"), form, headers=headers).status_code


def test_the_groups_are_there_after_each_migration_and_only_one_may_change_things() -> None:
    Group.objects.all().delete()
    for _ in range(2):
        access.make_groups("default")
    allowed = {group.name: [one.codename for one in group.permissions.all()] for group in Group.objects.all()}
    assert allowed == {"viewer": [], "operator": ["operate"]}


def test_groups_that_a_person_has_changed_keep_what_was_added() -> None:
    extra = Permission.objects.exclude(codename="operate").first()
    assert extra is not None
    Group.objects.get(name="operator").permissions.set([extra])
    access.make_groups("default")
    assert set(Group.objects.get(name="operator").permissions.values_list("codename", flat=True)) == {
        "operate",
        extra.codename,
    }


def test_members_of_the_group_operator_may_change_things_and_all_others_are_told_who_may() -> None:
    one = running()
    member = Client()
    member.force_login(access.add_user("grace", access.OPERATOR))
    assert member.post(reverse("task-act", args=(one.pk, "pause"))).status_code == 302
    looking = Client()
    looking.force_login(access.add_user("linus", access.VIEWER))
    for client in (looking, viewer()):
        answer = client.post(reverse("task-act", args=(one.pk, "resume")))
        assert answer.status_code == 403
        assert "Only operators may do this." in answer.content.decode()
        assert client.get(reverse("task", args=(one.pk,))).status_code == 200


# The first operator, and links that sign in once


def test_the_first_operator_is_made_once_and_waited_for_until_somebody_has_signed_in(client: Client) -> None:
    first = access.first_operator()
    assert first is not None
    assert (first.username, first.is_superuser, first.is_staff, first.has_usable_password()) == (
        "operator",
        True,
        True,
        False,
    )
    assert [group.name for group in first.groups.all()] == ["operator"]
    assert access.first_operator() == first
    client.post(access.sign_in_path(first))
    assert access.first_operator() is None


def test_where_somebody_can_operate_already_nobody_is_made() -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    assert access.first_operator() is None
    assert not User.objects.filter(username="operator").exists()


def test_operators_who_may_not_sign_in_do_not_count() -> None:
    User.objects.create_superuser("root", password=PASSWORD, is_active=False)
    assert access.first_operator() is not None


def test_a_viewer_does_not_become_an_operator_by_the_name() -> None:
    access.add_user("operator", access.VIEWER)
    with pytest.raises(ConflictError, match="--operator"):
        access.first_operator()
    assert not User.objects.get(username="operator").has_perm("tuning.operate")


def test_a_link_signs_in_once_and_leads_to_a_first_password(client: Client) -> None:
    path = access.sign_in_path(access.add_user("grace", access.VIEWER))
    page = client.get(path)
    assert "Sign in as grace" in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    assert client.get(reverse("dashboard")).status_code == 302, "looking at a link does not use it up"
    assert client.head(path).status_code == 200
    assert client.post(path).url == reverse("password")
    assert client.get(reverse("dashboard")).status_code == 200
    page = client.get(reverse("password")).content.decode()
    assert "You have no password yet" in page
    assert client.post(reverse("password"), {"new_password1": NEW, "new_password2": NEW}).url == reverse("dashboard")
    assert client.get(reverse("dashboard")).status_code == 200, "the session goes on"
    assert sign_in(Client(), NEW, "grace") == 302


def test_a_link_of_somebody_with_a_password_leads_to_the_dashboard(client: Client, ada: User) -> None:
    assert client.post(access.sign_in_path(ada)).url == reverse("dashboard")


def test_a_link_ends_with_its_use_with_any_sign_in_with_a_new_password_and_after_an_hour(ada: User) -> None:
    for end in ("use", "sign-in", "password", "hour"):
        ada.refresh_from_db()
        path = access.sign_in_path(ada)
        moved = timedelta(hours=1, seconds=5) if end == "hour" else timedelta()
        if end == "use":
            Client().post(path)
        elif end == "sign-in":
            assert sign_in(Client()) == 302
        elif end == "password":
            ada.set_password(NEW)
            ada.save()
        with time_machine.travel(timezone.now() + moved, tick=True):
            for method in ("get", "post"):
                client = Client()
                answer = getattr(client, method)(path)
                assert answer.status_code == 403, (end, method)
                assert "does not work any more" in answer.content.decode()
                assert "sign_in_link" in answer.content.decode()
                assert client.get(reverse("dashboard")).status_code == 302


def test_a_link_that_is_made_and_used_within_one_second_is_used_up_too(ada: User) -> None:
    with time_machine.travel(timezone.now().replace(microsecond=100_000), tick=False) as clock:
        assert sign_in(Client()) == 302
        clock.shift(timedelta(milliseconds=200))
        ada.refresh_from_db()
        path = access.sign_in_path(ada)
        clock.shift(timedelta(milliseconds=200))
        assert Client().post(path).status_code == 302
        assert Client().post(path).status_code == 403


@pytest.mark.django_db(transaction=True)
def test_of_several_who_use_a_link_at_the_same_time_one_gets_in(ada: User) -> None:
    _, _, uid, token = access.sign_in_path(ada).split("/")

    def use(_: int) -> bool:
        try:
            return access.use_link(uid, token) is not None
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


@pytest.mark.parametrize(
    "path", ["x/y", "MQ/abc-def", "MQ/-", "4pi6/a-b", "%00/%00", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5/a-b", "w7w/%C3%BC"]
)
def test_an_odd_link_is_answered_as_one_that_has_ended(client: Client, path: str) -> None:
    for method in (client.get, client.post):
        assert method(f"/sign-in/{path}").status_code == 403


def test_a_link_of_somebody_who_may_not_sign_in_any_more_does_not_work(client: Client, ada: User) -> None:
    path = access.sign_in_path(ada)
    User.objects.update(is_active=False)
    assert client.post(path).status_code == 403


def test_a_link_for_one_does_not_sign_in_another(client: Client, ada: User) -> None:
    other = User.objects.create_user("grace")
    token = access.sign_in_path(ada).rpartition("/")[2]
    uid = access.sign_in_path(other).split("/")[2]
    assert client.post(reverse("sign-in-link", args=(uid, token))).status_code == 403


def test_the_secret_of_a_link_is_in_no_log(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    """A form without its token is refused before the view, and Django logs the path."""
    path = access.sign_in_path(ada)
    secret = path.rpartition("/")[2]
    caplog.handler.addFilter(WithoutLinks())
    with caplog.at_level(logging.DEBUG):
        assert Client(enforce_csrf_checks=True).post(path).status_code == 403
        assert Client().post(path).status_code == 302
        assert Client().post(path).status_code == 403
    assert "/sign-in/" in caplog.text
    assert secret not in caplog.text


def test_other_lines_of_a_log_stay_as_they_are() -> None:
    record = logging.LogRecord("a", logging.INFO, "", 0, "%s of %d", ("/sign-in?next=/a/b", 7), None)
    assert WithoutLinks().filter(record)
    assert record.getMessage() == "/sign-in?next=/a/b of 7"


# The password


def test_a_password_is_changed_with_the_old_one_and_other_sessions_end(ada: User) -> None:
    here, elsewhere = Client(), Client()
    assert (sign_in(here), sign_in(elsewhere)) == (302, 302)
    wrong = {"old_password": "no", "new_password1": NEW, "new_password2": NEW}
    page = here.post(reverse("password"), wrong)
    assert "old password was entered incorrectly" in page.content.decode()
    assert here.post(reverse("password"), {**wrong, "old_password": PASSWORD}).status_code == 302
    assert "The password is set" in here.get(reverse("dashboard")).content.decode()
    assert elsewhere.get(reverse("dashboard")).status_code == 302
    assert sign_in(Client(), NEW) == 302


def test_a_weak_password_is_refused_at_its_field() -> None:
    page = operator().post(reverse("password"), {"new_password1": "1234", "new_password2": "1234"}).content.decode()
    assert "too short" in page
    assert "too common" in page
    assert 'aria-invalid="true"' in page


def test_the_name_at_the_foot_of_the_menu_leads_to_the_password() -> None:
    page = viewer().get(reverse("dashboard")).content.decode()
    assert re.search(rf'<a class="who" href="{reverse("password")}"[^>]*>bob<small>viewer', page)


# Throttling


def test_five_wrong_passwords_lock_a_name_for_one_address_for_a_quarter_of_an_hour(client: Client, ada: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=True):
        assert [sign_in(client, "wrong") for _ in range(5)] == [200, 200, 200, 200, 429]
        answer = client.post(reverse("sign-in"), {"username": "ada", "password": PASSWORD})
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "900")
        assert "locked for 15 minutes" in answer.content.decode()
        assert client.get(reverse("dashboard")).status_code == 302
    with time_machine.travel(start + timedelta(minutes=14), tick=True):
        assert sign_in(client) == 429
    with time_machine.travel(start + timedelta(minutes=16), tick=True):
        assert sign_in(client) == 302, "trying meanwhile has not made it longer"


def test_a_lock_concerns_neither_other_names_nor_other_addresses(ada: User) -> None:
    User.objects.create_user("grace", password=PASSWORD)
    locked, other = Client(REMOTE_ADDR="192.0.2.1"), Client(REMOTE_ADDR="192.0.2.2")
    for _ in range(6):
        sign_in(locked, "wrong")
    assert sign_in(locked) == 429
    assert sign_in(locked, name="grace") == 302
    assert sign_in(other) == 302


def test_other_browsers_at_the_same_address_are_locked_too(ada: User) -> None:
    client = Client()
    answers = [sign_in(client, "wrong", **{"User-Agent": f"browser {number}"}) for number in range(5)]
    assert answers[-1] == 429


def test_the_sign_in_of_the_admin_is_locked_too(client: Client, ada: User) -> None:
    form = {"username": "ada", "password": "wrong"}
    assert [client.post(reverse("admin:login"), form).status_code for _ in range(5)] == [200, 200, 200, 200, 429]


def test_a_right_password_forgets_the_wrong_ones(client: Client, ada: User) -> None:
    for _ in range(3):
        assert [sign_in(client, "wrong") for _ in range(4)] == [200] * 4
        assert sign_in(client) == 302
        client.logout()


def test_a_link_gets_a_locked_person_in(client: Client, ada: User) -> None:
    for _ in range(5):
        sign_in(client, "wrong")
    assert client.post(access.sign_in_path(ada)).status_code == 302
    client.logout()
    assert sign_in(client) == 302


def test_neither_log_nor_rows_keep_a_password_and_the_log_tells_of_a_lock_once(
    client: Client, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            sign_in(client, "my-secret-typo")
    assert [record.getMessage() for record in caplog.records if record.name != "django.request"] == [
        "Sign-in from 127.0.0.1 is locked after 5 failures"
    ]
    assert "my-secret-typo" not in caplog.text
    assert "my-secret-typo" not in str(list(AccessAttempt.objects.values()))


def request_of(told: str | None, *, secure: bool, peer: str = "127.0.0.1") -> HttpRequest:
    headers = {"X-Forwarded-For": told} if told is not None else {}
    return RequestFactory(REMOTE_ADDR=peer).get("/", secure=secure, headers=headers)


@pytest.mark.parametrize(
    ("told", "secure", "address"),
    [
        (None, False, "127.0.0.1"),
        ("203.0.113.7", False, "127.0.0.1"),
        ("203.0.113.7", True, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", True, "203.0.113.7"),
        ("2001:db8::1", True, "2001:db8::1"),
        ("nonsense", True, "127.0.0.1"),
        ("", True, "127.0.0.1"),
    ],
)
def test_only_a_proxy_with_tls_is_believed_who_asks(told: str | None, secure: bool, address: str) -> None:
    assert client_address(request_of(told, secure=secure)) == address


def test_a_peer_without_an_address_is_nobody() -> None:
    assert client_address(request_of(None, secure=False, peer="")) is None


# Sessions


def test_a_session_ends_a_day_after_the_sign_in_and_is_deleted_then(client: Client, ada: User) -> None:
    start = timezone.now()
    with time_machine.travel(start, tick=True):
        sign_in(client)
    with time_machine.travel(start + timedelta(hours=23), tick=True):
        assert client.get(reverse("dashboard")).status_code == 200
        access.clear_sessions()
        assert Session.objects.count() == 1
    with time_machine.travel(start + timedelta(hours=25), tick=True):
        assert client.get(reverse("dashboard")).status_code == 302
        access.clear_sessions()
        assert Session.objects.count() == 0


def test_the_cookie_of_a_session_is_out_of_reach_of_scripts_and_other_sites(client: Client, ada: User) -> None:
    sign_in(client)
    cookie = client.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 86_400)
