"""Who looks at pages."""

from django.contrib.auth.models import Permission, User
from django.test import Client


def viewer() -> Client:
    """Signed in as somebody who may only look."""
    return _signed_in(User.objects.get_or_create(username="bob")[0])


def operator() -> Client:
    """Signed in as somebody who may change what tasks do."""
    user = User.objects.get_or_create(username="ada")[0]
    user.user_permissions.add(Permission.objects.get(codename="operate"))
    return _signed_in(user)


def _signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
