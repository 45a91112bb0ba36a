"""What every request goes through on its way to a page, and every answer on its way back."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseForbidden

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


class ContentSecurityPolicy:
    """Lets a page load and run only what this server has, so that a line of log can never become a script."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response.setdefault("Content-Security-Policy", POLICY)
        return response


class SignInRequired(LoginRequiredMiddleware):
    """Everything but what says otherwise needs a user; a part of a page is refused rather than led to the sign-in."""

    def handle_no_permission(  # type: ignore[override]  # the stubs know no other answer than a redirect
        self, request: HttpRequest, view_func: Callable[..., Any]
    ) -> HttpResponseBase:
        """See `LoginRequiredMiddleware`."""
        if request.headers.get("HX-Request") == "true":
            return HttpResponseForbidden(headers={"X-Reason": "You are not signed in any more; load the page again."})
        return super().handle_no_permission(request, view_func)


def client_address(request: HttpRequest) -> str | None:
    """The address of whoever asks, which a proxy with TLS appends to `X-Forwarded-For`; None when nobody knows it.

    The web server says that a request is secure only when a proxy that it trusts has said so. Nobody else is believed,
    and of what the proxy passes on only the last, its own word.
    """
    told = [request.META.get("REMOTE_ADDR", "")]
    if request.is_secure():
        told.insert(0, request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
    return next(filter(_is_address, told), None)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
