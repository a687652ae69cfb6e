"""Two clients with a row in every table, each with words that nobody else may ever read.

``open`` words may be seen by the client's own portal, ``inner`` ones by the provider's staff only;
both are fatal anywhere near the other client. Rows come from the services, as in life; what is left
empty is then filled from the models, so that a new column is marked without a change here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.utils import timezone

from api_bridge.access.consent import digest_of
from api_bridge.access.registrations import NewRegistration, keep_registration
from api_bridge.access.service_accounts import keep_service_account
from api_bridge.accounts.shapes import Settings
from api_bridge.connectors import MailboxRule
from api_bridge.models import (
    AccountLook,
    AccountStep,
    AccountTerms,
    Connection,
    Consent,
    ConsentLink,
    Correspondent,
    Grant,
    HostTrial,
    MailboxDay,
    MailboxMove,
    MailboxSnapshot,
    MailboxSync,
    NightFolder,
    NightReading,
    PushNotice,
    ScanBack,
    ScanBackFinding,
    ScanBackMailbox,
    SeenItem,
    SignIn,
    TracedMail,
)
from api_bridge.scanback.document import ask_found
from incidents.campaigns.belonging import new_campaign
from incidents.campaigns.evidence import Link, Part
from incidents.campaigns.ledger import write_links
from incidents.campaigns.moving import message_ids_of
from incidents.client_words import answer, ask_for_release
from incidents.content import open_original
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import store_evidence
from incidents.findings import Trouble, note_findings
from incidents.intake import record
from incidents.models import (
    AccountSign,
    AllowedCopy,
    ClientWord,
    ContentAccess,
    Delivery,
    Disagreement,
    Edge,
    HerdAct,
    Incident,
    Intent,
    Interference,
    Job,
    LateVerdicts,
    LayerMode,
    Message,
    Observation,
    PullProposal,
    Recomputation,
    Regrouping,
    ReleaseLook,
    Renewal,
    RenewalCopy,
    Report,
    ReportTerms,
    StandingOrder,
    UserReport,
)
from incidents.observations import Reason
from incidents.orders import give_order
from incidents.remediation import pull_incident, release_held
from incidents.reports import ask_report, ask_statement, serve_reports
from incidents.services import share_incident
from incidents.words import Outcome, Place, Verdict
from seg_bridge.changes import rehearse_wish
from seg_bridge.commands import next_seq
from seg_bridge.models import (
    Digest,
    DomainCheck,
    Gate,
    GateCommand,
    GatewayRule,
    HeldLink,
    LegalHold,
    Lesson,
    PolicyChange,
    PolicyPushItem,
    QueueItem,
    Rehearsal,
    TrialMail,
)
from seg_bridge.outbound.models import OutboundTerms, SenderStop, SigningKey, SubmissionLogin
from seg_bridge.outbound.services import add_host, make_key, make_login
from seg_bridge.policies.layers import Target
from seg_bridge.policies.push import ask_push
from seg_bridge.policies.services import ask_change, make_change
from seg_bridge.services import add_rule, create_gate
from tenants.audit import BAILEY, Actor
from tenants.doors import ClaimedWork
from tenants.groups import save_group
from tenants.ids import new_id
from tenants.models import (
    ApiToken,
    Assignment,
    AuditEntry,
    Domain,
    GroupMember,
    IdempotencyKey,
    Mailbox,
    MailboxGroup,
    MailboxGroupMember,
    OutgoingMail,
    Person,
    Tenant,
)
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.api_bridge.sandbox.workspace import service_account
from tests.factories import Cast, gateway_saw, mail_json, mailbox_saw, mailbox_sent, make_cast
from tests.isolation.marking import mark_rows
from tests.isolation.world_work import ids_of_work, work_on

SHARED, HIDDEN, HELD = 1, 2, 3


@dataclass
class Side:
    """One client: its two words, and one object of each kind that addresses can name.

    ``ids`` are of what the portal may see where a kind has such a thing, ``hidden_ids`` of what is
    not shared.
    """

    tenant: Tenant
    open: str
    inner: str
    ids: dict[str, str] = field(default_factory=dict)
    hidden_ids: dict[str, str] = field(default_factory=dict)
    all_ids: set[str] = field(default_factory=set)


@dataclass
class World:
    """``tokens`` by owner: ``mo``, ``ana``, ``bo``, ``ina`` (inactive), ``late`` (expired)."""

    cast: Cast
    ina: Person
    gate_secret: bytes
    acme: Side
    globex: Side
    tokens: dict[str, str]

    @property
    def people(self) -> dict[str, Person]:
        cast = self.cast
        return {
            "mo": cast.mo,
            "ana": cast.ana,
            "bo": cast.bo,
            "pia": cast.pia,
            "gus": cast.gus,
            "ina": self.ina,
        }


def make_world() -> World:
    """Commits; the fixture empties the tables again."""
    cast = make_cast()
    with maintenance_scope():
        ina = _inactive_person(cast)
        tokens = _tokens(cast, ina)
        _, secret = create_gate(
            provider=cast.provider,
            name="mx1",
            hostname="mx1.keep.example",
            tenants=[cast.acme, cast.globex],
            actor=BAILEY,
        )
        keep_registration(
            wanted=NewRegistration(
                purpose="detect",
                client_id="ba11e700-0000-4000-8000-000000000001",
                cloud="global",
                secret="s3cret",
                expires_at=timezone.now() + timedelta(days=300),
            ),
            actor=cast.mo,
        )
        keep_service_account(
            purpose="respond",
            key_json=json.dumps(service_account("keep", "https://oauth2.googleapis.com/token")),
            actor=cast.mo,
        )
    acme = Side(cast.acme, "zqopenacmekwvx", "zqinneracmejyhd")
    globex = Side(cast.globex, "zqopenglobexmtrp", "zqinnerglobexbfns")
    for side in (acme, globex):
        _fill(side, cast)
    mark_rows({side.tenant.id: side for side in (acme, globex)})
    return World(cast, ina, bytes.fromhex(secret), acme, globex, tokens)


def _inactive_person(cast: Cast) -> Person:
    ina = Person(
        provider=cast.provider,
        email="ina@keep.example",
        name="Ina",
        role=Person.Role.ANALYST,
        is_active=False,
    )
    ina.set_unusable_password()
    ina.save(force_insert=True)
    for tenant in (cast.acme, cast.globex):
        Assignment.objects.create(tenant=tenant, person=ina)
    return ina


def _tokens(cast: Cast, ina: Person) -> dict[str, str]:
    soon, past = timezone.now() + timedelta(days=1), timezone.now() - timedelta(seconds=1)
    owners = {
        "mo": (cast.mo, soon),
        "ana": (cast.ana, soon),
        "bo": (cast.bo, soon),
        "ina": (ina, soon),
        "late": (cast.mo, past),
    }
    for name, (person, expires_at) in owners.items():
        ApiToken.objects.create(
            provider=cast.provider,
            person=person,
            name=name,
            digest=sha256(f"token-of-{name}".encode()).hexdigest(),
            expires_at=expires_at,
        )
    return {name: f"token-of-{name}" for name in owners}


def _scope(tenant: Tenant) -> Any:
    return tenant_scope(Role.WORKER, [tenant.id], provider_id=tenant.provider_id)


def raw_mail(side: Side, number: int) -> bytes:
    """The bytes of one of the client's mails, with its word in every part of it."""
    slug, word = side.tenant.slug, _word(side, number)
    return (
        f"From: {word} <eve@evil.example>\r\nTo: cfo@{slug}.example\r\nSubject: {word}\r\n"
        f"Message-ID: <{number}.{slug}@evil.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/alternative; boundary=b\r\n\r\n"
        f"--b\r\nContent-Type: text/plain\r\n\r\nPay {word} at once.\r\n"
        f"--b\r\nContent-Type: text/html\r\n\r\n<p>Pay <b>{word}</b></p>\r\n--b--\r\n"
    ).encode()


