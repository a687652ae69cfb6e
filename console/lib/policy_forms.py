"""Forms of policies: making a change, and pushing one to many clients."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from typing_extensions import override

from tenants.groups import group_choices, of_clients
from tenants.models import Tenant


class MakeForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        help_text="Stands at every value that changes, and in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    despite = forms.BooleanField(label="Do it although the rehearsal objects", required=False)


class PushForm(forms.Form):
    """``what``: ``template:Strict``, or ``change:<id>`` of a change that was made at a client."""

    what = forms.ChoiceField(label="What every client shall state", widget=forms.RadioSelect)
    groups = forms.MultipleChoiceField(
        label="Groups", required=False, widget=forms.CheckboxSelectMultiple
    )
    clients: forms.ModelMultipleChoiceField[Tenant] = forms.ModelMultipleChoiceField(
        label="Clients",
        queryset=None,
        to_field_name="slug",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, data: QueryDict | None, wishes: dict[str, dict[str, Any]]) -> None:
        super().__init__(data)
        choices = [(what, wish["words"]) for what, wish in wishes.items()]
        self.fields["what"].choices = choices  # type: ignore[attr-defined]
        self.fields["groups"].choices = group_choices()  # type: ignore[attr-defined]
        self.fields["clients"].queryset = Tenant.objects.all()  # type: ignore[attr-defined]

    @override
    def clean(self) -> dict[str, Any]:
        """``chosen``: the clients that are named, and those of the groups, each once."""
        said = super().clean() or {}
        chosen = {client.id: client for client in said.get("clients") or ()}
        for group in said.get("groups") or ():
            found = of_clients(Tenant.objects.all(), group, path="")
            chosen |= {client.id: client for client in found}
        if not chosen:
            self.add_error("clients", "Choose at least one client or group.")
        return {**said, "chosen": list(chosen.values())}
