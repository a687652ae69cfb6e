"""Form of a client's terms for reports, as incidents/userreports/terms.py takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from incidents.models import ReportTerms
from incidents.userreports.terms import FEWEST, MOST


class ReportTermsForm(forms.Form):
    mailbox = forms.ChoiceField(
        label="Report mailbox",
        help_text="What comes in here is read as a report. Set it as reporting mailbox of the mail "
        "host's own button, and tell people to forward to it. Only what comes from now on counts.",
        required=False,
    )
    answers = forms.BooleanField(
        label="Reporters get a receipt and are told the outcome", required=False
    )
    herd_reporters = forms.IntegerField(
        label="So many people report one incident within 24 hours",
        min_value=FEWEST,
        max_value=MOST,
    )
    herd_mode = forms.ChoiceField(
        label="… then",
        help_text="What it would have met in the last 30 days stands beside it. That it pulls is a "
        "lead's to say.",
        choices=ReportTerms.Herd.choices,
    )

    def __init__(self, *args: Any, watched: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "None: reports are not read"), *((each, each) for each in watched)]
        self.fields["mailbox"].choices = choices  # type: ignore[attr-defined]
