"""Analysts' daily work on incidents: comments, tasks, calls, quiet, rules of silence, views."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from typing_extensions import override

from incidents.mail.filetypes import EXECUTABLE, is_mismatch
from incidents.models.incident import Incident
from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class Comment(TenantModel):
    """Internal unless somebody decided otherwise; the database shows the portal the others only."""

    class Audience(models.TextChoices):
        INTERNAL = "internal", "Internal"
        CLIENT = "client", "The client sees this"

    incident = tenant_key("incidents.Incident", related_name="comments")
    audience = models.CharField(max_length=10, choices=Audience.choices, default=Audience.INTERNAL)
    text = models.TextField()
    author_id = models.UUIDField(null=True)
    author_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident", "created_at"], name="comment_incident")
        ]

    @property
    def is_internal(self) -> bool:
        return self.audience == self.Audience.INTERNAL


class Attachment(TenantModel):
    """A file that somebody added to a comment; whoever may read the comment may download it.

    ``kind`` is read from the content (``incidents.mail.filetypes.KINDS``), whatever the name says.
    The bytes are evidence of the client, by ``sha256``.
    """

    comment = tenant_key("incidents.Comment", related_name="attachments")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=20)
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "comment", "name"], name="attachment_name")
        ]

    @property
    def warning(self) -> str:
        """What to know before it is opened; "" where there is nothing."""
        if self.kind in EXECUTABLE:
            return "a program"
        return "not what its name says" if is_mismatch(self.kind, self.name) else ""


class Mention(TenantModel):
    """A colleague was named in a comment.  ``seen_at`` None: she has not opened it yet."""

    incident = tenant_key("incidents.Incident")
    comment = tenant_key("incidents.Comment", related_name="mentions")
    person_id = models.UUIDField()
    person_name = models.CharField(max_length=200)
    seen_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "comment", "person_id"], name="mention_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="mention_incident"),
            # Over all of a person's clients on purpose: what calls her.
            models.Index(
                fields=["person_id", "-created_at"],
                name="mention_unseen",
                condition=models.Q(seen_at=None),
            ),
        ]


class CallNote(TenantModel):
    """Somebody was phoned; what they said is stated, not verified."""

    incident = tenant_key("incidents.Incident", related_name="calls")
    whom = models.CharField(max_length=200)
    phone = models.CharField(max_length=64, blank=True)
    said = models.TextField()
    called_at = models.DateTimeField()
    author_id = models.UUIDField(null=True)
    author_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident", "called_at"], name="call_incident")
        ]


class TaskTemplate(ScopedModel):
    """The provider's steps for one kind of incident.  A change is a new version, never an edit.

    ``kind`` "": for every kind.  ``steps``: titles in order; empty: this kind has none any more.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Incident.Kind.choices, blank=True)
    version = models.PositiveIntegerField()
    steps = models.JSONField()
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "kind", "version"], name="task_template_version"
            )
        ]


class Task(TenantModel):
    """One step to take.  ``template``: kind and version it came from, "" if added by hand."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        DONE = "done", "Done"
        SKIPPED = "skipped", "Not needed"

    incident = tenant_key("incidents.Incident", related_name="tasks")
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=300)
    template = models.CharField(max_length=40, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    done_at = models.DateTimeField(null=True)
    done_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident", "position"], name="task_position_once"
            )
        ]


class Suppression(TenantModel):
    """A rule of silence: what fits and is within its time opens quietly; it is counted and listed.

    ``match`` and ``value``: the sender's address, her domain, or a kind of incident.  A rule by
    sender or domain never silences malware, fraud or an account: only a rule by kind does that.
    """

    class Match(models.TextChoices):
        SENDER = "sender", "Sender"
        DOMAIN = "domain", "Domain of the sender"
        KIND = "kind", "Kind of incident"

    match = models.CharField(max_length=10, choices=Match.choices)
    value = models.CharField(max_length=320)
    reason = models.TextField()
    ends_at = models.DateTimeField()
    created_by_id = models.UUIDField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.CharField(max_length=200, blank=True)

    class Meta(TenantModel.Meta):
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-created_at"], name="suppression_tenant")
        ]


class Quiet(TenantModel):
    """An incident is out of the way until a time, or until it wakes.

    *Snoozed* wakes with any further mail; *muted* and *suppressed* wake with more within reach.
    ``copies`` and ``exposed`` are what was known when it began.  ``ended_at`` None: it holds until
    ``until``.
    """

    class Kind(models.TextChoices):
        SNOOZED = "snoozed", "Snoozed"
        MUTED = "muted", "Muted"
        SUPPRESSED = "suppressed", "Suppressed by a rule"

    incident = tenant_key("incidents.Incident", related_name="quiets")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    suppression = tenant_key("incidents.Suppression", related_name="quiets", null=True)
    reason = models.TextField()
    until = models.DateTimeField()
    copies = models.PositiveIntegerField()
    exposed = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=200)
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=300, blank=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "incident"],
                condition=models.Q(ended_at=None),
                name="quiet_one_at_a_time",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="quiet_incident"),
            models.Index(fields=["tenant", "suppression"], name="quiet_suppression"),
        ]


class SavedView(ScopedModel):
    """A list that somebody looks at often.  ``filters``: parameters of the queue's address.

    ``is_shared``: colleagues who see its client see it too; without a client it is not shared.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    person = models.ForeignKey("tenants.Person", on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=80)
    filters = models.JSONField()
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["person", "name"], name="saved_view_name_once")
        ]

    @override
    def __str__(self) -> str:
        return self.name


class ClientWord(TenantModel):
    """What a client said in its portal, by a link of its digest or by a report: an answer, a wish
    to have held mail released, or to have a digest sent; then ``text`` is the mailbox's address.

    The portal's role writes nothing itself: its words come through a door.  ``settled_at`` None:
    nobody has dealt with it yet.  By a digest or a report the asker is a mailbox: its id and its
    address stand for the person's.  ``scan`` is what a wish's mail was found to be when it was
    asked for (seg_bridge/held/requests.py); ``scanned_at`` None: nobody has looked yet.
    """

    class Kind(models.TextChoices):
        ANSWER = "answer", "Answer"
        RELEASE = "release", "Wish for a release"
        DIGEST = "digest", "Wish for a digest"

    class Source(models.TextChoices):
        PORTAL = "portal", "Portal"
        DIGEST = "digest", "Digest"
        REPORT = "report", "Report of a mail as not junk"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    incident = tenant_key("incidents.Incident", related_name="client_words", null=True)
    delivery = tenant_key("incidents.Delivery", related_name="client_words", null=True)
    text = models.TextField()
    person_id = models.UUIDField()
    person_name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=200, blank=True)
    outcome = models.CharField(max_length=300, blank=True)
    source = models.CharField(
        max_length=10, choices=Source.choices, default=Source.PORTAL, db_default=Source.PORTAL
    )
    scan = models.JSONField(default=dict, db_default={})
    scanned_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "delivery"],
                condition=models.Q(kind="release", settled_at=None),
                name="one_wish_at_a_time",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "incident"], name="client_word_incident"),
            models.Index(
                fields=["tenant", "-created_at"],
                name="client_word_open",
                condition=models.Q(settled_at=None),
            ),
        ]
