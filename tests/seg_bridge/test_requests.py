"""A client's wish for a held mail, from her portal to the notice of what became of it."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from itertools import count
from threading import Thread
from typing import Any

import pytest
from django.core import mail as sent
from django.utils import timezone

from incidents.client_words import ask_for_release, refuse_release, wishes_in_sight
from incidents.correlation import make_sense_of_backlog
from incidents.evidence import store_evidence
from incidents.intake import record
from incidents.models import ClientWord, Delivery, Intent
from incidents.release_rights import rights_of
from incidents.remediation import release_held, settle_intent
from incidents.words import Outcome, Place, Verdict
from seg_bridge.gate.decide import Decidable
from seg_bridge.held.requests import PATIENCE, serve_requests
from seg_bridge.held.rescan import Original, Rescan, rescan
from seg_bridge.models import GatewayRule
from seg_bridge.services import add_rule
from tenants.doors import ClaimedWork
from tenants.errors import Conflict
from tenants.models import AuditEntry, OutgoingMail, Work
from tenants.outbox import serve_outbox
from tenants.scope import Role, tenant_scope
from tests.factories import Cast, gateway_saw, state_policy
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.engines.dns import dns_server
from tests.seg_bridge.engines.servers import FakeRspamd, result, symbols

RAW = (
    b"From: Sue <sue@partner.example>\r\nTo: info@acme.example\r\nSubject: Offer\r\n"
    b"Message-ID: <1@partner.example>\r\nDate: Sun, 1 Nov 2026 08:00:00 +0000\r\n\r\n"
    b"Dear Ann,\r\nhere is the offer that we talked about on Friday.\r\nSue\r\n"
)
_numbers = count(1)


@pytest.fixture
def gated(cast: Cast) -> Cast:
    make_gate(cast, cast.acme)
    return cast


def scope(cast: Cast):
    return tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id)


def claimed(cast: Cast) -> ClaimedWork:
    return ClaimedWork(cast.acme.id, cast.provider.id, 1)


def hold(
    cast: Cast, verdict: str = Verdict.PHISH, *, recipient: str = "info@acme.example", **more
) -> Delivery:
    n = next(_numbers)
    seen = gateway_saw(
        cast.acme,
        recipient,
        ulid=f"01J{n:023d}",
        internet_message_id=f"<{n}@evil.example>",
        fingerprint=f"{n:032x}",
        verdict=verdict,
        score=12.0,
        action=Outcome.HELD,
        place=Place.HOLD,
        **more,
    )
    with scope(cast):
        record([seen])
        make_sense_of_backlog(cast.acme)
        return Delivery.objects.get(message__trace_ulid=seen.trace_ulid)


def wish(cast: Cast, copy: Delivery) -> None:
    with tenant_scope(Role.PORTAL, [cast.acme.id]):
        ask_for_release(delivery=copy, person=cast.pia, reason="Our supplier.")


def found(verdict: Verdict, score: float):
    """A scanner that finds this in every mail."""
    none: frozenset[str] = frozenset()
    seen = Decidable(
        verdict=verdict,
        score=score,
        missing=(),
        is_disowned=False,
        sender="eve@evil.example",
        senders=frozenset({"eve@evil.example"}),
        client_ip="192.0.2.1",
        link_hosts=none,
        attachments=none,
    )
    return lambda originals: {
        each.wish_id: Rescan(seen, "", "embedded", ("It asks for a password.",))
        for each in originals
    }


def nobody_could_look(originals):
    return {each.wish_id: Rescan(None, "No original.") for each in originals}


CLEAN, PHISH = found(Verdict.CLEAN, 0.5), found(Verdict.PHISH, 12.0)
# held as, mode, what the new scan finds → what becomes of the wish
OUTCOMES = [
    (Verdict.SPAM, "manual", nobody_could_look, "released by the client"),
    (Verdict.SPAM, "manual", PHISH, "left to a person"),
    (Verdict.PHISH, "manual", CLEAN, "left to a person"),
    (Verdict.PHISH, "semi", CLEAN, "released by policy"),
    (Verdict.PHISH, "semi", PHISH, "left to a person"),
    (Verdict.PHISH, "semi", nobody_could_look, "left to a person"),
    (Verdict.PHISH, "auto", CLEAN, "released by policy"),
    (Verdict.PHISH, "auto", PHISH, "refused by policy"),
    (Verdict.PHISH, "auto", nobody_could_look, "left to a person"),
    (Verdict.MALWARE, "auto", CLEAN, "left to a person"),
    (Verdict.MALWARE, "semi", CLEAN, "left to a person"),
]


def test_a_wish_is_served_as_the_policy_says(gated: Cast):
    for held_as, mode, scanner, expected in OUTCOMES:
        with scope(gated):
            state_policy(gated.acme, held_requests=mode)
        copy = hold(gated, held_as)
        wish(gated, copy)
        serve_requests(claimed(gated), scanner=scanner)
        with scope(gated):
            entry = AuditEntry.objects.filter(action="seg_bridge.request.served").latest("at")
            word = ClientWord.objects.get(delivery=copy)
            orders = Intent.objects.filter(delivery=copy, action="release").count()
        case = (held_as, mode, expected)
        assert (case, entry.detail["outcome"]) == (case, expected)
        assert orders == (1 if expected.startswith("released") else 0), case
        # A release settles it when the gate has handed the mail on.
        assert (word.settled_at is not None) == (expected == "refused by policy"), case
        assert word.scan["outcome"] == expected


def test_what_another_layer_condemns_is_never_released_by_policy(gated: Cast):
    with scope(gated):
        state_policy(gated.acme, held_requests="auto", release_phish="client")
    copy = hold(gated, Verdict.SUSPICIOUS)
    with scope(gated):
        Delivery.objects.filter(id=copy.id).update(mailbox_verdict=Verdict.BEC)
    wish(gated, copy)
    serve_requests(claimed(gated), scanner=CLEAN)
    with scope(gated):
        word = ClientWord.objects.get()
        assert (word.scan["advice"], word.outcome) == (
            "threat",
            "Stays held: It asks for a password.",
        )
        assert not Intent.objects.exists()


def test_what_a_block_entry_holds_is_not_the_clients_to_release(gated: Cast):
    """After an incident: to the gateway itself the sender's next mail is clean."""
    with scope(gated):
        entry = add_rule(
            tenant_id=gated.acme.id,
            kind="block",
            match="sender",
            value="eve@evil.example",
            reason="She sends malware.",
            actor=gated.ana,
        )
    decided = {"by": "block", "action": "hold", "rule_id": str(entry.id), "owner": "Ana"}
    copies = [hold(gated, Verdict.CLEAN, detail={"decided": decided}) for _ in range(2)]
    wish(gated, copies[0])
    serve_requests(claimed(gated), scanner=CLEAN)
    with scope(gated):
        word = ClientWord.objects.get()
        assert word.settled_at is None
        assert word.scan["outcome"].startswith("left to a person")
        assert not Intent.objects.exists()
        right = rights_of(copies)[copies[1].id]
        assert "client" not in right.roles
        assert {"analyst", "lead"} <= right.roles
        assert "A block entry holds it" in right.sentence

        GatewayRule.objects.update(removed_at=timezone.now())
        assert "client" in rights_of(copies)[copies[1].id].roles, "nothing speaks against it now"


