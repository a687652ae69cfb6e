"""Forms of held mail."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.http import QueryDict

from incidents.held import SameRule


def _is_spam() -> forms.BooleanField:
    return forms.BooleanField(
        label="It is spam",
        help_text="The gateway's filter learns it, where the client's policy lets it learn.",
        required=False,
    )


class RefuseForm(forms.Form):
    reason = forms.CharField(
        label="Why does it stay held?",
        help_text="The client reads it.",
        max_length=250,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    is_spam = _is_spam()


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Why?",
        help_text="Stands in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class DeleteForm(ReasonForm):
    is_spam = _is_spam()


class DigestForm(forms.Form):
    address = forms.EmailField(
        label="Mailbox",
        help_text="Everything that is held back from it goes there in one mail.",
        max_length=320,
    )


class ReleaseForm(forms.Form):
    reason = forms.CharField(
        label="Why is it safe?",
        help_text="Stands in the log and in the report.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    is_false_alarm = forms.BooleanField(
        label="It was a false alarm",
        help_text="The gateway's filter learns it, where the client's policy lets it learn.",
        required=False,
    )
    also = forms.TypedMultipleChoiceField(label="Others", coerce=UUID, required=False)

    def __init__(self, data: QueryDict | None, same: SameRule) -> None:
        super().__init__(data)
        offered = [(str(copy.id), copy.recipient) for copy in same.others]
        self.fields["also"].choices = offered  # type: ignore[attr-defined]

    @property
    def also_chosen(self) -> list[str]:
        return self.data.getlist("also") if isinstance(self.data, QueryDict) else []
