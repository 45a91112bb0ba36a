"""A cell for each experiment of a task; written here, because a list has more than a thousand of them."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from tuning.overview.tasks import Cell, TaskLine

register = template.Library()

EMPTY = '<span class="cell"></span>'


@register.simple_tag
def cells(line: TaskLine) -> SafeString:
    """The cells of the experiments that there are, and of those that are still to be made."""
    made = "".join(map(_cell, line.cells))
    return format_html('<div class="cells">{}</div>', mark_safe(made + EMPTY * len(line.rest)))  # noqa: S308


def _cell(cell: Cell) -> str:
    """Holds nothing but a number and words of ours."""
    style, words = (" cell-best", ", best") if cell.is_best else ("", "")
    return f'<span class="cell cell-{cell.look}{style}" title="{cell.number}: {cell.outcome}{words}"></span>'