def test_the_asker_is_told_once_and_only_when_the_mail_is_on_its_way(gated: Cast):
    copy = hold(gated)
    wish(gated, copy)
    with scope(gated):
        release_held(delivery=copy, actor=gated.ana, reason="It is genuine.")
        assert not OutgoingMail.objects.exists()
        intent = Intent.objects.get()
        settle_intent(intent.id, ok=True, detail="")
        settle_intent(intent.id, ok=True, detail="")
    serve_outbox(claimed(gated))
    serve_outbox(claimed(gated))
    (mail,) = sent.outbox
    assert (mail.to, mail.subject) == (
        ["pia@acme.example"],
        "The mail that you asked for is released",
    )
    assert "Invoice 4711" in mail.body
    assert "eve[at]evil[.]example" in mail.body


def test_a_release_that_fails_leaves_the_wish_in_the_queue(gated: Cast):
    copy = hold(gated, Verdict.SPAM)
    wish(gated, copy)
    serve_requests(claimed(gated), scanner=nobody_could_look)
    with scope(gated):
        assert ClientWord.objects.get().scan["outcome"] == "released by the client"
        assert wishes_in_sight() == []
        with pytest.raises(Conflict, match="releasing it already"):
            refuse_release(delivery=copy, actor=gated.ana, reason="It is a forgery.")
        settle_intent(Intent.objects.get().id, ok=False, detail="550 no such user")
        (word,) = wishes_in_sight()
        assert (word.settled_at, word.outcome) == (None, "")
        assert "outcome" not in word.scan
        assert not OutgoingMail.objects.exists()


