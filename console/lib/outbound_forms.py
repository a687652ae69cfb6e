"""Forms of a client's outbound mail, as seg_bridge/outbound/services.py takes them."""

from __future__ import annotations

from typing import Any

from django import forms

from tenants.errors import WrongInput
from tenants.models import Domain, Tenant

_PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class TermsForm(forms.Form):
    is_on = forms.BooleanField(
        label="Outbound mail goes through the gateway",
        help_text="Off: the gate takes nothing from this client's hosts and logins.",
        required=False,
    )
    next_hop_host = forms.CharField(
        label="Next mail server",
        help_text="Where the gate hands mail on. Empty: mail is put off and stays with its sender.",
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    next_hop_port = forms.IntegerField(label="Its port", min_value=1, max_value=65535)
    messages_per_hour = forms.IntegerField(
        label="Mails an hour from one mailbox", min_value=1, max_value=100_000
    )
    recipients_per_hour = forms.IntegerField(
        label="Recipients an hour of one mailbox", min_value=1, max_value=1_000_000
    )
    stop_threats = forms.IntegerField(
        label="Stop a mailbox at so many threats", min_value=1, max_value=1_000
    )
    stop_minutes = forms.IntegerField(
        label="… within so many minutes", min_value=1, max_value=1_440
    )
    stop_refusals = forms.IntegerField(
        label="Stop it at so many mails beyond its limits within an hour",
        help_text="0: never for that.",
        min_value=0,
        max_value=30_000,
    )


class HostForm(forms.Form):
    network = forms.CharField(
        label="Address or network",
        help_text="Like 203.0.113.5 or 203.0.113.0/28.",
        max_length=64,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    note = forms.CharField(label="What it is", max_length=200, required=False)


class LoginForm(forms.Form):
    purpose = forms.CharField(
        label="What will use it", help_text="Like “scanners of the Berlin office”.", max_length=200
    )


class KeyForm(forms.Form):
    """Nothing said: the first of the client's domains."""

    domain: forms.ModelChoiceField[Domain] = forms.ModelChoiceField(
        label="Domain", queryset=None, to_field_name="name", empty_label=None, required=False
    )

    def __init__(self, *args: Any, client: Tenant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = Domain.objects.filter(tenant=client).order_by("name")
        self.fields["domain"].queryset = self._own  # type: ignore[attr-defined]

    @property
    def chosen(self) -> Domain:
        found: Domain | None = self.cleaned_data["domain"] or self._own.first()
        if found is None:
            raise WrongInput("This client has no domain yet.")
        return found


class LiftForm(forms.Form):
    reason = forms.CharField(
        label="Why it may send again",
        help_text="Like “password and sessions renewed”. Stands in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
