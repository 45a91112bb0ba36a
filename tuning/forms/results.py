"""The addresses of a task's charts, of the parts of its results, and of experiments side by side."""

import re
from typing import Any

from django import forms

from tuning.overview.charts import Seen

MOST_COMPARED = 5
PARTS = ("summary", "history", "points", "experiments")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class ChartForm(forms.Form):
    """`seen` and `since` are what the last answer called version and latest; `only=history` leaves load points out."""

    seen = forms.RegexField(r"^[0-9]{1,9}-[0-9]{1,9}-[a-z]{1,20}-[0-9]{1,9}$", required=False)
    since = forms.FloatField(required=False, min_value=0, max_value=4e9)
    only = forms.ChoiceField(required=False, choices=[("history", "history")])

    @property
    def known(self) -> Seen:
        """What the browser has; the form is valid."""
        return Seen(self.cleaned_data["seen"], self.cleaned_data["since"])

    @property
    def points(self) -> bool:
        """Whether load points are drawn; the form is valid."""
        return not self.cleaned_data["only"]


class PartForm(forms.Form):
    """`part` is the name of a part of the results that is to be written anew; `first` asks whether there are any."""

    part = forms.ChoiceField(choices=[(name, name) for name in (*PARTS, "first")])


class NumbersField(forms.Field):
    """Numbers of experiments, each at most once, the smallest first, so that the baseline is first."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[int]:
        """ValidationError for what is no number of an experiment."""
        for word in value or ():
            if not _NUMBER.fullmatch(word):
                raise forms.ValidationError("each is the number of an experiment")
        return sorted({int(word) for word in value or ()})


class CompareForm(forms.Form):
    """`experiment`, two to five times: the numbers of the experiments that are compared."""

    experiment = NumbersField()

    def clean_experiment(self) -> list[int]:
        """As many as there is room for."""
        numbers: list[int] = self.cleaned_data["experiment"]
        if not 2 <= len(numbers) <= MOST_COMPARED:
            raise forms.ValidationError(f"choose two to {MOST_COMPARED} experiments")
        return numbers
