"""What every template may use: icons and times."""

from datetime import datetime
from functools import lru_cache

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from pydantic import JsonValue

from tuning.runner import table
from tuning.runner.table import ABSENT

register = template.Library()


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str) -> SafeString:
    """A symbol of static/img/icons.svg; it says nothing to a screen reader, the words beside it do."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("img/icons.svg"), name
    )


@register.simple_tag
def moment(at: datetime | None) -> SafeString:
    """A time in UTC, which the browser shows in the viewer's zone with the UTC time on hover."""
    if at is None:
        return format_html('<span class="muted">{}</span>', ABSENT)
    return format_html('<time datetime="{}">{} UTC</time>', at.isoformat(), at.strftime("%Y-%m-%d %H:%M"))


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as `42s`, `3m 05s`, `1h 02m`; a dash where there are none."""
    return ABSENT if seconds is None else table.duration(seconds)


@register.simple_tag
def quantity(value: float | None, unit: str = "", digits: int = 4) -> str:
    """A number with its sensible digits and its unit; a dash where there is none."""
    number = table.significant(value, digits)
    return f"{number} {unit}" if unit and value is not None else number


@register.filter
def ratio(value: float | None) -> str:
    """How many times better than the baseline: `1.85x`."""
    return ABSENT if value is None else f"{table.significant(value, 3)}x"


@register.filter
def shown(value: JsonValue) -> str:
    """A parameter's value as the document would say it."""
    return table.show(value)