def test_a_refusal_is_told_with_its_reason(gated: Cast):
    copy = hold(gated)
    wish(gated, copy)
    with scope(gated):
        refuse_release(delivery=copy, actor=gated.ana, reason="It is a forgery.")
    serve_outbox(claimed(gated))
    (mail,) = sent.outbox
    assert "stays held" in mail.subject
    assert "It is a forgery." in mail.body


def test_a_wish_leaves_its_work_in_the_transaction_that_makes_it(gated: Cast):
    wish(gated, hold(gated))
    with scope(gated):
        work = Work.objects.get(queue="held")
        assert work.wanted_at is not None
        assert timezone.now() - work.wanted_at < timedelta(minutes=1)


def test_the_new_scan_reads_the_stored_original(gated: Cast):
    copy = hold(gated, Verdict.SUSPICIOUS, evidence=sha256(RAW).hexdigest())
    with scope(gated):
        store_evidence(tenant_id=gated.acme.id, raw=RAW, source="gate:mx1", method="smtp")
        state_policy(gated.acme, held_requests="semi")
    wish(gated, copy)
    looked_at: list[object] = []

    def scanner(originals):
        looked_at.extend(each.raw for each in originals)
        return rescan(originals)

    serve_requests(claimed(gated), scanner=scanner)
    assert looked_at == [RAW]
    with scope(gated):
        scan = ClientWord.objects.get().scan
        assert (scan["engine"], scan["advice"]) == ("embedded", "harmless"), scan


# --- the engines that a gate asks


def stored(cast: Cast, **policy: str) -> Delivery:
    """Held as suspicious, with its original; its sending host is known, as Rspamd wants it."""
    told = {"client_ip": "192.0.2.1", "helo": "mail.example", "mail_from": "a@mail.example"}
    copy = hold(cast, Verdict.SUSPICIOUS, evidence=sha256(RAW).hexdigest(), detail=told)
    with scope(cast):
        store_evidence(tenant_id=cast.acme.id, raw=RAW, source="gate:mx1", method="smtp")
        state_policy(cast.acme, **{"held_requests": "auto", **policy})
    return copy


def original(copy: Delivery, raw: bytes = RAW) -> Original:
    return Original(
        wish_id=copy.id,
        tenant_id=copy.tenant_id,
        raw=raw,
        client_ip="192.0.2.1",
        helo="mail.example",
        mail_from="a@mail.example",
        recipient=copy.recipient,
        received_at=copy.received_at,
    )


@pytest.fixture(scope="module")
def no_names():
    """A resolver that knows no name."""
    with dns_server({}, asked=[]) as (host, port):
        yield f"{host}:{port}"


