"""Forms of one mail: opening it against a reason, saying what it is."""

from __future__ import annotations

from django import forms

from incidents.models import ContentAccess
from incidents.reported import SAYABLE

_OPENED = (
    ContentAccess.What.TEXT.value,
    ContentAccess.What.HTML.value,
    ContentAccess.What.ORIGINAL.value,
)


class OpenForm(forms.Form):
    what = forms.ChoiceField(
        choices=[(what, ContentAccess.What(what).label) for what in _OPENED],
        widget=forms.HiddenInput,
    )
    reason = forms.CharField(
        label="Why do you open this mail?",
        help_text="The client sees your name, this reason and the time.",
        max_length=500,
        widget=forms.TextInput(attrs={"autofocus": "", "autocomplete": "off"}),
    )


class ReportMailForm(forms.Form):
    verdict = forms.ChoiceField(label="What is it?", choices=list(SAYABLE.items()))
    reason = forms.CharField(
        label="Why? In a sentence",
        help_text="Stands in the history and in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