def _word(side: Side, number: int) -> str:
    return side.inner if number == HIDDEN else side.open


def _facts(side: Side, number: int, digest: str) -> dict[str, Any]:
    word = _word(side, number)
    someone = {"address": f"{word}@evil.example", "name": word, "raw": word}
    return mail_json(
        subject=f"Invoice {word} {number}",
        sender=someone,
        from_all=[someone],
        reply_to=[someone],
        to=[someone],
        raw_sha256=digest,
        links=[
            {
                "url": f"https://{word}.example/{word}",
                "host": f"{word}.example",
                "domain": f"{word}.example",
                "text": word,
                "seen": word,
                "where": "html",
                "rewriter": "",
            }
        ],
        attachments=[
            {
                "name": f"{word}.pdf",
                "claimed_type": "application/pdf",
                "kind": "pdf",
                "size_bytes": 9,
                "sha256": "a" * 64,
                "is_inline": False,
                "members": [],
                "flags": [],
            }
        ],
    )


def _record_mail(side: Side, number: int) -> None:
    tenant, word = side.tenant, _word(side, number)
    whom = f"{'info' if number == SHARED else 'cfo'}@{tenant.slug}.example"
    digest = store_evidence(
        tenant_id=tenant.id, raw=raw_mail(side, number), source=f"gate:{word}", method="smtp"
    )
    ulid = f"01J00000000000000000{tenant.id % 1000:03d}00{number}"
    common: dict[str, Any] = {
        "mail": _facts(side, number, digest),
        "internet_message_id": f"<{number}.{tenant.slug}@evil.example>",
        "fingerprint": f"{number}{tenant.id % 10}" * 16,
        "evidence": digest,
        "reasons": (Reason("first_contact", f"Never wrote before {word}", word, 3.0),),
        "engine_version": word,
        "policy_version": word,
        "detail": {"note": word},
    }
    held: dict[str, Any] = {"verdict": Verdict.MALWARE, "score": 15.0, "action": Outcome.HELD}
    held |= {"place": Place.HOLD, "rule": f"policy of {word}: malware is held"}
    seen = [gateway_saw(tenant, whom, ulid=ulid, **common, **(held if number == HELD else {}))]
    if number != HELD:
        condemned = {"verdict": Verdict.PHISH, "confidence": 0.9, "trace_ulid": ulid}
        seen.append(mailbox_saw(tenant, whom, item=f"item-{number}-{word}", **common, **condemned))
        named, to = str(common["internet_message_id"]), [f"{word}@evil.example"]
        at = datetime.now(UTC)
        seen.append(mailbox_sent(tenant, whom, answers=named, to=to, at=at, item=f"sent-{word}"))
    record(seen)


