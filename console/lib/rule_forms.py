"""Forms of allow and block entries."""

from __future__ import annotations

from django import forms
from typing_extensions import override

from incidents.words import MatrixAction
from seg_bridge.models import GatewayRule
from tenants.groups import PREFIX, group_choices
from tenants.models import Person, Tenant

# What names one mail is made of it, and typed by nobody.
_TYPED = [each for each in GatewayRule.Match.choices if each[0] != GatewayRule.Match.MAIL]


class RuleForm(forms.Form):
    """A wish, as seg_bridge/changes.py takes it."""

    kind = forms.ChoiceField(label="What it does", choices=GatewayRule.Kind.choices)
    match = forms.ChoiceField(label="What it looks at", choices=_TYPED)
    value = forms.CharField(label="Value", max_length=320)
    recipient = forms.CharField(
        label="Only for this mailbox, domain or group",
        help_text="ceo@acme.example, @acme.example, or group:Finance for a group of the client's"
        " directory. Empty: for the whole client.",
        max_length=320,
        required=False,
    )
    days = forms.TypedChoiceField(
        label="For how long",
        choices=[
            *((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "A year")),
            (0, "No end"),
        ],
        coerce=int,
        initial=30,
    )
    action = forms.ChoiceField(
        label="What a block does",
        choices=[("", "Holds the mail"), (MatrixAction.REJECT, "Refuses it: the sender hears so")],
        required=False,
    )
    beats_threats = forms.BooleanField(
        label="Also where the mail is malware or phishing",
        help_text="Of an allow entry with an end. Without it no entry lets such mail pass.",
        required=False,
    )
    no_end_because = forms.CharField(
        label="Why it has no end", help_text="Only with “No end”.", max_length=500, required=False
    )
    everywhere = forms.BooleanField(label="For all clients, those of tomorrow too", required=False)
    group = forms.ChoiceField(
        label="For all clients of a group",
        help_text="One entry, for who joins the group later too. Choose no client then.",
        required=False,
    )
    clients: forms.ModelMultipleChoiceField[Tenant] = forms.ModelMultipleChoiceField(
        label="Clients",
        queryset=None,
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )

    def __init__(self, person: Person, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["clients"].queryset = Tenant.objects.all()  # type: ignore[attr-defined]
        if person.role != Person.Role.LEAD:
            del self.fields["everywhere"], self.fields["group"], self.fields["beats_threats"]
            return
        groups = [(address.removeprefix(PREFIX), name) for address, name in group_choices()]
        self.fields["group"].choices = [("", "None"), *groups]  # type: ignore[attr-defined]
        if not groups:
            del self.fields["group"]

    @override
    def clean(self) -> dict[str, object]:
        said = super().clean() or {}
        if said.get("days") == 0 and not said.get("no_end_because"):
            self.add_error("no_end_because", "Say why this entry has no end, or choose one.")
        if said.get("days"):
            said["no_end_because"] = ""
        if said.get("kind") == GatewayRule.Kind.ALLOW:
            said["action"] = ""  # which is about blocks
        elif said.get("beats_threats"):
            self.add_error("beats_threats", "Only an allow entry lets such mail pass.")
        if said.get("beats_threats") and said.get("days") == 0:
            self.add_error("beats_threats", "An entry that lets such mail pass needs an end.")
        named = [name for name in ("everywhere", "group") if said.get(name)]
        if len(named) == 2 or (said.get("group") and said.get("clients")):
            self.add_error("group", "Choose the group or clients, not both.")
        if not named and not said.get("clients"):
            self.add_error("clients", "Choose at least one client.")
        return said


class ImportForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        help_text="As the export writes it; its first line names the columns.",
    )


class SaveForm(forms.Form):
    reason = forms.CharField(
        label="Reason",
        help_text="Stands on the rule and in the log.",
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    pull_delivered = forms.BooleanField(
        label="Also pull the copies that it would have held", required=False
    )
    despite = forms.BooleanField(label="Do it although the rehearsal objects", required=False)
