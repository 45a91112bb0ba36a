"""Signing in: by password, by a link that works once, and the password itself."""

import logging
from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from autotuner_site.middleware import client_address
from tuning.runner import access

logger = logging.getLogger(__name__)

sign_in = LoginView.as_view(
    template_name="access/sign_in.html",
    redirect_authenticated_user=True,
    http_method_names=["get", "head", "post", "options"],
)


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, uidb64: str, token: str) -> HttpResponse:
    """Ask whoever opens a link to press a button, for a preview of the link opens it too; the button uses it up."""
    use = access.use_link if request.method == "POST" else access.user_of_link
    user = use(uidb64, token)
    if user is None:
        return render(request, "access/link_ended.html", status=403)
    if request.method != "POST":
        return render(request, "access/link.html", {"name": user.get_username()})
    login(request, user, backend=access.BACKEND)
    return redirect("dashboard" if user.has_usable_password() else "password")


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """Set one's own password: a first one, or another one."""
    user = cast(User, request.user)  # the middleware lets nobody else in
    kind = PasswordChangeForm if user.has_usable_password() else SetPasswordForm
    form = kind(user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, "The password is set. Sessions in other browsers have ended.")
        return redirect("dashboard")
    return render(request, "access/password.html", {"form": form, "is_first": kind is SetPasswordForm})


def locked_out(request: HttpRequest, refused: HttpResponse | None = None, credentials: object = None) -> HttpResponse:
    """429: too many wrong passwords for a name from one address; called by django-axes in place of the page."""
    # Not the name, for some people type their password there.
    logger.warning("Sign-in from %s is locked after %s failures", client_address(request), settings.AXES_FAILURE_LIMIT)
    wait_s = int(settings.AXES_COOLOFF_TIME.total_seconds())
    context = {"minutes": wait_s // 60, "limit": settings.AXES_FAILURE_LIMIT}
    answer = render(request, "access/locked_out.html", context, status=429)
    answer["Retry-After"] = str(wait_s)
    return answer
