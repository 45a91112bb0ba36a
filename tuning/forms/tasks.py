"""The address of the list of tasks, and what is to be done with several of them."""

import re
from typing import Any

from django import forms

from tuning.forms.listing import ListForm, Sorts
from tuning.models import Task
from tuning.overview.actions import WORDS

MOST_AT_ONCE = 200
_ID = re.compile(r"[1-9][0-9]{0,8}")


class TaskListForm(ListForm):
    """`status` is one of a task's."""

    sorts: Sorts = {
        "name": "name",
        "status": "status",
        "created": "created_at",
        "duration": "took",
        "ratio": "best_ratio",
    }

    status = forms.ChoiceField(required=False, choices=[("", "All"), *Task.Status.choices])


class IdsField(forms.Field):
    """Ids of rows, each at most once."""

    widget = forms.SelectMultiple

    def clean(self, value: Any) -> list[int]:
        """ValidationError for none, too many, or what is no id."""
        words = list(dict.fromkeys(value or ()))
        if not words:
            raise forms.ValidationError("choose a task first")
        if len(words) > MOST_AT_ONCE:
            raise forms.ValidationError(f"choose at most {MOST_AT_ONCE}")
        if not all(_ID.fullmatch(word) for word in words):
            raise forms.ValidationError("each is the id of a task")
        return [int(word) for word in words]


class BatchForm(forms.Form):
    """`action` is to be done with each task whose id is in `task`; `sure` when that was asked already."""

    action = forms.ChoiceField(choices=[(word, word) for word in WORDS])
    task = IdsField()
    sure = forms.BooleanField(required=False)
