"""The address of a list: what it is filtered by, how it is sorted, and which page of it."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet

PER_PAGE = 50
LAST_PAGE = 1_000_000
MAX_QUERY = 200

Sorts = Mapping[str, str | F]
"""What a list can be sorted by: the word in the address -> the field or expression."""


class ListForm(forms.Form):
    """`q` is what to look for, `sort` a key of `sorts`, with "-" in front for descending, `page` counts from 1.

    A list adds its own filters as fields. Every field is optional; a value that means nothing is an error of its field.
    """

    sorts: Sorts = {}
    default_sort = ""

    q = forms.CharField(required=False, max_length=MAX_QUERY, label="Search")
    sort = forms.CharField(required=False, max_length=MAX_QUERY, widget=forms.HiddenInput)
    page = forms.IntegerField(required=False, min_value=1, max_value=LAST_PAGE, widget=forms.HiddenInput)

    def clean_sort(self) -> str:
        """One of `sorts`."""
        sort = str(self.cleaned_data["sort"] or self.default_sort)
        if sort and sort.removeprefix("-") not in self.sorts:
            raise forms.ValidationError("there is no such column")
        return sort

    def sorted(self, rows: "QuerySet[Any]") -> "QuerySet[Any]":
        """`rows` in the chosen order, absent values last, newest first among equals; the form is valid."""
        sort = self.cleaned_data["sort"]
        if not sort:
            return rows.order_by("-pk")
        key = self.sorts[sort.removeprefix("-")]
        by = F(key) if isinstance(key, str) else key
        order = by.desc(nulls_last=True) if sort.startswith("-") else by.asc(nulls_last=True)
        return rows.order_by(order, "-pk")

    def paged(self, rows: "QuerySet[Any]", *, per_page: int = PER_PAGE) -> "Page[Any]":
        """The chosen page of `rows`; the last one where there are not that many. The form is valid."""
        return Paginator(rows, per_page).get_page(self.cleaned_data["page"] or 1)