@pytest.fixture
def rspamd(monkeypatch, no_names: str):
    """A function: within it Rspamd answers this; it is the only engine, so that no process of the
    embedded one need start.
    """

    @contextmanager
    def answers(answer: dict[str, Any] | None):
        loop = asyncio.new_event_loop()
        thread = Thread(target=loop.run_forever, daemon=True)
        thread.start()
        server = FakeRspamd(result(**answer)) if answer is not None else None
        place = server.place() if server else None
        host, port = "127.0.0.1", 9
        if place is not None:
            host, port = asyncio.run_coroutine_threadsafe(place.__aenter__(), loop).result(5)
        monkeypatch.setenv("BAILEY_GATE_ENGINES", "rspamd")
        monkeypatch.setenv("BAILEY_RSPAMD_SCAN", f"{host}:{port}")
        monkeypatch.setenv("BAILEY_DNS", no_names)
        try:
            yield server
        finally:
            if place is not None:
                asyncio.run_coroutine_threadsafe(place.__aexit__(None, None, None), loop).result(5)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(5)
            loop.close()

    return answers


def test_the_new_scan_asks_the_engines_that_a_gate_asks(gated: Cast, rspamd):
    copy = stored(gated)
    bad = {"score": 19.0, "symbols": symbols(PHISHING=19.0)}
    for answer, verdict, is_away in (({}, Verdict.CLEAN, False), (bad, Verdict.PHISH, False)):
        with rspamd(answer) as server:
            found = rescan([original(copy)])[copy.id]
        assert (found.is_away, found.engine) == (is_away, "rspamd")
        assert found.mail is not None
        assert found.mail.verdict == verdict
        assert server.asked[0][1].endswith(RAW)
    with rspamd(None):
        away = rescan([original(copy)])[copy.id]
    assert (away.mail, away.is_away) == (None, True)
    assert away.why == "Not scanned: rspamd did not answer."


def test_where_an_engine_is_away_a_wish_waits_and_is_then_a_persons(gated: Cast, rspamd):
    copy = stored(gated)
    wish(gated, copy)
    with rspamd(None):
        again = serve_requests(claimed(gated))
        assert again is not None
        with scope(gated):
            word = ClientWord.objects.get()
            assert (word.scanned_at, word.scan["why"]) == (
                None,
                "Not scanned: rspamd did not answer.",
            )
        looked: list[object] = []

        def scanner(originals):
            looked.extend(originals)
            return {}

        serve_requests(claimed(gated), scanner=scanner)
        assert looked == []  # its minute is not over
        with scope(gated):
            ClientWord.objects.update(created_at=timezone.now() - PATIENCE, scan={})
        serve_requests(claimed(gated))
    with scope(gated):
        word = ClientWord.objects.get()
        assert (word.scan["advice"], word.scan["outcome"]) == ("unclear", "left to a person")


def test_an_engine_that_comes_back_settles_what_waited(gated: Cast, rspamd):
    copy = stored(gated)
    wish(gated, copy)
    with rspamd(None):
        serve_requests(claimed(gated))
    with scope(gated):
        ClientWord.objects.update(scan={"again_at": "2026-01-01T00:00:00+00:00"})
    with rspamd({}):
        assert serve_requests(claimed(gated)) is None
    with scope(gated):
        assert ClientWord.objects.get().scan["outcome"] == "released by policy"


@pytest.mark.parametrize("action", ["hold", "deliver", "tag"])
def test_what_nobody_scanned_is_never_harmless(gated: Cast, rspamd, action: str):
    copy = stored(gated, action_not_scanned=action)
    wish(gated, copy)
    with rspamd(None):
        serve_requests(claimed(gated))
    with scope(gated):
        scan = ClientWord.objects.get().scan
        assert (scan["advice"], scan["outcome"]) == ("unclear", "left to a person")


def test_wrong_settings_of_engines_leave_it_to_a_person(gated: Cast, monkeypatch):
    monkeypatch.setenv("BAILEY_GATE_ENGINES", "magic")
    copy = stored(gated)
    found = rescan([original(copy)])[copy.id]
    assert (found.mail, found.why) == (None, "The engines' settings are wrong.")
