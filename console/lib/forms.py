"""Forms of the daily work.  Each carries the revision that its page has shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from typing_extensions import override

from console.lib.period import read_period
from incidents.codes import CAUSES
from incidents.models import Incident, Pause, Suppression
from incidents.models.incident import LONGEST_TICKET, LONGEST_TICKET_LINK
from incidents.services.attachments import MOST_BYTES, MOST_FILES, NewFile
from incidents.services.many import ACTIONS, Order
from incidents.services.skills import Ranked
from tenants.models import Person, Tenant

_LONG = forms.Textarea(attrs={"rows": 3})
SPANS = [
    (4, "4 hours"),
    (24, "1 day"),
    (72, "3 days"),
    (7 * 24, "7 days"),
    (30 * 24, "30 days"),
    (90 * 24, "90 days"),
]


class RevisionForm(forms.Form):
    """``revision`` empty: a page that knew none."""

    revision = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)

    def __init__(self, *args: Any, incident: Incident | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if incident is not None:
            self.fields["revision"].initial = incident.revision


def _span() -> forms.TypedChoiceField:
    return forms.TypedChoiceField(label="For how long", choices=SPANS, coerce=int, initial=24)


def until(hours: int) -> datetime:
    return timezone.now() + timedelta(hours=hours)


class TicketForm(RevisionForm):
    ticket = forms.CharField(
        label="Number", help_text="Empty: it has none.", max_length=LONGEST_TICKET, required=False
    )
    link = forms.CharField(
        label="Link",
        help_text="Where the ticket is read. The client sees neither.",
        max_length=LONGEST_TICKET_LINK,
        required=False,
        widget=forms.URLInput(attrs={"placeholder": "https://"}),
    )

    def __init__(self, *args: Any, incident: Incident, **kwargs: Any) -> None:
        known = {"ticket": incident.ticket, "link": incident.ticket_link}
        super().__init__(*args, incident=incident, initial=known, **kwargs)


class TaskForm(forms.Form):
    title = forms.CharField(label="Task", max_length=300)


class FilesInput(forms.FileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Any number of files, as ``NewFile``; the service says how many and how large."""

    widget = FilesInput

    @override
    def clean(self, data: Any, initial: Any = None) -> list[NewFile]:
        sent = data if isinstance(data, list) else [data] if data else []
        return [NewFile(file.name, file.read()) for file in sent]


class CommentForm(forms.Form):
    text = forms.CharField(label="Comment", max_length=10_000, widget=_LONG)
    audience = forms.ChoiceField(
        label="Who may read it",
        choices=[
            ("internal", "Internal: the client never sees it"),
            ("client", "The client: shown before it is sent"),
        ],
    )
    attachments = FilesField(
        label="Files",
        help_text=f"At most {MOST_FILES}, of {MOST_BYTES // 1024**2} MB each. "
        "Who may read the comment may download them.",
        required=False,
    )
    mentions = forms.TypedMultipleChoiceField(
        label="Call a colleague",
        help_text="@ and a first name in the text do the same.",
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "checks"}),
    )

    def __init__(self, *args: Any, people: Iterable[Person], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(str(person.id), person.name) for person in people]
        self.fields["mentions"].choices = choices  # type: ignore[attr-defined]


class CallForm(forms.Form):
    whom = forms.CharField(label="Who was called", max_length=200)
    phone = forms.CharField(label="Number", max_length=64, required=False)
    said = forms.CharField(
        label="What they said",
        help_text="Stands in the story as stated by phone, not verified.",
        max_length=10_000,
        widget=_LONG,
    )


class WaitForm(RevisionForm):
    cause = forms.ChoiceField(label="Whom it waits for", choices=Pause.ASKED)
    asked = forms.CharField(
        label="What is needed",
        help_text="The client reads these words in the portal once the incident is shared.",
        max_length=2000,
        widget=_LONG,
    )


class AnswerForm(RevisionForm):
    answer = forms.CharField(label="The answer", max_length=2000, required=False, widget=_LONG)