def _fill(side: Side, cast: Cast) -> None:
    tenant = side.tenant
    with _scope(tenant):
        for number in (SHARED, HIDDEN, HELD):
            _record_mail(side, number)
        make_sense_of_backlog(tenant)
        found = {number: _incident(side, number) for number in (SHARED, HIDDEN)}
        share_incident(incident=found[SHARED], actor=cast.mo)
        for number in (SHARED, HIDDEN):
            pull_incident(
                incident=found[number],
                actor=cast.mo,
                reason=_word(side, number),
                group_id=new_id(),
            )
        held = Delivery.objects.get(place=Place.HOLD)
        release_held(delivery=held, actor=cast.mo, reason=side.inner)
        for number, audience in ((SHARED, "client"), (HIDDEN, "internal")):
            ask_report(incident=found[number], actor=cast.mo, audience=audience)
            now = timezone.now()
            ask_statement(
                tenant=tenant,
                since=now - timedelta(days=1),
                until=now + timedelta(days=1),
                actor=cast.mo,
                audience=audience,
            )
        Job.objects.create(
            tenant=tenant,
            kind=Job.Kind.REPLAY,
            requested_by=side.inner,
            detail={"ulids": list(Message.objects.values_list("trace_ulid", flat=True))},
        )
        work_on(side, found[SHARED], found[HIDDEN], cast)
        _open_content(side, cast)
        _mailbox_layer(side)
        _between_layers(side, found[SHARED])
        _policies(side, cast)
        _onboarding(side)
        _outbound(side, cast)
        _campaign(side, found[SHARED], found[HIDDEN])
        save_group(name=f"Group {side.inner}", clients=[tenant], actor=cast.mo)
    for _ in range(6):
        serve_reports(ClaimedWork(tenant.id, tenant.provider_id, 1))
    _say_in_the_portal(side, cast)
    _note_ids(side)
    with maintenance_scope():
        IdempotencyKey.objects.create(
            provider=cast.provider,
            person=cast.mo,
            key=f"key of {side.inner}",
            request_digest="0" * 64,
            status=200,
            body={"title": side.inner},
        )


def _say_in_the_portal(side: Side, cast: Cast) -> None:
    """The client's own words, through the portal's doors."""
    reader = cast.pia if side.tenant.slug == "acme" else cast.gus
    with tenant_scope(Role.PORTAL, [side.tenant.id]):
        answer(incident=_incident(side, SHARED), person=reader, text=side.open)
        held = Delivery.objects.get(place=Place.HOLD)
        ask_for_release(delivery=held, person=reader, reason=side.open)
    with _scope(side.tenant):
        ClientWord.objects.update(settled_by=side.open, outcome=side.open, scan={"why": side.open})
        _held_mail(side, held)


