"""What views share: who may change something, addresses that mean nothing, and where a person goes on afterwards."""

from typing import TypeVar

from django import forms
from django.contrib.auth.decorators import permission_required
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

OPERATE = "tuning.operate"
"""The permission that the group `operator` has and the group `viewer` lacks."""

AnyForm = TypeVar("AnyForm", bound=forms.Form)

operator_required = permission_required(OPERATE, raise_exception=True)
"""Refuses with 403 whoever may only look."""


def valid(form: AnyForm) -> AnyForm:
    """`form`, which was filled from an address; BadRequest, with the field's name, when it holds nonsense."""
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise BadRequest(f"{field}: {errors[0]}")
    return form


def back(request: HttpRequest, default: str) -> HttpResponseRedirect:
    """Redirect to the page that the posted form names in `next`, when it is one of ours, or to `default`."""
    wanted = request.POST.get("next", "")
    # `redirect` would take a word for the name of an address.
    return HttpResponseRedirect(wanted) if is_ours(request, wanted) else redirect(default)


def is_ours(request: HttpRequest, address: str) -> bool:
    """Whether an address that came with a request is one of these pages, and may be led to."""
    return url_has_allowed_host_and_scheme(address, {request.get_host()}, require_https=request.is_secure())
