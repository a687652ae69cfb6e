"""Forms of mail hosts other than Microsoft's: what a lead enters, as texts by name."""

from __future__ import annotations

import json
from typing import Any

from cryptography import x509
from django import forms
from typing_extensions import override

from api_bridge.access.clouds import google_clouds
from tenants.errors import WrongInput

_PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class HostForm(forms.Form):
    """``entered`` goes under seal and to the check of its kind (api_bridge/access/hosts.py)."""

    title = ""

    @property
    def entered(self) -> dict[str, str]:
        """Raises ``WrongInput``."""
        return {name: str(value or "") for name, value in self.cleaned_data.items()}


class GoogleForm(HostForm):
    """A service account with domain-wide delegation, acting as an admin of the client's."""

    title = "Google Workspace"

    cloud = forms.ChoiceField(label="Where it answers", required=False)
    customer_id = forms.CharField(
        label="Customer id",
        help_text="Admin console, Account, Account settings: like C01abcd23.",
        max_length=64,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    admin = forms.CharField(
        label="Admin to act as",
        help_text="Lists the mailboxes: an admin with the right to read users and groups.",
        max_length=320,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    service_account_key = forms.CharField(
        label="Key of the service account (JSON)",
        help_text="The whole file, as Google's console gave it.",
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, **_PLAIN}),
    )
    topic = forms.CharField(
        label="Pub/Sub topic",
        help_text="projects/…/topics/…: new mail is told at once. Empty: asked every half minute.",
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    subscription = forms.CharField(
        label="Its subscription",
        help_text="projects/…/subscriptions/…: the service account needs the role Subscriber.",
        max_length=300,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = list(google_clouds().items())
        cloud = self.fields["cloud"]
        assert isinstance(cloud, forms.ChoiceField)
        cloud.choices = choices
        cloud.initial = choices[0][0]
        if len(choices) == 1:
            del self.fields["cloud"]

    def clean_service_account_key(self) -> str:
        text = str(self.cleaned_data["service_account_key"])
        try:
            key = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError("This is no JSON. Paste the whole key file.") from error
        wanted = ("client_email", "private_key", "token_uri")
        if not isinstance(key, dict) or not all(isinstance(key.get(each), str) for each in wanted):
            raise forms.ValidationError(
                "This is no key of a service account: client_email, private_key or token_uri is"
                " missing."
            )
        return text

    @override
    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if bool(said.get("topic")) != bool(said.get("subscription")):
            self.add_error("subscription", "Topic and subscription need each other: both or none.")
        return said


class ImapForm(HostForm):
    """``passwords``: lines of ``address password``, for logins of their own."""

    title = "IMAP server"

    host = forms.CharField(label="Host", max_length=255, widget=forms.TextInput(attrs=_PLAIN))
    port = forms.IntegerField(label="Port", initial=993, min_value=1, max_value=65535)
    security = forms.ChoiceField(
        label="TLS", choices=[("tls", "From the first byte (993)"), ("starttls", "STARTTLS (143)")]
    )
    auth = forms.ChoiceField(
        label="How it logs in",
        choices=[
            ("master", "One master user for all mailboxes"),
            ("password", "A password for each mailbox"),
            ("oauth", "OAuth (client credentials)"),
        ],
    )
    login = forms.CharField(
        label="Master user, or OAuth client id",
        max_length=320,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    secret = forms.CharField(
        label="Its password or secret",
        max_length=500,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    token_url = forms.URLField(label="Token address (OAuth)", required=False, assume_scheme="https")
    mailboxes = forms.CharField(
        label="Its mailboxes, one address on each line",
        help_text="Empty: those of the client that none of its other mail hosts has.",
        max_length=200_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, **_PLAIN}),
    )
    passwords = forms.CharField(
        label="Address and password, one mailbox on each line",
        max_length=200_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, **_PLAIN}),
    )

    internal_hosts = forms.CharField(
        label="The server's name in its Received lines",
        help_text="As it writes itself behind “by”. Empty: no mail counts as internal.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    ca_pem = forms.CharField(
        label="Certificate of its authority (PEM)",
        help_text="Only where the server's certificate is of an authority of its own.",
        max_length=50_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, **_PLAIN}),
    )

    def clean_ca_pem(self) -> str:
        text = str(self.cleaned_data["ca_pem"]).strip()
        try:
            if text:
                x509.load_pem_x509_certificates(text.encode())
        except ValueError as error:
            raise forms.ValidationError(
                "This is no certificate. Paste it with its lines BEGIN and END CERTIFICATE."
            ) from error
        return text

    @override
    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if said.get("auth") == "password":
            if not said.get("passwords", "").strip():
                self.add_error("passwords", "Enter at least one mailbox with its password.")
        elif not said.get("login") or not said.get("secret"):
            self.add_error("login", "Enter the user and its password or secret.")
        if said.get("auth") == "oauth" and not said.get("token_url"):
            self.add_error("token_url", "OAuth needs the address that gives tokens.")
        return said

    @property
    @override
    def entered(self) -> dict[str, str]:
        found = super().entered
        found["passwords"] = json.dumps(_pairs(found["passwords"]))
        found["mailboxes"] = " ".join(_addresses(found["mailboxes"]))
        return found


def _addresses(text: str) -> list[str]:
    """Raises ``WrongInput``."""
    found = [each.strip(",;").lower() for each in text.split()]
    for each in found:
        if "@" not in each:
            raise WrongInput(f"This is no address: “{each[:80]}”.")
    return list(dict.fromkeys(found))


def _pairs(text: str) -> dict[str, str]:
    """Raises ``WrongInput``."""
    found = {}
    for line in filter(str.strip, text.splitlines()):
        address, _, password = line.strip().partition(" ")
        if "@" not in address or not password.strip():
            raise WrongInput(f"This line is no address with a password: “{address[:80]}”.")
        found[address.lower()] = password.strip()
    return found


FORMS: dict[str, type[HostForm]] = {"google": GoogleForm, "imap": ImapForm}
