"""The address of a part of the dashboard."""

from django import forms


class PartForm(forms.Form):
    """`part` is the one that asks; what runs, unless it says otherwise."""

    NOW, SLOTS, LATELY = "now", "slots", "lately"

    part = forms.ChoiceField(required=False, choices=[(NOW, NOW), (SLOTS, SLOTS), (LATELY, LATELY)])

    def clean_part(self) -> str:
        """One of the parts."""
        return str(self.cleaned_data["part"] or self.NOW)
