"""Parts of a page that keep themselves up to date: they ask now and then, and are answered only when they changed.

A part is an element that replaces itself. It carries a digest of what it shows, and asks with it; the answer is 204 as
long as that is still what there is to show. A part that is final does not ask. Many tabs show the same part, so what
is made for one of them within `LIVE_SHARED_S` seconds is given to all that may see as much.

Forms stand outside of parts, because each rendering of a form has a new CSRF token; a button inside a part names its
form by the attribute `form`. Nothing in a part depends on who looks at it, but for what operators may do.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from tuning.views.answers import OPERATE

MOST_SHARED = 256
"""Parts that are kept for others, at most; those that are too old go first."""

Key = tuple[str, str, bool]


@dataclass(frozen=True)
class LivePart:
    """The element `id`, which shows `template` and asks `url` every `every_s` seconds; None when it is final.

    `version` are plain values that say all that the part shows: with them nothing is rendered for a tab that has seen
    it. Without, what is rendered is compared.
    """

    id: str
    url: str
    template: str
    every_s: int | None
    context: Mapping[str, Any] = field(default_factory=dict)
    version: object = None

    def render(self, request: HttpRequest) -> SafeString:
        """The element, for a page."""
        return _Rendering(self, request).element


def live(view: Callable[..., LivePart]) -> Callable[..., HttpResponse]:
    """The view of a part, from the function that makes it: the element, or 204 when the tab has seen it."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # What a part shows must not depend on what was seen: links that keep the query string would.
        query = request.GET.copy()
        seen = query.pop("seen", [""])[-1]
        request.GET = query  # type: ignore[assignment]
        key = (request.path, query.urlencode(), _may_operate(request.user))
        rendering = _shared.get(key, lambda: _Rendering(view(request, *args, **kwargs), request))
        if rendering.part.every_s is not None and seen == rendering.digest:
            return HttpResponse(status=204)
        return HttpResponse(rendering.element)

    return answer


class _Rendering:
    """A part as it is at one moment; what it costs is spent once, and only when it is needed."""

    def __init__(self, part: LivePart, request: HttpRequest) -> None:
        self.part = part
        self.at = time.monotonic()
        self._request = request
        self._may_operate = _may_operate(request.user)

    @cached_property
    def digest(self) -> str:
        part = self.part
        told = self._content if part.version is None else repr((part.version, self._may_operate))
        return blake2b(told.encode(), digest_size=8).hexdigest()

    @cached_property
    def element(self) -> SafeString:
        part = self.part
        if part.every_s is None:
            return format_html('<div id="{}">{}</div>', part.id, self._content)
        return format_html(
            '<div id="{}" hx-get="{}{}seen={}" hx-trigger="every {}s" hx-swap="outerHTML">{}</div>',
            part.id,
            part.url,
            "&" if "?" in part.url else "?",
            self.digest,
            part.every_s,
            self._content,
        )

    @cached_property
    def _content(self) -> SafeString:
        return render_to_string(self.part.template, dict(self.part.context), self._request)


class _Shared:
    """Renderings of the last moment, by what was asked and whether an operator asked."""

    def __init__(self) -> None:
        self._renderings: dict[Key, _Rendering] = {}
        self._locks: dict[Key, threading.Lock] = {}
        self._changing = threading.Lock()

    def get(self, key: Key, make: Callable[[], _Rendering]) -> _Rendering:
        """The rendering for `key`; of several who want a new one at the same time, one makes it."""
        with self._changing:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            kept = self._renderings.get(key)
            if kept is None or _is_old(kept):
                kept = make()
                self._keep(key, kept)
            return kept

    def _keep(self, key: Key, rendering: _Rendering) -> None:
        with self._changing:
            if len(self._renderings) >= MOST_SHARED:
                self._renderings = {each: kept for each, kept in self._renderings.items() if not _is_old(kept)}
                self._locks = {each: lock for each, lock in self._locks.items() if lock.locked()}
            self._renderings[key] = rendering


_shared = _Shared()


def _is_old(rendering: _Rendering) -> bool:
    return bool(time.monotonic() - rendering.at >= settings.LIVE_SHARED_S)


def _may_operate(user: Any) -> bool:
    return bool(user.has_perm(OPERATE))
