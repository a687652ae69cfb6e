"""Forms of the portal."""

from __future__ import annotations

from django import forms


class LinkForm(forms.Form):
    text = forms.CharField(
        label="Why do you need this mail?",
        help_text="May stay empty. Your provider reads it.",
        max_length=2000,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
