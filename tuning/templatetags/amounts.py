"""Numbers where their size is not known beforehand: short times, and the limits of an SLO."""

from django import template

from tuning.runner import table
from tuning.runner.table import ABSENT

register = template.Library()

SHORT_S = 10.0


@register.filter
def seconds(value: float | None) -> str:
    """Seconds; short ones with their fractions: `0.27s`, `42s`, `3m 05s`."""
    if value is None:
        return ABSENT
    return f"{value:.2g}s" if value < SHORT_S else table.duration(value)


@register.filter
def compact(value: float | None) -> str:
    """Four significant digits at most, and no zeros at the end."""
    return ABSENT if value is None else f"{value:.4g}"
