"""What every template may use: icons and times."""

from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tuning.runner.table import ABSENT

register = template.Library()


@register.simple_tag
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
