"""The one Django app."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TuningConfig(AppConfig):
    """Tasks, their experiments, and what was measured."""

    name = "tuning"

    def ready(self) -> None:
        """Register the system checks, and what is done after migrations."""
        from tuning import checks  # noqa: F401, PLC0415 - settings must be ready first

        # Django's own receiver, which makes the permissions, was connected before: its app is listed first.
        post_migrate.connect(_make_groups, sender=self)


def _make_groups(**told: Any) -> None:
    from tuning.runner import access  # noqa: PLC0415 - the models of the other apps must be ready first

    access.make_groups(**told)
