"""The one Django app."""

from django.apps import AppConfig


class TuningConfig(AppConfig):
    """Tasks, their experiments, and what was measured."""

    name = "tuning"