def _held_mail(side: Side, held: Delivery) -> None:
    """A digest with a link, its mail, and a legal hold."""
    mailbox = Mailbox.objects.get(address=held.recipient)
    _released_mail(side, held)
    digest = Digest.objects.create(
        tenant=side.tenant, mailbox=mailbox, slot=side.inner, items=1, asked_by=side.inner
    )
    HeldLink.objects.create(
        tenant=side.tenant,
        digest=digest,
        delivery=held,
        mailbox=mailbox,
        expires_at=timezone.now() + timedelta(days=1),
    )
    OutgoingMail.objects.create(
        tenant=side.tenant,
        event=side.inner,
        kind="digest",
        to_address=f"{side.inner}@{side.tenant.slug}.example",
        message_id=f"<{side.inner}@bailey.example>",
        error=side.inner,
    )
    LegalHold.objects.create(
        tenant=side.tenant,
        message_id=held.message_id,
        reason=side.inner,
        set_by=side.inner,
        ended_by=side.inner,
    )


def _released_mail(side: Side, held: Delivery) -> None:
    """Its release, with an exception for both layers, did not keep it in the inbox."""
    now, rule = timezone.now(), GatewayRule.objects.get()
    AllowedCopy.objects.create(
        tenant=side.tenant,
        delivery=held,
        rule_id=rule.id,
        owner=side.inner,
        words=side.inner,
        ended_at=now,
        ended_by=side.inner,
    )
    ReleaseLook.objects.create(
        tenant=side.tenant,
        delivery=held,
        intent=Intent.objects.get(delivery=held, action="release"),
        rule_id=rule.id,
        released_by=side.inner,
        delivered_at=now,
        put_in=Place.INBOX,
        due_at=now,
        outcome=ReleaseLook.Outcome.JUNKED,
        place=Place.JUNK,
        words=side.inner,
        looked_at=now,
        done_at=now,
    )


def _incident(side: Side, number: int) -> Incident:
    message_id = f"<{number}.{side.tenant.slug}@evil.example>"
    return Incident.objects.select_related("tenant").get(
        memberships__message__internet_message_id=message_id
    )


def _open_content(side: Side, cast: Cast) -> None:
    message = Message.objects.select_related("tenant").get(
        internet_message_id=f"<{SHARED}.{side.tenant.slug}@evil.example>"
    )
    for what in (ContentAccess.What.TEXT, ContentAccess.What.HTML, ContentAccess.What.ORIGINAL):
        for person in (cast.mo, cast.ana, cast.bo):
            open_original(message=message, person=person, what=what, reason=f"asked {side.open}")
    add_rule(
        tenant_id=side.tenant.id,
        kind="block",
        match="sender",
        value=f"{side.inner}@evil.example",
        reason=side.inner,
        actor=cast.mo,
    )


def _mailbox_layer(side: Side) -> None:
    tenant, now = side.tenant, timezone.now()
    mailbox = Mailbox.objects.get(address=f"info@{tenant.slug}.example")
    connection = Connection.objects.create(
        tenant=tenant,
        cloud_tenant_id=str(new_id()),
        client_id=side.inner,
        authority_url="https://login.example",
        api_url="https://graph.example",
        own_roles=[side.inner],
    )
    MailboxSync.objects.create(
        tenant=tenant, mailbox=mailbox, connection=connection, due_at=now, push_id=side.inner
    )
    SeenItem.objects.create(
        tenant=tenant,
        mailbox=mailbox,
        item_id=side.inner,
        place="inbox",
        is_read=False,
        received_at=now,
    )
    Correspondent.objects.create(
        tenant=tenant, sender=side.inner, first_seen_at=now, last_seen_at=now
    )
    PushNotice.objects.create(
        tenant=tenant, mailbox=mailbox, content={"data": side.inner}, tokens=[side.inner]
    )
    TracedMail.objects.create(
        tenant=tenant,
        mailbox=mailbox,
        connection=connection,
        trace_id=side.inner,
        recipient=mailbox.address,
        sender=f"{side.inner}@evil.example",
        internet_message_id=f"<traced.{side.inner}@evil.example>",
        subject=side.inner,
        status="delivered",
        received_at=now - timedelta(hours=2),
    )
    _access(side, connection)
    _accounts(side, mailbox, connection)
    _look_back(side, mailbox)
    _nightly(side, mailbox, connection)


