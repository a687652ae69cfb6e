"""Forms of incidents: actions, their boundary, contradictions, standing orders."""

from __future__ import annotations

from typing import Any

from django import forms

from incidents.models import LateVerdicts


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        help_text="Stands in the log and in our own report.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class PullForm(ReasonForm):
    late_days = forms.TypedChoiceField(
        label="Copies that arrive later",
        help_text="By your standing order, which you can withdraw.",
        choices=[(7, "Pull them too, for 7 days"), (30, "For 30 days"), (0, "Leave them")],
        coerce=int,
        initial=7,
        required=False,
    )


class BlockForm(ReasonForm):
    USUAL_DAYS = 30

    days = forms.TypedChoiceField(
        label="For how long",
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days")],
        coerce=int,
        initial=USUAL_DAYS,
    )
    despite = forms.BooleanField(
        label="Block although the rehearsal objects",
        help_text="Give the reason below.",
        required=False,
    )


class ReportForm(forms.Form):
    audience = forms.ChoiceField(
        label="For whom",
        choices=[("internal", "Ourselves"), ("client", "The client")],
        help_text="The client finds hers in the portal once the incident is shared.",
    )


class WhereForm(forms.Form):
    """At which clients: everything in sight unless somebody takes one away."""

    def __init__(self, data: Any, *, choices: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["where"] = forms.MultipleChoiceField(
            choices=choices,
            initial=[value for value, _ in choices],
            widget=forms.CheckboxSelectMultiple,
            error_messages={"required": "Choose at least one client."},
        )


class WhyForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        help_text="A few words; they stand beside the mail from now on.",
        min_length=5,
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class OtherForm(WhyForm):
    number = forms.IntegerField(label="Number of the other incident", min_value=1)


class DecisionForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        help_text="A few words; they stand in the audit log.",
        min_length=5,
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class DismissForm(forms.Form):
    reason = forms.CharField(
        label="Why does it need no repair?",
        help_text="Stands in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class AcceptForm(forms.Form):
    seen = forms.CharField(max_length=16, required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Reason",
        help_text="Stands on the rule and in the log. Needed where the rehearsal objects.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    despite = forms.BooleanField(label="Do it although the rehearsal objects", required=False)


class WithdrawForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        help_text="Stands in the log.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class LateVerdictsForm(forms.Form):
    rule_mode = forms.ChoiceField(
        label="The mailbox layer condemns what the gateway passed: block it there",
        help_text="A lead lets Bailey go further by itself; anybody may hold it back.",
        choices=LateVerdicts.Mode.choices,
    )
    most_copies = forms.IntegerField(
        label="At most so many copies without a person", min_value=1, max_value=10_000
    )
    rule_days = forms.IntegerField(label="Days that a rule holds", min_value=1, max_value=365)
    stop = forms.BooleanField(
        label="Stop: nothing is done by itself, standing orders included", required=False
    )
