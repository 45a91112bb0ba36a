"""Parts of a page that keep themselves up to date: they ask now and then, and are answered only when they changed.

A part is an element that replaces itself. It carries a digest of what it shows, and asks with it; the answer is 204 as
long as that is still what there is to show. A part that is final does not ask.

Forms stand outside of parts, because each rendering of a form has a new CSRF token; a button inside a part names its
form by the attribute `form`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString


@dataclass(frozen=True)
class LivePart:
    """The element `id`, which shows `template` and asks `url` every `every_s` seconds; None when it is final."""

    id: str
    url: str
    template: str
    every_s: int | None
    context: Mapping[str, Any] = field(default_factory=dict)

    def render(self, request: HttpRequest) -> SafeString:
        """The element, for a page."""
        content, digest = self._content(request)
        return self._element(content, digest)

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The element, for the request by which it asks; 204 when nothing has changed."""
        # What the part shows must not depend on what was seen: links that keep the query string would.
        query = request.GET.copy()
        seen = query.pop("seen", [""])[-1]
        request.GET = query  # type: ignore[assignment]
        content, digest = self._content(request)
        if self.every_s is not None and seen == digest:
            return HttpResponse(status=204)
        return HttpResponse(self._element(content, digest))

    def _content(self, request: HttpRequest) -> tuple[SafeString, str]:
        content = render_to_string(self.template, dict(self.context), request)
        return content, blake2b(content.encode(), digest_size=8).hexdigest()

    def _element(self, content: SafeString, digest: str) -> SafeString:
        if self.every_s is None:
            return format_html('<div id="{}">{}</div>', self.id, content)
        return format_html(
            '<div id="{}" hx-get="{}{}seen={}" hx-trigger="every {}s" hx-swap="outerHTML">{}</div>',
            self.id,
            self.url,
            "&" if "?" in self.url else "?",
            digest,
            self.every_s,
            content,
        )
