"""Forms about accounts in other hands, as api_bridge/accounts takes them."""

from __future__ import annotations

from django import forms

from api_bridge.accounts.models import AccountStep, AccountTerms
from api_bridge.accounts.terms import EFFECT

_PLAIN = forms.TextInput(attrs={"autocomplete": "off"})


class WhichStepForm(forms.Form):
    """Which step is asked about; stands in the address, and hidden in the form."""

    kind = forms.ChoiceField(choices=AccountStep.Kind.choices, widget=forms.HiddenInput)
    target = forms.CharField(max_length=300, required=False, widget=forms.HiddenInput)


class WhyForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        help_text="Stands in the log. May be left out.",
        max_length=500,
        required=False,
        widget=_PLAIN,
    )


class SensitivityForm(forms.Form):
    sensitivity = forms.ChoiceField(
        label="When an incident opens",
        choices=[
            (value, f"{label}: {EFFECT[value]}")
            for value, label in AccountTerms.Sensitivity.choices
        ],
        widget=forms.RadioSelect,
    )
