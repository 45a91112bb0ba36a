"""Print a link that signs somebody in once."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from tuning.management.base import TunerCommand
from tuning.management.links import link
from tuning.runner import access


class Command(TunerCommand):
    """`manage.py sign_in_link [USER] [--viewer | --operator]`: exit 1 when the user is missing, or there already."""

    help = "Print a link that signs a user in once, within an hour; without a name, the first operator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", default=access.FIRST, help=f"name of the user (default: {access.FIRST})")
        new = parser.add_mutually_exclusive_group()
        new.add_argument("--viewer", dest="group", action="store_const", const=access.VIEWER, help="add one who looks")
        new.add_argument(
            "--operator", dest="group", action="store_const", const=access.OPERATOR, help="add one who operates"
        )
        parser.add_argument(
            "--url", default="http://127.0.0.1:8000/", help="where the web interface is (default: %(default)s)"
        )

    def handle(self, *args: Any, user: str, group: str | None, url: str, **options: Any) -> None:
        one = access.add_user(user, group) if group else _find(user)
        self.stdout.write(link(one, url))


def _find(name: str) -> User:
    first = access.first_operator() if name == access.FIRST else None
    found = first or User.objects.filter(username=name, is_active=True).first()
    if found is None:
        raise CommandError(f"There is no user {name}, or it may not sign in; --viewer or --operator adds a new one.")
    return found
