"""What every request goes through on its way to a page, and every answer on its way back."""

from collections.abc import Callable
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
