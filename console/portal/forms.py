"""Forms of the portal."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class DigestForm(forms.Form):
    address = forms.EmailField(
        label=_("Mailbox"),
        help_text=_("Everything that is held back from it goes there in one mail."),
        max_length=320,
    )


class LinkForm(forms.Form):
    text = forms.CharField(
        label=_("Why do you need this mail?"),
        help_text=_("May stay empty. Your provider reads it."),
        max_length=2000,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class WordForm(forms.Form):
    text = forms.CharField(
        label=_("Your answer"), max_length=2000, widget=forms.Textarea(attrs={"rows": 4})
    )


class RightForm(forms.Form):
    allowed = forms.BooleanField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"), max_length=500, required=False, help_text=_("Your provider reads it.")
    )
