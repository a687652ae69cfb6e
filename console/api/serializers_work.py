"""What the API shows and takes of people's work: comments, tasks, silence, agreements, figures."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from typing_extensions import override

from console.api.serializers import IncidentSerializer
from console.api.serializers_asked import RevisionSerializer
from incidents.codes import CAUSES
from incidents.models import (
    Attachment,
    CallNote,
    Comment,
    Incident,
    Mention,
    Pause,
    SavedView,
    SlaPlan,
    Suppression,
    Task,
    TaskTemplate,
)
from incidents.models.incident import LONGEST_TICKET, LONGEST_TICKET_LINK
from incidents.services.attachments import MOST_BYTES, MOST_FILES
from incidents.services.many import ACTIONS, MOST
from incidents.services.tasks import MOST_STEPS


def _client() -> serializers.SlugField:
    return serializers.SlugField(source="tenant.slug", read_only=True)


def _text(most: int = 2000, **more: Any) -> serializers.CharField:
    return serializers.CharField(max_length=most, **more)


class SecondsField(serializers.FloatField):
    """A length of time in seconds."""

    @override
    def to_representation(self, value: Any) -> Any:
        return float(value.total_seconds())


class AttachmentSerializer(serializers.ModelSerializer[Attachment]):
    """A file of a comment; its bytes are at ``attachments/{id}/content``."""

    tenant = _client()
    comment = serializers.UUIDField(source="comment_id", read_only=True)
    incident = serializers.UUIDField(source="comment.incident_id", read_only=True)
    audience = serializers.CharField(source="comment.audience", read_only=True)
    author = serializers.CharField(source="comment.author_name", read_only=True)

    class Meta:
        model = Attachment
        fields = (
            *("id", "tenant", "incident", "comment", "audience", "author", "name", "kind"),
            *("size_bytes", "sha256", "warning", "created_at"),
        )


class AttachedSerializer(serializers.ModelSerializer[Attachment]):
    class Meta:
        model = Attachment
        fields = ("id", "name", "kind", "size_bytes", "sha256")


class CommentSerializer(serializers.ModelSerializer[Comment]):
    tenant = _client()
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    author = serializers.CharField(source="author_name", read_only=True)
    attachments = AttachedSerializer(many=True, read_only=True)

    class Meta:
        model = Comment
        fields = (
            *("id", "tenant", "incident", "audience", "text", "author", "created_at"),
            "attachments",
        )


class NewCommentSerializer(serializers.Serializer[Any]):
    text = _text(10_000)
    audience = serializers.ChoiceField(
        choices=Comment.Audience.choices,
        default="internal",
        help_text="internal: the client never sees it; client: she does once it is shared",
    )
    mentions = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=50
    )
    attachments = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True, max_length=None),
        required=False,
        default=list,
        help_text=f"multipart/form-data only; at most {MOST_FILES}, of {MOST_BYTES} bytes each",
    )


class MentionSerializer(serializers.ModelSerializer[Mention]):
    tenant = _client()
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    comment = CommentSerializer(read_only=True)

    class Meta:
        model = Mention
        fields = ("id", "tenant", "incident", "comment", "seen_at", "created_at")


class CallSerializer(serializers.ModelSerializer[CallNote]):
    tenant = _client()
    incident = serializers.UUIDField(source="incident_id", read_only=True)
    author = serializers.CharField(source="author_name", read_only=True)

    class Meta:
        model = CallNote
        fields = ("id", "tenant", "incident", "whom", "phone", "said", "called_at", "author")


class NewCallSerializer(serializers.Serializer[Any]):
    whom = _text(200)
    said = _text(10_000, help_text="What they said: stated, not verified")
    phone = _text(64, required=False, allow_blank=True, default="")
    called_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class TaskSerializer(serializers.ModelSerializer[Task]):
    tenant = _client()
    incident = serializers.UUIDField(source="incident_id", read_only=True)

    class Meta:
        model = Task
        fields = (
            *("id", "tenant", "incident", "position", "title", "template", "state", "done_at"),
            "done_by",
        )


class NewTaskSerializer(serializers.Serializer[Any]):
    title = _text(300)


class SettleTaskSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=Task.State.choices)
    seen = serializers.ChoiceField(
        choices=Task.State.choices, default="", help_text="its state as you saw it"
    )


class TaskTemplateSerializer(serializers.ModelSerializer[TaskTemplate]):
    steps = serializers.ListField(child=_text(300), max_length=MOST_STEPS)

    class Meta:
        model = TaskTemplate
        fields = ("id", "kind", "version", "steps", "created_by", "created_at")
        read_only_fields = ("version", "created_by")


class NewTaskTemplateSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(
        choices=[("", "every other"), *Incident.Kind.choices], default=""
    )
    steps = serializers.ListField(child=_text(300), max_length=MOST_STEPS)
    seen = serializers.IntegerField(
        min_value=0,
        allow_null=True,
        default=None,
        help_text="the newest version that you had seen, 0: none; 409 where there is another since",
    )


class TicketSerializer(RevisionSerializer):
    ticket = _text(
        LONGEST_TICKET, allow_blank=True, help_text="Its number in the help desk; empty: none"
    )
    ticket_link = _text(
        LONGEST_TICKET_LINK,
        source="link",
        required=False,
        allow_blank=True,
        default="",
        help_text="http or https; where the ticket is read",
    )


class WaitSerializer(RevisionSerializer):
    cause = serializers.ChoiceField(choices=Pause.ASKED)
    asked = _text(help_text="What is needed; the client reads it where the cause is hers")


class AnswerSerializer(RevisionSerializer):
    answer = _text(required=False, allow_blank=True, default="")


class QuietSerializer(RevisionSerializer):
    reason = _text()
    until = serializers.DateTimeField()


class AssignSerializer(RevisionSerializer):
    owner = serializers.UUIDField(
        allow_null=True, help_text="A colleague of the client; null: no one"
    )


class ColleagueSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    role = serializers.CharField()


class BulkSerializer(serializers.Serializer[Any]):
    incidents = serializers.ListField(
        child=serializers.UUIDField(), allow_empty=False, max_length=MOST
    )
    revisions = serializers.DictField(
        child=serializers.IntegerField(min_value=0, max_value=2**31 - 1),
        required=False,
        default=dict,
        help_text="Incident → the revision that you have seen",
    )
    action = serializers.ChoiceField(choices=list(ACTIONS.items()))
    owner = serializers.UUIDField(required=False, allow_null=True, default=None)
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    reason = _text(required=False, allow_blank=True, default="")
    classification = serializers.ChoiceField(
        choices=Incident.Classification.choices, required=False, allow_blank=True, default=""
    )
    cause = _text(required=False, allow_blank=True, default="")
    cause_code = serializers.ChoiceField(
        choices=list(CAUSES.items()), required=False, default="other"
    )


class ResultSerializer(serializers.Serializer[Any]):
    incident = serializers.UUIDField(source="incident_id")
    ok = serializers.BooleanField()
    sentence = serializers.CharField(help_text="Why it was not done; empty where it was")


class ResultsSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    refused = serializers.IntegerField()
    results = ResultSerializer(many=True)


class SimilarSerializer(serializers.Serializer[Any]):
    incident = IncidentSerializer()
    why = serializers.CharField()


class SuppressionSerializer(serializers.ModelSerializer[Suppression]):
    tenant = _client()
    silenced = serializers.IntegerField(read_only=True, help_text="Incidents that it silenced")

    class Meta:
        model = Suppression
        fields = (
            *("id", "tenant", "match", "value", "reason", "ends_at", "created_by", "created_at"),
            *("removed_at", "removed_by", "silenced"),
        )


class NewSuppressionSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField()
    match = serializers.ChoiceField(choices=Suppression.Match.choices)
    value = _text(320)
    reason = _text()
    ends_at = serializers.DateTimeField()


class ViewFiltersSerializer(serializers.Serializer[Any]):
    tab = _text(20, required=False, allow_blank=True, default="")
    q = _text(320, required=False, allow_blank=True, default="")
    client = _text(
        80, required=False, allow_blank=True, default="", help_text="A client, or group:{id}"
    )
    severity = _text(10, required=False, allow_blank=True, default="")
    kind = _text(12, required=False, allow_blank=True, default="")
    state = _text(10, required=False, allow_blank=True, default="")
    layer = _text(20, required=False, allow_blank=True, default="")
    differ = _text(40, required=False, allow_blank=True, default="")
    entity = _text(320, required=False, allow_blank=True, default="")
    fit = _text(10, required=False, allow_blank=True, default="", help_text="mine: my skills")


class SavedViewSerializer(serializers.ModelSerializer[SavedView]):
    name = _text(80)
    filters = ViewFiltersSerializer()
    is_mine = serializers.SerializerMethodField()

    class Meta:
        model = SavedView
        fields = ("id", "name", "filters", "is_shared", "is_mine")

    def get_is_mine(self, view: SavedView) -> bool:
        return bool(view.person_id == self.context["person"].id)


class TargetsSerializer(serializers.Serializer[Any]):
    """Minutes from the opening of the incident; a target that is left out is not agreed."""

    triage = serializers.IntegerField(required=False, min_value=1, max_value=132_480)
    contain = serializers.IntegerField(required=False, min_value=1, max_value=132_480)
    resolve = serializers.IntegerField(required=False, min_value=1, max_value=132_480)
    hours = serializers.ChoiceField(choices=["always", "business"])


class SeveritiesSerializer(serializers.Serializer[Any]):
    critical = TargetsSerializer()
    high = TargetsSerializer()
    medium = TargetsSerializer()
    low = TargetsSerializer()


class SlaPlanSerializer(serializers.ModelSerializer[SlaPlan]):
    tenant = serializers.SerializerMethodField(help_text="null: the provider's default")
    targets = SeveritiesSerializer()

    class Meta:
        model = SlaPlan
        fields = (
            *("id", "tenant", "name", "time_zone", "weekly", "holidays", "targets", "valid_from"),
            *("created_by", "created_at"),
        )

    def get_tenant(self, plan: SlaPlan) -> str | None:
        return plan.tenant.slug if plan.tenant else None


class NewSlaPlanSerializer(serializers.Serializer[Any]):
    tenant = serializers.SlugField(allow_null=True, help_text="null: the provider's default")
    name = _text(200)
    time_zone = _text(64)
    weekly = serializers.ListField(
        child=serializers.ListField(
            child=serializers.ListField(child=_text(5), min_length=2, max_length=2), max_length=6
        ),
        min_length=7,
        max_length=7,
        help_text='Monday to Sunday, each its spans: [["09:00", "17:00"]]',
    )
    holidays = serializers.ListField(child=serializers.DateField(), default=list, max_length=400)
    targets = SeveritiesSerializer()
    valid_from = serializers.DateTimeField(required=False, allow_null=True, default=None)
    seen = serializers.UUIDField(
        required=False,
        allow_null=True,
        help_text="the last agreement that you had seen, null: none; 409 where there is one since",
    )


class SlaLineSerializer(serializers.Serializer[Any]):
    severity = serializers.CharField()
    target = serializers.CharField()
    kept = serializers.IntegerField()
    missed = serializers.IntegerField()
    open = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True, help_text="kept / (kept + missed)")


class AttestationSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    as_of = serializers.DateTimeField(help_text="at most a minute ago")
    incidents = serializers.IntegerField()
    lines = SlaLineSerializer(many=True)


class KeptSerializer(serializers.Serializer[Any]):
    """One target of one incident."""

    incident = serializers.UUIDField(source="incident_id")
    severity = serializers.CharField()
    target = serializers.CharField()
    state = serializers.ChoiceField(choices=["kept", "missed", "open"])
    agreed_s = SecondsField(source="agreed")
    ran_s = SecondsField(source="ran", help_text="how long its clock ran")
    plan = serializers.CharField()


class FigureSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(source="measure.key")
    name = serializers.CharField(source="measure.name")
    formula = serializers.CharField(source="measure.formula")
    n = serializers.IntegerField(help_text="incidents behind it")
    median_s = SecondsField(source="median", allow_null=True)
    p90_s = SecondsField(source="p90", allow_null=True)


class ClientFiguresSerializer(serializers.Serializer[Any]):
    tenant = serializers.CharField()
    figures = FigureSerializer(many=True)


class KpisSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    figures = FigureSerializer(many=True)
    clients = ClientFiguresSerializer(many=True)


class TimedIncidentSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    tenant = serializers.SlugField(source="tenant.slug")
    took_s = SecondsField(source="took")
    incident = IncidentSerializer(source="*")
