"""Forms of how far Bailey goes by itself, as incidents/modes.py takes it."""

from __future__ import annotations

from typing import Any

from django import forms
from typing_extensions import override

from incidents.modes import Mode
from tenants.models import MailboxGroup

NONE = "none"


class ModeForm(forms.Form):
    """``seen``: the mode (``NONE`` for none) whose forecast was in sight; ``rehearsal``: its mark
    (incidents/mode_rehearsal.py).
    """

    mode = forms.ChoiceField(label="Mode", choices=Mode.choices, required=False)
    effective_from = forms.DateTimeField(
        label="In force from (UTC)",
        help_text="Empty: at once. Until then the mode of now holds.",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )
    reason = forms.CharField(
        label="Reason",
        help_text="Stands in the log.",
        max_length=500,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput())
    rehearsal = forms.CharField(required=False, max_length=1000, widget=forms.HiddenInput())

    def __init__(self, *args: Any, group: MailboxGroup | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if group is not None:
            choices = [("", "None of its own: as the client"), *Mode.choices]
            self.fields["mode"].choices = choices  # type: ignore[attr-defined]

    @override
    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        # Whoever chose another mode since sees its forecast first.
        self.is_rehearsed = said.pop("seen", "") == (said.get("mode") or NONE)
        self.is_rehearsed &= bool(said.get("rehearsal"))
        return said


class DeclineForm(forms.Form):
    reason = forms.CharField(
        label="Why they stay",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
