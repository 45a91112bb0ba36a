"""Who may sign in and change something: the two groups, the first operator, links that sign in once, old sessions."""

from datetime import datetime
from importlib import import_module
from typing import Any

from django.apps import apps
from django.apps.registry import Apps
from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_bytes, force_str
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from tuning.errors import ConflictError

VIEWER = "viewer"
OPERATOR = "operator"
FIRST = "operator"
"""The name of the first operator."""
BACKEND = "django.contrib.auth.backends.ModelBackend"


class _Tokens(PasswordResetTokenGenerator):
    """Tokens of links that sign in; they end with the next sign-in, a new password, or after an hour."""

    key_salt = "tuning.runner.access.sign_in_link"

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        # Django leaves out what is below a second: a link that was made and used within one would go on working.
        last: datetime | None = user.last_login
        return f"{super()._make_hash_value(user, timestamp)}{last.timestamp() if last else ''}"


_tokens = _Tokens()


def make_groups(using: str, apps: Apps = apps, **_: Any) -> None:
    """Have the groups `viewer`, which may look, and `operator`, which may change things too; after each migration."""
    try:
        groups = apps.get_model("auth", "Group").objects.using(using)
        permissions = apps.get_model("auth", "Permission").objects.using(using)
    except LookupError:  # the tables of users are not made yet
        return
    groups.get_or_create(name=VIEWER)
    operator, _created = groups.get_or_create(name=OPERATOR)
    operator.permissions.add(*permissions.filter(content_type__app_label="tuning", codename="operate"))


def operators() -> QuerySet[User]:
    """Everybody who may change something, and may sign in."""
    return User.objects.with_perm("tuning.operate", backend=BACKEND)


def first_operator() -> User | None:
    """Who has to sign in first, made when there is nobody; None once anybody who may change something can sign in.

    It is a superuser, so that it can add others. ConflictError when its name is somebody's who may not change anything.
    """
    waiting = {"password__startswith": UNUSABLE_PASSWORD_PREFIX, "last_login": None}
    if operators().exclude(**waiting).exists():
        return None
    if found := operators().filter(username=FIRST).first():
        return found
    if User.objects.filter(username=FIRST).exists():
        raise ConflictError(
            f"Nobody may change anything, and {FIRST} is only a viewer; `manage.py sign_in_link NAME --operator` adds "
            "somebody who may."
        )
    with transaction.atomic():
        user = User.objects.create_superuser(FIRST)  # without a password, so that none can be guessed
        user.groups.add(_group(OPERATOR))
    return user


def add_user(username: str, group: str) -> User:
    """A new user without a password in one of the groups; ConflictError when the name is taken, or cannot be one."""
    username = User.normalize_username(username)
    if User.objects.filter(username=username).exists():
        raise ConflictError(f"There is a user {username} already; change the groups in the admin, at /admin/.")
    user = User(username=username)
    user.set_unusable_password()
    try:
        user.full_clean()
    except ValidationError as error:
        raise ConflictError(f"{username!r} cannot be the name of a user: {' '.join(error.messages)}") from error
    with transaction.atomic():
        user.save()
        user.groups.add(_group(group))
    return user


def _group(name: str) -> Group:
    """One of the two groups, which somebody may have deleted."""
    make_groups(DEFAULT_DB_ALIAS)
    return Group.objects.get(name=name)


def sign_in_path(user: User) -> str:
    """The path that signs this user in once, within PASSWORD_RESET_TIMEOUT seconds; a secret."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("sign-in-link", args=(uid, _tokens.make_token(user)))


def user_of_link(uidb64: str, token: str) -> User | None:
    """Whom a link would sign in; None when it was used, is too old, or never was one."""
    try:
        pk = int(force_str(urlsafe_base64_decode(uidb64)))
        user = User.objects.filter(pk=pk, is_active=True).first()
    except (ValueError, OverflowError):
        return None
    return user if user and _tokens.check_token(user, token) else None


def use_link(uidb64: str, token: str) -> User | None:
    """As `user_of_link`, and the link is used up: of several that use it at the same time one gets the user."""
    user = user_of_link(uidb64, token)
    if user and User.objects.filter(pk=user.pk, last_login=user.last_login).update(last_login=timezone.now()):
        return user
    return None


def clear_sessions() -> None:
    """Delete the sessions that have ended."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
