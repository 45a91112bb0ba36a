"""Lines of a log as markup: hundreds on a page, so they are not rendered one by one by the template."""

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from tuning.overview.log import Line

register = template.Library()

# The script static/js/log.js reads these elements; `data-at` has milliseconds since 1970.
ROW = (
    '<div class="log-line log-{}" data-id="{}"><span class="number">{}</span><time data-at="{}">{}</time>'
    '<span class="source">{}</span><span class="text">{}</span></div>\n'
)


@register.simple_tag
def log_lines(lines: list[Line], of_task: bool) -> SafeString:
    """The rows of `lines`; in the log of a task each says which experiment it is of."""
    return format_html_join("", ROW, (_columns(line, of_task) for line in lines))


def _columns(line: Line, of_task: bool) -> tuple[object, ...]:
    number = "" if line.number is None else line.number
    source = f"{line.source} {line.experiment}" if of_task and line.experiment else line.source
    return line.level, line.id, number, round(line.at.timestamp() * 1000), f"{line.at:%H:%M:%S}", source, line.text
