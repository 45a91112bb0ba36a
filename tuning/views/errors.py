"""Pages for requests that cannot be answered, with the reason in words; a part of a page gets it in a header."""

from http import HTTPStatus

from django.core.exceptions import BadRequest, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

MAX_REASON = 300


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: the address or the form holds something that means nothing."""
    reason = str(exception) if isinstance(exception, BadRequest) else ""
    return _answer(request, HTTPStatus.BAD_REQUEST, reason or "The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: PermissionDenied) -> HttpResponse:
    """403: whoever is signed in may not do this."""
    return _answer(request, HTTPStatus.FORBIDDEN, str(exception) or "Only operators may do this.")


def not_found(request: HttpRequest, exception: Http404) -> HttpResponse:
    """404: there is nothing at this address."""
    return _answer(request, HTTPStatus.NOT_FOUND, "There is nothing here; it may have been deleted.")


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our own fault, of which the server's log has the details; whatever the frame reads may be what failed."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    reason = "The server failed; its log says why."
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(reason, status=status, content_type="text/plain", headers={"X-Reason": reason})
    context = {"status": int(status), "phrase": status.phrase, "reason": reason}
    return HttpResponse(render_to_string("error.html", context), status=status)


def refused_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form that was not sent from a page of ours, or whose page is too old."""
    return _answer(request, HTTPStatus.FORBIDDEN, "This form is too old; load its page again.")


def _answer(request: HttpRequest, status: HTTPStatus, reason: str) -> HttpResponse:
    line = " ".join(reason.split())[:MAX_REASON]
    # A header takes Latin-1 only, and whatever was in the address must not end it.
    header = "".join(char if char.isascii() and char.isprintable() else "?" for char in line)
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(line, status=status, content_type="text/plain; charset=utf-8", headers={"X-Reason": header})
    context = {"status": int(status), "phrase": status.phrase, "reason": line}
    return render(request, "error.html", context, status=status)