def _nightly(side: Side, mailbox: Mailbox, connection: Connection) -> None:
    """A mailbox whose night found something, and a folder of it."""
    tenant, now = side.tenant, timezone.now()
    NightReading.objects.create(
        tenant=tenant,
        mailbox=mailbox,
        connection=connection,
        due_at=now + timedelta(hours=9),
        read_at=now,
        whole_at=now,
        imported=1,
        last_error=side.inner,
    )
    NightFolder.objects.create(
        tenant=tenant, mailbox=mailbox, folder_id=side.inner, place="inbox", link=side.inner
    )


def _look_back(side: Side, mailbox: Mailbox) -> None:
    """A look back that runs, with a finding, and its report for the client and for the staff."""
    tenant, now = side.tenant, timezone.now()
    run = ScanBack.objects.create(
        tenant=tenant,
        since=now - timedelta(days=30),
        until=now,
        days=30,
        most_mails=1_000,
        mails_per_hour=1_000,
        requests_per_hour=1_000,
        is_all=True,
        asked_by_id=new_id(),
        asked_by=side.inner,
        stopped_by=side.inner,
    )
    ScanBackMailbox.objects.create(
        tenant=tenant, run=run, mailbox=mailbox, until=now, reached_at=now, mails=1
    )
    ScanBackFinding.objects.create(
        tenant=tenant,
        run=run,
        mailbox=mailbox,
        item_id=f"item-{SHARED}-{side.open}",
        verdict="phish",
        received_at=now - timedelta(days=1),
        found_at=now,
    )
    lead = Person.objects.get(role=Person.Role.LEAD)
    for audience in ("client", "internal"):
        ask_found(run=run, actor=lead, audience=audience)


def _accounts(side: Side, mailbox: Mailbox, connection: Connection) -> None:
    """A look, settings, a sign-in; of the shared incident a sign and a step that was done, of the
    other one a sign that the portal does not see.
    """
    tenant, now, word = side.tenant, timezone.now(), side.inner
    rule = MailboxRule(id=word, name=word, criteria=(("subject", word),), deletes=True)
    settings = Settings(rules=(rule,))
    AccountTerms.objects.create(tenant=tenant, changed_by=word)
    # What a report for the client tells of the shared incident is open, as its mails are.
    told = side.open
    off = [{"what": "rules", "words": told}]
    AccountLook.objects.create(tenant=tenant, connection=connection, off=off, looked_at=now)
    MailboxSnapshot.objects.create(
        tenant=tenant,
        mailbox=mailbox,
        digest=settings.digest,
        content=settings.as_json(),
        changes=[word],
        taken_at=now,
    )
    SignIn.objects.create(tenant=tenant, mailbox=mailbox, external_id=word, at=now, country="DE")
    incident = _incident(side, SHARED)
    AccountSign.objects.create(
        tenant=tenant,
        incident=incident,
        mailbox=mailbox.address,
        code="hides_mail",
        key=word,
        words=told,
        weight=30,
        source=told,
        raw={"rule": word},
        at=now,
    )
    AccountSign.objects.create(
        tenant=tenant,
        incident=_incident(side, HIDDEN),
        mailbox=mailbox.address,
        code="burst",
        key=word,
        words=word,
        weight=60,
        source=word,
        raw={"mails": [word]},
        at=now,
    )
    AccountStep.objects.create(
        tenant=tenant,
        incident=incident,
        mailbox=mailbox,
        kind=AccountStep.Kind.DISABLE,
        target=word,
        label=told,
        before={"note": word},
        words=told,
        reason=told,
        state=AccountStep.State.VERIFIED,
        asked_by=told,
        finished_at=now,
    )


