"""The address of the list of all experiments."""

from django import forms

from tuning.errors import Reason
from tuning.forms.listing import ListForm, Sorts
from tuning.models import Experiment

MOST = 10**9 - 1
"""The largest id of a task in an address."""


class ExperimentListForm(ListForm):
    """`q` is looked for in the names of tasks; `outcome` is feasible or infeasible, which only successes are."""

    sorts: Sorts = {"created": "pk", "finished": "finished_at", "duration": "total_s"}
    default_sort = "-created"

    status = forms.ChoiceField(required=False, choices=[("", "Any status"), *Experiment.Status.choices])
    reason = forms.ChoiceField(
        required=False, choices=[("", "Any reason"), *((reason.value, reason.value) for reason in Reason)]
    )
    outcome = forms.ChoiceField(
        required=False,
        label="SLO",
        choices=[("", "Met or not"), ("feasible", "feasible"), ("infeasible", "infeasible")],
    )
    task = forms.IntegerField(required=False, min_value=1, max_value=MOST, widget=forms.HiddenInput)
