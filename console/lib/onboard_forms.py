"""Forms that put a client behind the gateway, and how pasted recipients are read."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from email.utils import parseaddr
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.core.files.uploadedfile import UploadedFile

from seg_bridge.models import Gate
from seg_bridge.policies.templates import Template
from tenants.domains import NewMailbox, NextHop
from tenants.errors import WrongInput
from tenants.models import Domain

MOST_FILE_BYTES = 5 * 2**20
COLUMNS = ("address", "display_name", "job_title", "vip")
_YES = frozenset({"1", "yes", "true", "x"})
_PLAIN = {"autocomplete": "off", "spellcheck": "false"}


class ClientForm(forms.Form):
    name = forms.CharField(label="Name of the client", max_length=200)
    slug = forms.CharField(
        label="Short name",
        help_text="Stands in addresses and never changes: letters, digits, hyphens.",
        max_length=50,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    time_zone = forms.CharField(
        label="Time zone",
        help_text="Like Europe/Vienna.",
        initial="UTC",
        max_length=64,
        widget=forms.TextInput(attrs={"list": "zones", **_PLAIN}),
    )

    @property
    def zones(self) -> list[str]:
        return sorted(available_timezones())


class WayForm(forms.Form):
    """Where a domain's mail goes on, and who knows its recipients."""

    host = forms.CharField(
        label="Mail host",
        help_text="It keeps the mailboxes, like acme-example.mail.protection.outlook.com.",
        max_length=255,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    port = forms.IntegerField(label="Port", initial=25, min_value=1, max_value=65535)
    backup_host = forms.CharField(
        label="Backup host",
        help_text="Gets the mail while the first one takes no connection. May stay empty.",
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    backup_port = forms.IntegerField(
        label="Port of the backup", initial=25, min_value=1, max_value=65535
    )
    tls = forms.ChoiceField(label="TLS on the way there", choices=Domain.Tls.choices)
    recipients_by = forms.ChoiceField(
        label="Who exists there",
        choices=[
            ("list", "The addresses listed here, and nobody else"),
            ("next_hop", "The mail host is asked for each address that is not listed"),
        ],
        help_text="A mail host that takes every address is no good for the second: keep a list.",
    )

    @property
    def way(self) -> NextHop:
        names = ("host", "port", "backup_host", "backup_port", "tls")
        return NextHop(**{name: self.cleaned_data[name] for name in names})

    @property
    def asks_hop(self) -> bool:
        return bool(self.cleaned_data["recipients_by"] == "next_hop")


class DomainForm(WayForm):
    name = forms.CharField(
        label="Domain",
        help_text="What stands behind the @, like acme.example.",
        max_length=255,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    field_order = ("name",)


class DomainWayForm(WayForm):
    is_active = forms.BooleanField(
        label="The gates take mail for this domain", required=False, initial=True
    )


def way_of(domain: Domain) -> dict[str, Any]:
    """What ``DomainWayForm`` begins with."""
    return {
        "host": domain.next_hop_host,
        "port": domain.next_hop_port,
        "backup_host": domain.backup_hop_host,
        "backup_port": domain.backup_hop_port,
        "tls": domain.hop_tls,
        "recipients_by": "next_hop" if domain.asks_hop else "list",
        "is_active": domain.is_active,
    }


class RecipientsForm(forms.Form):
    pasted = forms.CharField(
        label="Addresses, one on each line",
        help_text="“Name <address>” and lines of a CSV (address, name, title, vip) are read, too.",
        max_length=MOST_FILE_BYTES,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, **_PLAIN}),
    )
    file = forms.FileField(
        label="Or a CSV file", help_text="Its first line is address,display_name,…", required=False
    )

    def boxes(self) -> list[NewMailbox]:
        """Raises ``WrongInput``."""
        text = self.cleaned_data["pasted"]
        file = self.cleaned_data["file"]
        return read_boxes(text) + (read_boxes(_text_of(file)) if file else [])


def _text_of(file: UploadedFile[Any]) -> str:
    if (file.size or 0) > MOST_FILE_BYTES:
        raise WrongInput("The file is larger than 5 MB. Send it in parts.")
    try:
        return str(file.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise WrongInput("The file is not text in UTF-8. Save it as CSV (UTF-8).") from error


def read_boxes(text: str) -> list[NewMailbox]:
    """One address a line: alone, as ``Name <address>``, or as a CSV row with or without header.

    What is no address is left to ``add_mailboxes`` to refuse by name.  Raises ``WrongInput``.
    """
    lines = [line.strip() for line in text.replace("\x00", "").splitlines() if line.strip()]
    columns: tuple[str, ...] = COLUMNS
    if lines and lines[0].lower().startswith("address"):
        columns = tuple(cell.lower() for cell in _cells(lines[0]))
        if not set(columns) <= set(COLUMNS):
            raise WrongInput(f"The first line should be {','.join(COLUMNS)}, or a part of it.")
        lines = lines[1:]
    return [_box(line, columns) for line in lines]


def _cells(line: str) -> list[str]:
    """Raises ``WrongInput``."""
    try:
        (row,) = csv.reader([line.replace(";", ",")])
    except (csv.Error, ValueError) as error:
        raise WrongInput(f"This line cannot be read: “{line[:80]}”.") from error
    return [cell.strip() for cell in row]


def _box(line: str, columns: Sequence[str]) -> NewMailbox:
    if line.endswith(">") and "<" in line:
        name, address = parseaddr(line)
        return NewMailbox(address or line, name)
    row = dict(zip(columns, _cells(line), strict=False))
    return NewMailbox(
        address=row.get("address", ""),
        display_name=row.get("display_name", ""),
        job_title=row.get("job_title", ""),
        is_vip=row.get("vip", "").lower() in _YES,
    )


class TemplateChoiceForm(forms.Form):
    template = forms.ChoiceField(
        label="What mail is treated by", required=False, widget=forms.RadioSelect
    )

    def __init__(self, *args: Any, templates: list[Template], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["template"].choices = [  # type: ignore[attr-defined]
            ("", "Inherit everything from what holds for all clients"),
            *((one.name, f"{one.name}: {one.words}") for one in templates),
        ]


class GatesForm(forms.Form):
    gates: forms.ModelMultipleChoiceField[Gate] = forms.ModelMultipleChoiceField(
        label="Gates that take this client's mail",
        queryset=None,
        to_field_name="name",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["gates"].queryset = Gate.objects.order_by("name")  # type: ignore[attr-defined]


class TrialForm(forms.Form):
    recipient = forms.CharField(
        label="To whom",
        help_text="An address of this client. The person gets a short mail that explains itself.",
        max_length=320,
        widget=forms.TextInput(attrs=_PLAIN),
    )
    gate: forms.ModelChoiceField[Gate] = forms.ModelChoiceField(
        label="Through", queryset=None, to_field_name="name", empty_label=None
    )

    def __init__(self, *args: Any, gates: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["gate"].queryset = gates  # type: ignore[attr-defined]


class BehindForm(forms.Form):
    despite = forms.BooleanField(
        label="Do it although not every MX record was seen to name our gates alone",
        required=False,
    )
