"""Forms of the mailbox layer's access: app registrations, consent, links for a client's admin."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from django import forms

from api_bridge.access.clouds import clouds
from api_bridge.access.consent import Answer
from api_bridge.access.models import OF_CLIENTS, AppRegistration, Purpose
from api_bridge.access.registrations import NewRegistration

_PLAIN = {"autocomplete": "off", "spellcheck": "false"}
_PEM = {"rows": 4, **_PLAIN}


class RegistrationForm(forms.Form):
    """One app registration; ``row`` None: it is entered for the first time."""

    client_id = forms.CharField(
        label="Application (client) id",
        help_text="On the overview of the app registration.",
        max_length=64,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    home_tenant_id = forms.CharField(
        label="Directory (tenant) id of your own cloud tenant",
        max_length=64,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    cloud = forms.ChoiceField(label="Cloud")
    secret = forms.CharField(
        label="Client secret",
        help_text="Its value, not its id. Empty: what is kept stays.",
        max_length=500,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    expires_on = forms.DateField(
        label="The secret ends on",
        help_text="Microsoft shows it beside the secret. A certificate says it itself.",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    certificate_pem = forms.CharField(
        label="Or a certificate (PEM)",
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs=_PEM),
    )
    private_key_pem = forms.CharField(
        label="Key of the certificate (PEM, without a password)",
        max_length=20_000,
        required=False,
        widget=forms.Textarea(attrs=_PEM),
    )

    def __init__(
        self, *args: Any, purpose: str, row: AppRegistration | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.purpose = purpose
        self.fields["cloud"].choices = [  # type: ignore[attr-defined]
            (name, cloud.words) for name, cloud in clouds().items()
        ]
        if purpose != Purpose.PARTNER:
            del self.fields["home_tenant_id"]
        if row is not None:
            self.initial = {
                "client_id": row.client_id,
                "home_tenant_id": row.home_tenant_id,
                "cloud": row.cloud,
                "expires_on": row.expires_at.date(),
                **self.initial,
            }

    @property
    def wanted(self) -> NewRegistration:
        values = dict(self.cleaned_data)
        day = values.pop("expires_on")
        ends_at = datetime.combine(day, time(), UTC) if day else None
        return NewRegistration(purpose=self.purpose, expires_at=ends_at, **values)


class ServiceAccountForm(forms.Form):
    key_json = forms.CharField(
        label="Key of the service account (JSON)",
        help_text="The whole file, as Google's console gave it. What is kept of it is not shown.",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, **_PLAIN}),
    )


class ConsentForm(forms.Form):
    purpose = forms.ChoiceField(choices=[(each.value, each.label) for each in OF_CLIENTS])


class LinkForm(forms.Form):
    purposes = forms.MultipleChoiceField(
        label="What the client is asked for",
        help_text="Each is a question of its own: the client may say no to one.",
        choices=[(each.value, each.label) for each in OF_CLIENTS],
        widget=forms.CheckboxSelectMultiple,
    )


class AnswerForm(forms.Form):
    """What stands in the address with which Microsoft's page leads back."""

    state = forms.CharField(max_length=200)
    tenant = forms.CharField(max_length=64, required=False)
    admin_consent = forms.CharField(max_length=10, required=False)
    error = forms.CharField(max_length=200, required=False)
    error_description = forms.CharField(required=False)

    @property
    def answer(self) -> Answer:
        said = self.cleaned_data
        return Answer(
            state=said["state"],
            cloud_tenant_id=said["tenant"],
            is_consented=said["admin_consent"].lower() == "true",
            error=said["error"],
            description=said["error_description"][:1000],
        )