class QuietForm(RevisionForm):
    kind = forms.ChoiceField(
        label="How quiet",
        choices=[
            ("snoozed", "Snoozed: any further mail of it brings it back"),
            ("muted", "Muted: only more within somebody's reach brings it back"),
        ],
    )
    hours = _span()
    reason = forms.CharField(label="Why", max_length=2000)


class OwnerForm(RevisionForm):
    """Offers who has the skills first.  ``names``: of all who are offered, by id."""

    owner = forms.ChoiceField(label="Owner")

    def __init__(self, *args: Any, people: Iterable[Ranked], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        skilled: list[tuple[str, str]] = []
        others: list[tuple[str, str]] = []
        self.names: dict[str, str] = {}
        for each in people:
            self.names[str(each.person.id)] = each.person.name
            (skilled if each.fits else others).append((str(each.person.id), each.person.name))
        choices: list[Any] = [("", "Nobody"), *others]
        if skilled:
            choices = [("", "Nobody"), ("Have the skills", skilled), ("Others", others)]
        self.fields["owner"] = forms.ChoiceField(label="Owner", choices=choices, required=False)


class ResolveForm(RevisionForm):
    classification = forms.ChoiceField(
        label="What was it?", choices=Incident.Classification.choices
    )
    cause_code = forms.ChoiceField(label="What caused it?", choices=list(CAUSES.items()))
    cause = forms.CharField(label="In a sentence", max_length=2000, widget=_LONG)


class BulkForm(OwnerForm):
    """Fields that the chosen action does not need stay empty."""

    action = forms.ChoiceField(label="What to do", choices=list(ACTIONS.items()))
    hours = _span()
    reason = forms.CharField(label="Reason", max_length=2000, required=False)
    classification = forms.ChoiceField(
        label="What was it?",
        choices=[("", "–"), *Incident.Classification.choices],
        required=False,
    )
    cause_code = forms.ChoiceField(
        label="What caused it?", choices=list(CAUSES.items()), initial="other", required=False
    )
    cause = forms.CharField(label="In a sentence", max_length=2000, required=False)

    @property
    def action_words(self) -> str:
        """What is asked for, and for whom, how long or as what: ``Assign to Ana``."""
        action = str(self["action"].value())
        words = ACTIONS.get(action, "")
        if action == "assign":
            return f"{words} to {self.names.get(str(self['owner'].value() or ''), 'nobody')}"
        if action in ("snooze", "mute"):
            return f"{words} for {dict(SPANS)[int(self['hours'].value())]}"
        if action == "resolve":
            kind = dict(Incident.Classification.choices).get(str(self["classification"].value()))
            return f"{words} as {str(kind).lower()}" if kind else words
        return words

    def order(self, people: Iterable[Person]) -> Order:
        """What was asked for; ``people`` are those from whom the owner is chosen."""
        said = self.cleaned_data
        return Order(
            action=said["action"],
            owner=next((one for one in people if str(one.id) == said["owner"]), None),
            until=until(said["hours"]),
            reason=said["reason"],
            classification=said["classification"],
            cause=said["cause"],
            cause_code=said["cause_code"] or "other",
        )


class SuppressionForm(forms.Form):
    client = forms.ChoiceField(label="Client")
    match = forms.ChoiceField(label="What is alike", choices=Suppression.Match.choices)
    value = forms.CharField(
        label="Address, domain or kind",
        help_text="A rule by sender or domain never silences malware, fraud or an account.",
        max_length=320,
    )
    hours = _span()
    reason = forms.CharField(label="Why", max_length=2000)

    def __init__(self, *args: Any, clients: Iterable[Tenant], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(client.slug, client.name) for client in clients]
        self.fields["client"] = forms.ChoiceField(label="Client", choices=choices)


class GroupForm(forms.Form):
    name = forms.CharField(label="Name", help_text="Clients never see it.", max_length=80)
    clients: forms.ModelMultipleChoiceField[Tenant] = forms.ModelMultipleChoiceField(
        label="Clients",
        queryset=None,
        to_field_name="slug",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["clients"].queryset = Tenant.objects.all()  # type: ignore[attr-defined]


class SkillsForm(forms.Form):
    skills = forms.CharField(
        label="Skills",
        help_text="With commas between: fraud, malware, german.",
        max_length=1000,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    @property
    def chosen(self) -> list[str]:
        skills: str = self.cleaned_data["skills"]
        return skills.split(",")


class TemplateForm(forms.Form):
    kind = forms.ChoiceField(
        label="Kind of incident",
        choices=[("", "Every other kind"), *Incident.Kind.choices],
        required=False,
    )
    steps = forms.CharField(
        label="Tasks, one on each line",
        help_text="Saving makes a new version. Incidents that have their tasks keep them.",
        max_length=10_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
    )

    def seen(self, sent: Sequence[str]) -> int | None:
        """The version of this kind that the page had shown, 0: none; None: it carried nothing.

        ``sent``: all that the page showed, each ``phish.3``, and ``.0`` for itself.
        """
        shown = [text.rpartition(".") for text in sent]
        versions = {kind: int(n) for kind, _, n in shown if n.isdecimal() and len(n) < 10}
        return versions.get(self.cleaned_data["kind"], 0) if shown else None


class ViewForm(forms.Form):
    name = forms.CharField(label="Name of this view", max_length=80)
    is_shared = forms.BooleanField(label="Colleagues of its client see it too", required=False)


class StatementForm(forms.Form):
    first_day = forms.DateField(
        label="From", widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
    )
    last_day = forms.DateField(
        label="To",
        help_text="This day belongs to it. Days are those of UTC.",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    audience = forms.ChoiceField(
        label="For whom",
        choices=[("internal", "Ourselves"), ("client", "The client")],
        help_text="The client finds hers in the portal as soon as it is made.",
    )

    def wish(self) -> dict[str, Any]:
        """What ``incidents.reports.ask_statement`` takes.  Raises ``WrongInput``."""
        said = self.cleaned_data
        period = read_period(said["first_day"].isoformat(), said["last_day"].isoformat())
        return {"since": period.since, "until": period.until, "audience": said["audience"]}


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class SlaForm(forms.Form):
    """Minutes for each severity; hours as ``09:00-12:00 13:00-17:00`` for each day.

    ``seen``: the last agreement when the form was shown, "": there was none.
    """

    seen = forms.CharField(required=False, max_length=36, widget=forms.HiddenInput)
    name = forms.CharField(label="Name of the agreement", max_length=200)
    time_zone = forms.CharField(label="Time zone of the hours", max_length=64)
    holidays = forms.CharField(
        label="Days off, one on each line",
        help_text="Like 2026-12-25.",
        max_length=8000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, day in enumerate(_WEEKDAYS):
            self.fields[f"day_{number}"] = forms.CharField(label=day, max_length=60, required=False)
        for severity, label in Incident.Severity.choices:
            for target in ("triage", "contain", "resolve"):
                self.fields[f"{severity}_{target}"] = forms.IntegerField(
                    label=f"{label}: minutes to {target}", required=False, min_value=1
                )
            self.fields[f"{severity}_hours"] = forms.ChoiceField(
                label=f"{label}: the clock runs",
                choices=[("always", "always"), ("business", "in business hours")],
            )

    def agreement(self) -> dict[str, Any]:
        """What ``incidents.sla.plan.agree`` takes; text that is no time is left to it to refuse."""
        said = self.cleaned_data
        return {
            "seen": said["seen"] if "seen" in self.data else None,
            "name": said["name"],
            "time_zone": said["time_zone"],
            "holidays": said["holidays"].split(),
            "weekly": [
                [span.split("-", 1) for span in said[f"day_{number}"].split()]
                for number in range(7)
            ],
            "targets": {
                severity: {
                    target: said[f"{severity}_{target}"]
                    for target in ("triage", "contain", "resolve", "hours")
                    if said[f"{severity}_{target}"]
                }
                for severity in Incident.Severity.values
            },
        }
