"""Bars of experiments by time; written here, because there are hundreds of them in a part that asks often."""

from django import template
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from tuning.overview.timeline import LOOKS, Bar, Lane

register = template.Library()

PLACES = {"failed": (3, 10), "infeasible": (15, 10), "cancelled": (11, 6)}
"""Where a bar begins and how high it is, of the 28 of its lane: the shape tells what the colour tells."""
_FULL = (3, 22)
LEGEND = (
    '<span><svg class="swatch" viewBox="0 0 10 28" aria-hidden="true"><rect class="bar-{0}" y="{1}" width="10" '
    'height="{2}"/></svg>{0}</span>'
)


@register.simple_tag
def legend() -> SafeString:
    """What the bars mean, each beside its shape."""
    return format_html_join("", LEGEND, ((look, *PLACES.get(look, _FULL)) for look in LOOKS))


@register.simple_tag
def bars(lane: Lane) -> SafeString:
    """The bars of a lane, each of which leads to its experiment."""
    # The keyboard goes past them: there may be hundreds, and the page of their task leads to each.
    folder = reverse("experiment", args=[lane.task, 1]).rpartition("/")[0]
    return mark_safe("".join(_bar(bar, folder) for bar in lane.bars))  # noqa: S308


def _bar(bar: Bar, folder: str) -> str:
    """Holds nothing but numbers and words of ours."""
    top, height = PLACES.get(bar.look, _FULL)
    return (
        f'<a href="{folder}/{bar.number}" tabindex="-1"><title>Experiment {bar.number}: {bar.outcome}</title>'
        f'<rect class="bar-{bar.look}" x="{bar.start}%" y="{top}" width="{bar.length}%" height="{height}"/></a>'
    )
