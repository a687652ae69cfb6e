"""The one answer to a renewed rehearsal, as incidents/renewal_answers.py takes it."""

from __future__ import annotations

from typing import Any

from django import forms
from typing_extensions import override

from incidents.models import Renewal


class AnswerForm(forms.Form):
    answer = forms.ChoiceField(
        label="What goes on", choices=Renewal.Answer.choices, widget=forms.RadioSelect
    )
    reason = forms.CharField(
        label="Reason",
        help_text="Stands in the log. Needed where nothing is done.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    @override
    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if said.get("answer") == Renewal.Answer.NONE and not said.get("reason", "").strip():
            self.add_error("reason", "Say why nothing of it is done.")
        return said
