"""Makes the users of an installation, and prints each name with a session that is signed in.

ada is an operator and may use the admin, bob only looks; the password of both is `opensesame`.
"""

import django

django.setup()

from django.contrib.auth.models import Group, Permission, User  # noqa: E402 - needs the settings
from django.test import Client  # noqa: E402

PASSWORD = "opensesame"


def main() -> None:
    operators, _ = Group.objects.get_or_create(name="operator")
    viewers, _ = Group.objects.get_or_create(name="viewer")
    operators.permissions.add(Permission.objects.get(codename="operate", content_type__app_label="tuning"))
    ada = User.objects.create_superuser("ada", password=PASSWORD)
    ada.groups.add(operators)
    bob = User.objects.create_user("bob", password=PASSWORD)
    bob.groups.add(viewers)
    for user in (ada, bob):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        print(user.username, client.cookies["sessionid"].value)  # noqa: T201 - the test run reads it


if __name__ == "__main__":
    main()
