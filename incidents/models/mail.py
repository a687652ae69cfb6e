"""Mail and what was seen of it: message (content), delivery (one copy), observation (one sight)."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from incidents import words
from tenants.base import ScopedModel, TenantModel, tenant_key
from tenants.ids import new_id


class Layer(models.TextChoices):
    GATEWAY = words.Layer.GATEWAY.value, "Gateway"
    MAILBOX = words.Layer.MAILBOX.value, "Mailbox"
    PERSON = words.Layer.PERSON.value, "Person"
    VENDOR = words.Layer.VENDOR.value, "Mail host"


class Verdict(models.TextChoices):
    CLEAN = words.Verdict.CLEAN.value, words.VERDICT_WORDS[words.Verdict.CLEAN]
    GRAYMAIL = words.Verdict.GRAYMAIL.value, words.VERDICT_WORDS[words.Verdict.GRAYMAIL]
    SPAM = words.Verdict.SPAM.value, words.VERDICT_WORDS[words.Verdict.SPAM]
    PHISH = words.Verdict.PHISH.value, words.VERDICT_WORDS[words.Verdict.PHISH]
    BEC = words.Verdict.BEC.value, words.VERDICT_WORDS[words.Verdict.BEC]
    MALWARE = words.Verdict.MALWARE.value, words.VERDICT_WORDS[words.Verdict.MALWARE]
    SUSPICIOUS = words.Verdict.SUSPICIOUS.value, words.VERDICT_WORDS[words.Verdict.SUSPICIOUS]
    UNSCANNABLE = words.Verdict.UNSCANNABLE.value, words.VERDICT_WORDS[words.Verdict.UNSCANNABLE]


class Outcome(models.TextChoices):
    DELIVERED = words.Outcome.DELIVERED.value, "Delivered"
    PASSED = words.Outcome.PASSED.value, "Passed on"
    HELD = words.Outcome.HELD.value, "Held"
    REJECTED = words.Outcome.REJECTED.value, "Rejected"
    DEFERRED = words.Outcome.DEFERRED.value, "Deferred"
    UNKNOWN = words.Outcome.UNKNOWN.value, "Not known"


class Place(models.TextChoices):
    HOLD = words.Place.HOLD.value, "Held at the gateway"
    INBOX = words.Place.INBOX.value, "Inbox"
    JUNK = words.Place.JUNK.value, "Junk"
    DELETED = words.Place.DELETED.value, "Deleted items"
    SENT = words.Place.SENT.value, "Sent items"
    ARCHIVE = words.Place.ARCHIVE.value, "Archive"
    OTHER = words.Place.OTHER.value, "Another folder"
    QUARANTINE = words.Place.QUARANTINE.value, "Removed (quarantine)"
    GONE = words.Place.GONE.value, "Gone"
    NOWHERE = words.Place.NOWHERE.value, "Never arrived"
    UNKNOWN = words.Place.UNKNOWN.value, "Not yet seen"


class Direction(models.TextChoices):
    INBOUND = words.Direction.INBOUND.value, "Inbound"
    INTERNAL = words.Direction.INTERNAL.value, "Internal"
    OUTBOUND = words.Direction.OUTBOUND.value, "Outbound"


class Message(TenantModel):
    """One mail as content, within one client.

    ``trace_ulid`` is the gate's id, "" if no gate passed it.  ``facts`` is ``MailFacts.as_json()``
    without content; ``evidence`` the sha256 of stored original bytes, "" where none are kept.
    ``same_as``: its copies turned out to be of that message; it has none of its own any more.
    """

    internet_message_id = models.CharField(max_length=1000, blank=True)
    trace_ulid = models.CharField(max_length=26, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    subject = models.TextField(blank=True)
    sender_address = models.CharField(max_length=320, blank=True)
    sender_name = models.CharField(max_length=400, blank=True)
    sender_domain = models.CharField(max_length=255, blank=True)
    direction = models.CharField(
        max_length=10, choices=Direction.choices, default=Direction.INBOUND
    )
    size_bytes = models.PositiveBigIntegerField(default=0)
    facts = models.JSONField(default=dict)
    evidence = models.CharField(max_length=64, blank=True)
    sent_at = models.DateTimeField(null=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    same_as = tenant_key("incidents.Message", null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "trace_ulid"],
                condition=~models.Q(trace_ulid=""),
                name="message_trace_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-first_seen_at"], name="message_tenant_seen"),
            # With the time, so that an id which everybody uses costs no more than any other.
            models.Index(
                fields=["tenant", "internet_message_id", "first_seen_at"], name="message_by_id"
            ),
            models.Index(fields=["tenant", "fingerprint"], name="message_tenant_fingerprint"),
            models.Index(fields=["tenant", "sender_address"], name="message_tenant_sender"),
        ]


class Match(models.TextChoices):
    """How sure it is that the layers saw the same copy."""

    STRONG = "strong", "The same mail, proven by the gateway's trace"
    WEAK = "weak", "The same mail by id, sender and time"
    PENDING = "pending", "A trace that the gateway has not confirmed yet"
    AMBIGUOUS = "ambiguous", "Several mails fit"
    ONE_LAYER = "one_layer", "Seen by one layer only"


class Delivery(TenantModel):
    """One copy of a message for one recipient: where it was put, where it is now.

    The verdicts are the current ones of each layer, "" where the layer gave none.  ``verified_at``
    is when ``place`` was last read from the mailbox itself, None: never.  ``replied_at`` and
    ``forwarded_at``: when the mailbox first sent an answer to it, or passed it on, by its sent
    items, None: that was not seen; ``replied_by`` and ``forwarded_by`` are the observations of the
    sent mails that prove it.  ``clicked_at`` and ``clicked_by`` likewise, by the mail host's word
    that a link was opened; few hosts say so, and None says nothing.
    ``conversation``: ``answer_key`` of the mail host's own name of it, "" for none.
    ``is_bypass``: external mail that reached the mailbox without passing the gateway.
    ``was_released``: held at first, then delivered on somebody's word.
    """

    message = tenant_key("incidents.Message", related_name="deliveries")
    mailbox = tenant_key("tenants.Mailbox", null=True)
    recipient = models.CharField(max_length=320)
    direction = models.CharField(
        max_length=10, choices=Direction.choices, default=Direction.INBOUND
    )
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    place = models.CharField(max_length=12, choices=Place.choices, default=Place.UNKNOWN)
    first_place = models.CharField(max_length=12, choices=Place.choices, blank=True)
    is_read = models.BooleanField(null=True)
    replied_at = models.DateTimeField(null=True)
    replied_by = models.UUIDField(null=True)
    forwarded_at = models.DateTimeField(null=True)
    forwarded_by = models.UUIDField(null=True)
    clicked_at = models.DateTimeField(null=True)
    clicked_by = models.UUIDField(null=True)
    was_exposed = models.BooleanField(default=False)
    is_bypass = models.BooleanField(default=False)
    was_released = models.BooleanField(default=False)
    match = models.CharField(max_length=10, choices=Match.choices, default=Match.ONE_LAYER)
    match_reason = models.TextField(blank=True)
    mailbox_item_id = models.CharField(max_length=500, blank=True)
    conversation = models.CharField(max_length=32, blank=True, default="", db_default="")
    gateway_verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    mailbox_verdict = models.CharField(max_length=12, choices=Verdict.choices, blank=True)
    person_verdict = models.CharField(
        max_length=12, choices=Verdict.choices, blank=True, default="", db_default=""
    )
    vendor_verdict = models.CharField(
        max_length=12, choices=Verdict.choices, blank=True, default="", db_default=""
    )
    gateway_at = models.DateTimeField(null=True)
    mailbox_at = models.DateTimeField(null=True)
    person_at = models.DateTimeField(null=True)
    vendor_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "message", "recipient"], name="delivery_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "-received_at"],
                include=["outcome"],
                name="delivery_tenant_received",
            ),
            # Over all clients on purpose: the list of all mail, newest first.
            models.Index(fields=["-received_at", "-id"], name="delivery_received"),
            models.Index(fields=["tenant", "recipient", "-received_at"], name="delivery_recipient"),
            models.Index(fields=["tenant", "mailbox_item_id"], name="delivery_item"),
            models.Index(
                fields=["tenant", "conversation"],
                name="delivery_conversation",
                condition=~models.Q(conversation=""),
            ),
            models.Index(
                fields=["tenant", "-received_at"],
                name="delivery_held",
                condition=models.Q(place="hold"),
            ),
            # What a copy without a trace may be, and what a late account of the gateway may be of
            # (incidents/known_rows.py): each holds few rows, however long the history.
            models.Index(
                fields=["tenant", "recipient", "received_at"],
                name="delivery_unclaimed",
                condition=models.Q(mailbox_item_id="", gateway_at__isnull=False),
            ),
            models.Index(
                fields=["tenant", "recipient", "received_at"],
                name="delivery_alone",
                condition=models.Q(match="one_layer", gateway_at__isnull=True, direction="inbound"),
            ),
            models.Index(
                fields=["tenant", "recipient", "received_at"],
                name="delivery_doubtful",
                condition=models.Q(match__in=["weak", "ambiguous"]),
            ),
        ]


class Observation(TenantModel):
    """A stored ``incidents.observations.Observation``; append-only, partitioned by month.

    ``recorded_at`` is the database's own clock; order comes from it.
    """

    recorded_at = models.DateTimeField(auto_now_add=True)
    observed_at = models.DateTimeField()
    layer = models.CharField(max_length=10, choices=Layer.choices)
    source = models.TextField()
    source_key = models.TextField()
    recipient = models.TextField()
    direction = models.CharField(max_length=10, choices=Direction.choices)
    internet_message_id = models.TextField()
    fingerprint = models.TextField()
    trace_ulid = models.TextField()
    trace_state = models.TextField()
    mailbox_item_id = models.TextField()
    verdict = models.CharField(max_length=12, choices=Verdict.choices, null=True)  # noqa: DJ001 - "" is not "no verdict"
    score = models.FloatField(null=True)
    score_limit = models.FloatField(null=True)
    confidence = models.FloatField(null=True)
    reasons = models.JSONField(default=list)
    engine = models.TextField()
    engine_version = models.TextField()
    policy_version = models.TextField()
    action = models.CharField(max_length=10, choices=Outcome.choices, null=True)  # noqa: DJ001 - as above
    rule = models.TextField()
    place = models.CharField(max_length=12, choices=Place.choices, null=True)  # noqa: DJ001 - as above
    is_read = models.BooleanField(null=True)
    mail = models.JSONField(default=dict)
    evidence = models.TextField()
    detail = models.JSONField(default=dict)


class Sighting(TenantModel):
    """This observation speaks of that delivery."""

    delivery = tenant_key("incidents.Delivery", related_name="sightings")
    observation_id = models.UUIDField()
    observed_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "observation_id"], name="sighting_once")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "delivery"], name="sighting_delivery")]


class Answer(TenantModel):
    """A mail that ``mailbox`` (an address) sent, by one name of what it may answer or pass on.

    ``key`` is ``answer_key`` of a Message-ID or of a conversation.  ``observation_id`` is the
    account of the sent mail, ``recipients`` whom it was sent to.  It waits for mail that becomes
    known later; see incidents/answers.py.
    """

    class Names(models.TextChoices):
        PARENT = "parent", "It answers that mail"
        ANCESTOR = "ancestor", "It answers an answer to it"
        CONVERSATION = "conversation", "It is of the same conversation"

    mailbox = models.CharField(max_length=320)
    key = models.CharField(max_length=32)
    names = models.CharField(max_length=12, choices=Names.choices)
    observation_id = models.UUIDField()
    sent_at = models.DateTimeField()
    is_forward = models.BooleanField()
    recipients = models.JSONField(default=list)

    class Meta(TenantModel.Meta):
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "key", "observation_id"], name="answer_once")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "sent_at"], name="answer_sent")]


class Backlog(ScopedModel):
    """An observation that has been stored and not yet been made sense of.

    ``tenant`` has no constraint, as in the history: it would cost a look-up for every row.  Intake
    writes the client's row in the table of work with every batch, and that one has it.
    """

    observation_id = models.UUIDField(primary_key=True)
    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    observed_at = models.DateTimeField()
    wait_until = models.DateTimeField(null=True)

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [models.Index(fields=["tenant", "observation_id"], name="backlog_next")]


class TraitCount(ScopedModel):
    """In how many of a client's messages a trait occurs (incidents/prevalence.py).

    ``kind`` and ``value`` are those of incidents/campaigns/traits.py; the kind ``message`` without
    a value is the number of all messages.  ``past `` before a kind: in how many threats that
    grouping has forgotten (incidents/campaigns/store.py).
    """

    pk = models.CompositePrimaryKey("tenant_id", "kind", "value")
    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=20)
    value = models.CharField(max_length=64, blank=True)
    messages = models.PositiveBigIntegerField()
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta(ScopedModel.Meta):
        pass


class MailTrait(ScopedModel):
    """Which mails have a trait, benign ones too: what leads from a thing to its mails.

    A row for each counted message and trait of incidents/prevalence.py; ``key`` is ``trait_key``
    of the trait.  Neither client nor message is a foreign key: rows are written with every mail, in
    the transaction that writes the message.
    """

    pk = models.CompositePrimaryKey("tenant_id", "key", "seen_at", "message_id")
    tenant = models.ForeignKey(
        "tenants.Tenant",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    key = models.BigIntegerField()
    seen_at = models.DateTimeField()
    message_id = models.UUIDField()

    class Meta(ScopedModel.Meta):
        indexes: ClassVar = [BrinIndex(fields=["seen_at"], name="mail_trait_seen")]


class TraceKey(ScopedModel):
    """A key that signs and checks traces.  Sealed; retired keys still check older mail."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("tenants.Provider", on_delete=models.PROTECT, related_name="+")
    key_id = models.CharField(max_length=26, unique=True)
    sealed_key = models.BinaryField()
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(ScopedModel.Meta):
        pass
