"""The one Django app."""

from django.apps import AppConfig


class TuningConfig(AppConfig):
    """Tasks, their experiments, and what was measured."""

    name = "tuning"

    def ready(self) -> None:
        """Register the system checks."""
        from tuning import checks  # noqa: F401, PLC0415 - settings must be ready first