def _access(side: Side, connection: Connection) -> None:
    """What was asked and granted, a link, a host that was tried, who came, and what is wrong."""
    tenant, now = side.tenant, timezone.now()
    soon, word = now + timedelta(days=2), side.inner
    Grant.objects.create(
        tenant=tenant,
        connection=connection,
        purpose="respond",
        client_id=word,
        granted_by=word,
        granted_at=now,
        checked_at=now,
        trouble=word,
    )
    link = ConsentLink.objects.create(
        tenant=tenant, purposes=["detect"], digest=digest_of(word), made_by=word, open_until=soon
    )
    Consent.objects.create(
        tenant=tenant,
        purpose="detect",
        client_id=word,
        state=digest_of(f"state of {word}"),
        holder=digest_of(word),
        link=link,
        asked_by=word,
        ends_at=now,
        words=word,
    )
    HostTrial.objects.create(
        tenant=tenant,
        kind="imap",
        stage="failed",
        checks=[{"name": word, "is_ok": False, "words": word, "is_needed": True}],
        words=word,
        asked_by=word,
    )
    MailboxMove.objects.create(
        tenant=tenant, kind="joined", address=f"{word}@x.example", display_name=word, seen_at=now
    )
    group = MailboxGroup.objects.create(
        tenant=tenant, source_id=new_id(), external_id=word, name=word, address=f"{word}@x.example"
    )
    MailboxGroupMember.objects.create(
        tenant=tenant, group=group, mailbox=Mailbox.objects.filter(tenant=tenant)[0]
    )
    LayerMode.objects.create(
        tenant=tenant, group=group, mode="ask", effective_from=now, set_by=word, reason=word
    )
    MailboxDay.objects.create(tenant=tenant, day=now.date(), mailboxes=4, licensed=3, outside=1)
    note_findings(tenant, ["consent"], [Trouble(code="consent", key=word, words=word)])


def _between_layers(side: Side, incident: Incident) -> None:
    now, message = timezone.now(), Message.objects.get(memberships__incident=incident)
    Disagreement.objects.create(
        tenant=side.tenant,
        incident=incident,
        message=message,
        kind=Disagreement.Kind.PERSON,
        seen_at=now,
        sides=[
            {"layer": "person", "verdict": "phish", "source": side.inner, "score": None}
            | {"limit": None, "confidence": None, "reasons": [side.inner], "rule": side.inner}
            | {"by": "", "rule_id": "", "owner": side.inner, "entry_reason": side.inner}
            | {"observation": "", "at": now.isoformat(), "engine": side.inner}
        ],
        proposal={"layer": "mailbox", "action": "pull", "days": 7, "text": side.inner},
        reason=side.inner,
    )
    Lesson.objects.create(
        tenant=side.tenant,
        incident=incident,
        message=message,
        as_spam=True,
        because=side.inner,
        decided_by=side.inner,
        refusal=side.inner,
    )
    give_order(incident=incident, kind="pull", actor=Actor(side.inner), reason=side.inner)
    LateVerdicts.objects.create(tenant=side.tenant, stopped_by=side.inner)
    PullProposal.objects.update_or_create(
        tenant=side.tenant,
        incident=incident,
        defaults={"why": side.inner, "left": side.inner, "waiting": 1, "state": "open"},
    )
    copy = Delivery.objects.filter(message=message)[0]
    waited = Intent.objects.filter(job__incident=incident, action="pull")[0]
    renewal = Renewal.objects.create(
        tenant=side.tenant,
        state=Renewal.State.ASKED,
        waited_since=now,
        looked_at=now,
        answered_by=side.inner,
        reason=side.inner,
    )
    RenewalCopy.objects.create(
        tenant=side.tenant,
        renewal=renewal,
        job_id=waited.job_id,
        intent=waited,
        delivery_id=waited.delivery_id,
        found=RenewalCopy.Found.THERE,
        differs=RenewalCopy.Differs.MODE,
        words=side.inner,
    )
    UserReport.objects.create(
        tenant=side.tenant,
        way=UserReport.Way.MICROSOFT,
        source_key=side.inner,
        reporter=side.inner,
        mailbox=Mailbox.objects.get(address=f"info@{side.tenant.slug}.example"),
        reported_at=now,
        said=UserReport.Said.PHISH,
        trust=UserReport.Trust.OWN,
        state=UserReport.State.PLACED,
        delivery=copy,
    )
    ReportTerms.objects.create(tenant=side.tenant, changed_by=side.inner)
    HerdAct.objects.create(
        tenant=side.tenant,
        incident=incident,
        mode=ReportTerms.Herd.DRY_RUN,
        reporters=1,
        copies=1,
    )
    Interference.objects.create(
        tenant=side.tenant,
        kind=Interference.Kind.LINKS,
        copies=1,
        findings=[
            {"cause": "wrapped", "value": side.inner, "copies": 1, "proof": [str(copy.id)]}
            | {"first_at": now.isoformat(), "last_at": now.isoformat()}
        ],
        since=now,
        looked_at=now,
    )
    Rehearsal.objects.create(
        tenant=side.tenant,
        batch=new_id(),
        change={"kind": side.inner},
        days=30,
        since=now,
        asked_by=side.inner,
    )
    wish = {"do": "add_rule", "kind": "block", "match": "sender", "days": 30}
    wish["value"] = f"again.{side.inner}@evil.example"
    rehearse_wish(wish=wish, tenants=[side.tenant], actor=Actor(side.inner))


