"""The address of a piece of a log: which lines are wanted, and from where on."""

from typing import Any

from django import forms

from tuning.models import LogLine
from tuning.overview.log import MAX_ID, Place, Wanted

MAX_QUERY = 200
LEVELS = (
    ("debug", "All levels"),
    ("info", "Info and above"),
    ("warning", "Warnings and errors"),
    ("error", "Errors only"),
)
SOURCES = (("", "All sources"), *LogLine.Source.choices)


class LogForm(forms.Form):
    """`level` is the least one, `q` what a line has to hold; `after` and `before` are ids of lines.

    `number` is the number of that line in the whole log, which only whoever asks can say at no cost. With `skip`, what
    is more than one piece is left out up to the end.
    """

    level = forms.ChoiceField(required=False, choices=LEVELS, label="Level")
    source = forms.ChoiceField(required=False, choices=SOURCES, label="Source")
    q = forms.CharField(required=False, max_length=MAX_QUERY, strip=False, label="Search")
    after = forms.IntegerField(required=False, min_value=0, max_value=MAX_ID, widget=forms.HiddenInput)
    before = forms.IntegerField(required=False, min_value=1, max_value=MAX_ID, widget=forms.HiddenInput)
    number = forms.IntegerField(required=False, min_value=0, max_value=MAX_ID, widget=forms.HiddenInput)
    skip = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        """One direction only."""
        cleaned: dict[str, Any] = self.cleaned_data
        if cleaned.get("after") is not None and cleaned.get("before") is not None:
            self.add_error("before", "either after or before, not both")
        return cleaned

    @property
    def wanted(self) -> Wanted:
        """Which lines; the form is valid."""
        level = self.cleaned_data["level"]
        return Wanted("" if level == "debug" else level, self.cleaned_data["source"], self.cleaned_data["q"])

    def place(self, name: str) -> Place | None:
        """The line that the field `name` (after, before) names; None where it names none. The form is valid."""
        pk = self.cleaned_data[name]
        return None if pk is None else Place(pk, 0 if pk == 0 else self.cleaned_data["number"])
