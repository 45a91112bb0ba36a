"""The address of a task's table of experiments: filter, order, columns, load point and page."""

from typing import Any

from django import forms

from tuning.document.task import TaskDocument
from tuning.forms.listing import LAST_PAGE, MAX_QUERY
from tuning.overview.experiments_table import (
    STATES,
    USUAL,
    Choice,
    known_metrics,
    parameter_names,
    sort_keys,
    usual_parameters,
)

DEFAULT_SORT = "-number"


class ExperimentsTableForm(forms.Form):
    """Every field is optional; a value that means nothing for this document is an error of its field."""

    state = forms.ChoiceField(required=False, choices=[("", "All"), *((state, state) for state in STATES)])
    sort = forms.CharField(required=False, max_length=MAX_QUERY)
    page = forms.IntegerField(required=False, min_value=1, max_value=LAST_PAGE)
    point = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, label="Load point")
    columns = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Parameters")
    metrics = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple, label="Metrics")

    def __init__(self, data: Any, document: TaskDocument) -> None:
        self._document = document
        self._known = known_metrics(document)
        super().__init__(data)
        points = document.workload.load_points
        self._field("point").choices = [
            ("", "the one that decided"),
            *((index, str(point)) for index, point in enumerate(points)),
        ]
        self._field("columns").choices = [(name, name) for name in parameter_names(document)]
        self._field("metrics").choices = [(key, metric.title) for key, metric in self._known.items()]

    def _field(self, name: str) -> Any:
        return self.fields[name]

    def clean_sort(self) -> str:
        """A column of this document's table."""
        sort = str(self.cleaned_data["sort"] or DEFAULT_SORT)
        if sort.removeprefix("-") not in sort_keys(self._document):
            raise forms.ValidationError("there is no such column")
        return sort

    @property
    def choice(self) -> Choice:
        """What was chosen; the form is valid."""
        given = self.cleaned_data
        return Choice(
            parameters=tuple(given["columns"]) or usual_parameters(self._document),
            metrics=tuple(self._known[key] for key in given["metrics"] or USUAL),
            state=given["state"],
            sort=given["sort"],
            point=given["point"],
            page=given["page"] or 1,
        )