def _policies(side: Side, cast: Cast) -> None:
    """Something is stated for a mailbox, and a change for the client waits to be made."""
    of_client = Target(provider=cast.provider, tenant=side.tenant)
    box = Mailbox.objects.select_related("domain").get(address=f"cfo@{side.tenant.slug}.example")
    of_mailbox = replace(of_client, domain=box.domain, mailbox=box)
    who = Actor(side.inner)
    made, _ = (
        ask_change(target=target, actor=who, states={"mark_subject": word}, version=0)
        for target, word in ((of_mailbox, side.inner), (of_client, side.open))
    )
    make_change(change=made, actor=who, reason=side.inner)
    ask_push(tenants=[side.tenant], states={"mark_subject": side.inner}, actor=who)


def _onboarding(side: Side) -> None:
    """DNS was asked, and a mail sent to try the way."""
    DomainCheck.objects.create(
        tenant=side.tenant,
        domain=Domain.objects.get(),
        token=side.inner,
        found={"mx": {"state": "partly", "words": side.inner, "found": [side.inner]}},
    )
    TrialMail.objects.create(
        tenant=side.tenant,
        gate=Gate.objects.get(),
        recipient=f"{side.inner}@{side.tenant.slug}.example",
        internet_message_id=f"<{side.inner}@mx1.keep.example>",
        reply=side.inner,
        asked_by=side.inner,
    )
    QueueItem.objects.create(
        tenant=side.tenant,
        gate=Gate.objects.get(),
        queue_id=f"Q{side.inner}",
        where="deferred",
        recipient=f"{side.inner}@{side.tenant.slug}.example",
        sender=f"{side.inner}@evil.example",
        next_hop=f"{side.inner}.example:25",
        reason=side.inner,
        reason_kind="other",
        size_bytes=1,
        arrived_at=timezone.now(),
    )
    GateCommand.objects.create(
        tenant=side.tenant,
        gate=Gate.objects.get(),
        seq=next_seq(),
        kind=GateCommand.Kind.Q_RETRY,
        queue_id=f"R{side.inner}",
        recipients=[f"{side.inner}@{side.tenant.slug}.example"],
        released_by=side.inner,
        batch=new_id(),
    )


def _outbound(side: Side, cast: Cast) -> None:
    """A host, a login and a key; a sender that was stopped, and one of the shared incident whom
    somebody let send again.
    """
    tenant, who = side.tenant, Actor(side.inner)
    add_host(tenant=tenant, network="203.0.113.5", note=side.inner, actor=who)
    OutboundTerms.objects.update(next_hop_host=f"{side.inner}.example")
    make_login(tenant=tenant, purpose=side.inner, actor=who)
    make_key(tenant=tenant, domain=Domain.objects.get(), actor=who)
    lifted = {
        "incident": _incident(side, SHARED),
        "lifted_at": timezone.now(),
        "lifted_by": side.open,
        "lift_reason": side.inner,
    }
    for n, (word, more) in enumerate(((side.inner, {}), (side.open, lifted)), 1):
        SenderStop.objects.create(
            tenant=tenant,
            stop_ulid=f"01J00000000000000000{tenant.id % 1000:03d}ST{n}",
            gate_name="mx1",
            mailbox=f"{word}@{tenant.slug}.example",
            cause=SenderStop.Cause.THREATS,
            words=f"5 of its mails were held, says {side.inner}",
            evidence=[],
            stopped_at=timezone.now(),
            **more,
        )


def _campaign(side: Side, shared: Incident, hidden: Incident) -> None:
    """Both incidents in one campaign by a word of theirs, and a regrouping that moved nothing."""
    new_campaign(side.tenant.id, [shared, hidden])
    ends = sorted(message_ids_of(incident)[0] for incident in (shared, hidden))
    part = Part("url_host", "f" * 32, f"{side.inner}.example", 7.0, 2)
    link = Link(ends[0], ends[1], 9.0, (part,))
    write_links(side.tenant.id, Edge.Level.CAMPAIGN, [link], 3)
    Recomputation.objects.create(
        tenant=side.tenant,
        version=1,
        asked_by=side.inner,
        asked_at=timezone.now(),
        shown_at=timezone.now(),
        counts={"merge": 1},
        lines=[{"kind": "merge", "text": side.inner}],
        decided_by=side.inner,
        reason=side.inner,
    )
    stood: dict[str, Any] = {"incident": {}, "other": {}}
    Regrouping.objects.create(
        tenant=side.tenant,
        kind=Regrouping.Kind.MERGE,
        incident=shared,
        other=hidden,
        who=side.inner,
        reason=side.inner,
        record={"mail": {}, "history": {}, "before": stood, "after": stood, "by": side.inner},
    )


