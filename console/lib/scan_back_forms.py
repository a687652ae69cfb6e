"""Forms of a look back over a client's older mail."""

from __future__ import annotations

from typing import Any

from django import forms

from api_bridge.scanback.services import (
    DAYS,
    LEAST_PER_HOUR,
    MOST_MAILS,
    MOST_PER_HOUR,
)


class ScanBackForm(forms.Form):
    """``mailboxes``: addresses, one a line; empty: all."""

    days = forms.TypedChoiceField(
        label="How far back",
        choices=[(each, f"{each} days") for each in DAYS],
        coerce=int,
        initial=30,
    )
    mailboxes = forms.CharField(
        label="Only these mailboxes",
        help_text="One address a line. Empty: all that are watched.",
        max_length=50_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )
    most_mails = forms.IntegerField(
        label="At most so many mails", min_value=1, max_value=MOST_MAILS, initial=50_000
    )
    mails_per_hour = forms.IntegerField(
        label="Mails in an hour",
        min_value=LEAST_PER_HOUR,
        max_value=MOST_PER_HOUR,
        initial=5_000,
    )
    requests_per_hour = forms.IntegerField(
        label="Requests to the mail host in an hour",
        help_text="New mail always comes first, whatever stands here.",
        min_value=LEAST_PER_HOUR,
        max_value=MOST_PER_HOUR,
        initial=10_000,
    )

    def wish(self) -> dict[str, Any]:
        """As ``start_scan_back`` takes it."""
        asked = dict(self.cleaned_data)
        addresses = asked.pop("mailboxes").split()
        return {**asked, "addresses": addresses}


class PullFoundForm(forms.Form):
    """``digest``: of the rehearsal that stands on the page."""

    digest = forms.CharField(max_length=64, widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason", help_text="Stands in every job.", max_length=500, required=False
    )


class FoundReportForm(forms.Form):
    audience = forms.ChoiceField(choices=[("client", "The client"), ("internal", "Internal")])
