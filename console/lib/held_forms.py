"""Forms of held mail."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django import forms
from django.http import QueryDict
from typing_extensions import override

from incidents.gateway_asked import ExceptionWish
from incidents.held import SameRule
from seg_bridge.both_layers import DAYS, ExceptionWay

USUAL_DAYS = 7


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


class _LetGoForm(forms.Form):
    reason = forms.CharField(
        label="Why is it safe?",
        help_text="Stands in the log and in our own report.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    is_false_alarm = forms.BooleanField(
        label="It was a false alarm",
        help_text="The gateway's filter learns it, where the client's policy lets it learn.",
        required=False,
    )
    match = forms.ChoiceField(
        label="Make an exception for both layers?", widget=forms.RadioSelect, required=False
    )
    days = forms.TypedChoiceField(
        label="Until",
        choices=[(n, f"{n} day{'s' if n > 1 else ''} from now") for n in DAYS],
        coerce=int,
        initial=USUAL_DAYS,
        required=False,
    )
    beats_threats = forms.BooleanField(
        label="Also where a layer holds it to be malware or phishing",
        help_text="For this one mail only. Without it such a mail is stopped whatever the exception"
        " says.",
        required=False,
    )
    despite = forms.BooleanField(
        label="Also where its rehearsal objects",
        help_text="The exception is rehearsed over the mail of the last 30 days before it is made.",
        required=False,
    )

    @override
    def clean(self) -> dict[str, object]:
        """As the services take it: ``incidents.held``, ``incidents.letting_go``."""
        said = super().clean() or {}
        match, days = said.pop("match", ""), said.pop("days", "") or USUAL_DAYS
        beats, despite = said.pop("beats_threats", False), said.pop("despite", False)
        said["exception"] = None
        if match:
            said["exception"] = ExceptionWish(
                match=match, days=int(days), beats_threats=beats, despite=despite
            )
        return said

    @property
    def chosen(self) -> str:
        return str(self["match"].value() or "")


class ReleaseForm(_LetGoForm):
    also = forms.TypedMultipleChoiceField(label="Others", coerce=UUID, required=False)

    def __init__(
        self, data: QueryDict | None, same: SameRule, ways: Sequence[ExceptionWay] = ()
    ) -> None:
        super().__init__(data)
        offered = [(str(copy.id), copy.recipient) for copy in same.others]
        self.fields["also"].choices = offered  # type: ignore[attr-defined]
        choices = [("", "No exception"), *((way.match, way.label) for way in ways)]
        self.fields["match"].choices = choices  # type: ignore[attr-defined]

    @property
    def also_chosen(self) -> list[str]:
        return self.data.getlist("also") if isinstance(self.data, QueryDict) else []


class ReleaseAllForm(_LetGoForm):
    """``kinds``: which exceptions fit the copies of some client, as pairs of code and words."""

    def __init__(self, data: QueryDict | None, kinds: Sequence[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["match"].choices = [("", "No exception"), *kinds]  # type: ignore[attr-defined]