def _note_ids(side: Side) -> None:
    """What an address can name, of the shared incident and of the hidden one."""
    with _scope(side.tenant):
        for number, ids in ((SHARED, side.ids), (HIDDEN, side.hidden_ids)):
            incident = _incident(side, number)
            message = Message.objects.get(memberships__incident=incident)
            job = Job.objects.get(incident=incident, kind=Job.Kind.PULL)
            ids |= {
                "incident": str(incident.id),
                "message": str(message.id),
                "delivery": str(Delivery.objects.get(message=message).id),
                "observation": str(
                    Observation.objects.filter(layer="mailbox")
                    .order_by("recorded_at", "id")[number - 1]
                    .id
                ),
                "job": str(job.id),
                "group": str(job.group_id),
                "log-entry": str(_log_of(incident).id),
                "action": str(Intent.objects.get(job=job).id),
                "report": str(Report.objects.get(incident=incident).id),
                "held": str(Delivery.objects.get(place=Place.HOLD).id),
                "digest": str(Digest.objects.get().id),
                "release-look": str(ReleaseLook.objects.get().id),
                "legal-hold": str(LegalHold.objects.get().id),
                "gateway-rule": str(GatewayRule.objects.get().id),
                "replay": str(Job.objects.get(kind=Job.Kind.REPLAY).id),
                "regrouping": str(Regrouping.objects.get().id),
                "client": side.tenant.slug,
                "consent-link": str(ConsentLink.objects.get().id),
                "queue-item": str(QueueItem.objects.get().id),
                "queue-batch": str(GateCommand.objects.exclude(batch=None).get().batch),
                "scan-back": str(ScanBack.objects.get().id),
                "own-group": str(GroupMember.objects.get().group_id),
                "disagreement": str(Disagreement.objects.get(**_PASSED, incident=incident).id),
                "order": str(StandingOrder.objects.get(incident=incident, withdrawn_at=None).id),
                "renewal": str(Renewal.objects.get().id),
                "proposal": str(PullProposal.objects.get(why=side.inner).id),
                "user-report": str(UserReport.objects.get().id),
                "domain": str(Domain.objects.get().id),
                "directory-group": str(MailboxGroup.objects.get().id),
                "mailbox": str(Mailbox.objects.get(address=f"info@{side.tenant.slug}.example").id),
                "policy-change": str(PolicyChange.objects.get(state="rehearsed").id),
                "submission-login": str(SubmissionLogin.objects.get().id),
                "signing-key": str(SigningKey.objects.get().id),
                "account-sign": str(AccountSign.objects.get(code="hides_mail").id),
                "account-step": str(AccountStep.objects.get().id),
                "sender-stop": str(SenderStop.objects.get(lifted_at=None).id),
                "policy-push": str(PolicyPushItem.objects.get().push_id),
                "rehearsal": str(Rehearsal.objects.get(change__do="add_rule").id),
            }
            audience = "client" if number == SHARED else "internal"
            made = Report.objects.get(kind=Report.Kind.FOUND, audience=audience)
            ids["found-report"] = str(made.id)
            ids.update(ids_of_work(incident))
        # The client sees all its held mail: none of it is hidden.
        side.hidden_ids |= {"held": missing_id(), "digest": missing_id()}
        accesses = ContentAccess.objects.filter(message_id=side.ids["message"])
        for access in accesses:
            side.ids[f"{access.what} opened by {access.person_name}"] = str(access.id)


def _log_of(incident: Incident) -> AuditEntry:
    entries = AuditEntry.objects.filter(
        object_id=str(incident.id), action__startswith="incidents.incident."
    )
    return entries.order_by("at")[0]


_PASSED = {"kind": Disagreement.Kind.PASSED}


def missing_id() -> str:
    """An id that no row has."""
    return str(UUID(int=datetime.now(UTC).microsecond + 1))
