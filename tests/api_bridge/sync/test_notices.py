"""Pushes that bring what changed: proven, opened, a hint all the same; lifecycle events beside."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.db import OperationalError
from django.utils import timezone

from api_bridge import notices, webhooks
from api_bridge import push_keys as push_keys_module
from api_bridge.connectors import Action, Ref
from api_bridge.connectors.graph.sealed import new_push_key
from api_bridge.connectors.graph.signing_keys import SigningKeys
from api_bridge.errors import Temporary
from api_bridge.models import Connection, MailboxSync, PushNotice, SeenItem
from api_bridge.push_keys import push_keys
from api_bridge.runtime import connector_of
from api_bridge.sandbox.graph.sealing import seal
from api_bridge.services import seal_pushes
from tenants.audit import BAILEY
from tests.api_bridge.sync.conftest import Client
from tests.api_bridge.sync.test_push import due, hook, ingest_urls, machine, post, rest

__all__ = ["hook", "ingest_urls", "machine"]


@pytest.fixture
def sealed(connect, hook):
    """A client whose push orders bring what changed."""
    made = connect("delta")
    with made.scope():
        seal_pushes(connection=made.connection, is_on=True, actor=BAILEY)
    made.sync()
    made.sync()
    rest(made)
    return made


def came(client, hook, name: str = "ana", **mail: str) -> dict[str, Any]:
    """What is told of a new mail."""
    client.company.receive(name, **mail)
    said: dict[str, Any] = json.loads(hook.get(timeout=10))
    return said


def serve(client: Client, machine, said: dict[str, Any]) -> MailboxSync:
    """What was said is taken, and the worker serves once."""
    assert post(machine, said).status_code == 202
    client.sync(everything=False)
    return client.mailbox_sync("ana")


def keys_of(client):
    with client.scope():
        return push_keys(Connection.objects.get())


def test_a_sealed_push_leads_to_a_look_and_the_mail_is_found(sealed, hook, machine):
    said = came(sealed, hook)
    (entry,) = said["value"]
    assert entry["encryptedContent"]["encryptionCertificateId"] == keys_of(sealed)[0].id
    assert len(said["validationTokens"]) == 1
    row = serve(sealed, machine, said)
    assert (row.notices_refused, len(sealed.observations())) == (0, 1)
    with sealed.scope():
        assert PushNotice.objects.count() == 0


def test_the_order_lives_a_day_and_is_renewed_before(sealed):
    row = sealed.mailbox_sync("ana")
    assert row.push_key == keys_of(sealed)[0].id
    left = row.push_expires_at - timezone.now()
    assert timedelta(hours=23) < left < timedelta(days=1)
    assert timedelta(hours=15) < row.push_due_at - timezone.now() < timedelta(hours=16)


def test_the_key_is_sealed_at_rest(sealed):
    with sealed.scope():
        kept = bytes(Connection.objects.get().sealed_push_keys)
    assert b"PRIVATE KEY" not in kept
    assert "PRIVATE KEY" not in repr(keys_of(sealed)[0])


def test_what_is_known_already_costs_no_request(sealed, hook, machine, monkeypatch):
    said = came(sealed, hook)
    serve(sealed, machine, said)
    connector = connector_of(sealed.wired())

    def nothing_is_asked(*_: object, **__: object) -> None:
        raise AssertionError("a look at a mailbox")

    monkeypatch.setattr(type(connector), "changes_many", nothing_is_asked)
    monkeypatch.setattr(type(connector), "changes", nothing_is_asked)
    rest(sealed)
    serve(sealed, machine, said)
    assert due(sealed) == set()
    with sealed.scope():
        SeenItem.objects.update(is_read=True)
    with pytest.raises(AssertionError):
        serve(sealed, machine, said)


def test_our_own_move_into_quarantine_costs_no_look(sealed, hook, machine):
    serve(sealed, machine, came(sealed, hook))
    connector = connector_of(sealed.wired())
    with sealed.scope():
        item = SeenItem.objects.get()
        mailbox = item.mailbox.external_id

    ref = Ref(mailbox, item.item_id)
    connector.act(connector.prepare(ref, Action.QUARANTINE, "k"))
    rest(sealed)
    row = serve(sealed, machine, json.loads(hook.get(timeout=10)))
    assert (row.dirty_at, row.notices_refused) == (None, 0)


def forged(client, said: dict[str, Any], key, **claims: object) -> dict[str, Any]:
    """The same, with a proof made with ``key``."""
    told = jwt.decode(said["validationTokens"][0], options={"verify_signature": False})
    kid = jwt.get_unverified_header(said["validationTokens"][0])["kid"]
    token = jwt.encode({**told, **claims}, key, "RS256", headers={"kid": kid})
    return {**said, "validationTokens": [token]}


STRANGER = rsa.generate_private_key(65537, 2048)


def signing_key(client):
    pem = (client.company.cloud.folder / "token-key.pem").read_bytes()

    return load_pem_private_key(pem, None)


def flipped(text: str) -> str:
    content = bytearray(base64.b64decode(text))
    content[-1] ^= 1
    return base64.b64encode(bytes(content)).decode()


REFUSED = {
    "no proof": "brings no proof",
    "no JWT": "DecodeError",
    "stranger": "InvalidSignature",
    "audience": "InvalidAudience",
    "issuer": "InvalidIssuer",
    "publisher": "publisher",
    "ended": "had ended",
    "unsigned": "InvalidAlgorithm",
    "data": "signature",
    "dataSignature": "signature",
    "dataKey": "key does not open",
    "another key": "none of ours",
    "no json": "no JSON",
    "cut": "cannot be read",
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_does_not_prove_itself_is_dropped_and_counted(sealed, hook, machine, how):
    said = came(sealed, hook)
    content = said["value"][0]["encryptedContent"]
    ours, now = signing_key(sealed), int(timezone.now().timestamp())
    if how == "no proof":
        del said["validationTokens"]
    elif how == "no JWT":
        said["validationTokens"] = ["x.y.z", 7]
    elif how == "stranger":
        said = forged(sealed, said, STRANGER)
    elif how == "audience":
        said = forged(sealed, said, ours, aud="00000000-0000-0000-0000-000000000000")
    elif how == "issuer":
        said = forged(sealed, said, ours, iss=f"https://sts.windows.net/{'0' * 36}/")
    elif how == "publisher":
        said = forged(sealed, said, ours, appid=sealed.company.client_id)
    elif how == "ended":
        said = forged(sealed, said, ours, exp=now - 1_000)
    elif how == "unsigned":
        claims = jwt.decode(said["validationTokens"][0], options={"verify_signature": False})
        kid = jwt.get_unverified_header(said["validationTokens"][0])["kid"]
        said["validationTokens"] = [jwt.encode(claims, "", "none", headers={"kid": kid})]
    elif how == "another key":
        stranger = new_push_key(timezone.now())
        certificate = "".join(stranger.certificate_pem.splitlines()[1:-1])
        content |= seal(b"{}", certificate, "theirs")
    elif how == "no json":
        key = keys_of(sealed)[0]
        certificate = "".join(key.certificate_pem.splitlines()[1:-1])
        content |= seal(b"[1", certificate, key.id)
    elif how == "cut":
        del content["dataKey"]
    else:
        content[how] = flipped(content[how])
    row = serve(sealed, machine, said)
    assert row.notices_refused == 1
    assert REFUSED[how] in row.refused_why
    assert (row.dirty_at, sealed.observations()) == (None, [])
    with sealed.scope():
        assert PushNotice.objects.count() == 0
    # Nothing is lost by it: the next whole listing finds the mail.
    sealed.sync()
    assert len(sealed.observations()) == 1


def test_without_the_client_state_nothing_is_even_kept(sealed, hook, machine):
    said = came(sealed, hook)
    said["value"][0]["clientState"] = "wrong"
    post(machine, said)
    with sealed.scope():
        assert PushNotice.objects.count() == 0
    assert sealed.mailbox_sync("ana").notices_refused == 0


def test_a_sealed_notice_that_cannot_be_kept_is_not_accepted(sealed, hook, machine, monkeypatch):
    said = came(sealed, hook)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(webhooks, "_keep_sealed", away)
        assert post(machine, said).status_code == 503
    assert serve(sealed, machine, said).notices_refused == 0
    assert len(sealed.observations()) == 1


def test_a_flood_says_no_more_than_that_something_changed(sealed, hook, machine, monkeypatch):
    said = came(sealed, hook)
    monkeypatch.setattr(webhooks, "MOST_WAITING", 0)
    assert post(machine, said).status_code == 202
    assert due(sealed) == {sealed.company.mail("ana")}
    with sealed.scope():
        assert PushNotice.objects.count() == 0


def test_where_microsofts_keys_cannot_be_had_a_notice_waits_an_hour(
    sealed, hook, machine, monkeypatch
):
    def away(*_: object) -> None:
        raise Temporary("The signing keys cannot be had: 503.")

    said = came(sealed, hook)
    with monkeypatch.context() as patched:
        patched.setattr(SigningKeys, "find", away)
        assert serve(sealed, machine, said).notices_refused == 0
        with sealed.scope():
            assert PushNotice.objects.count() == 1
    sealed.sync(everything=False)
    assert len(sealed.observations()) == 1
    monkeypatch.setattr(SigningKeys, "find", away)
    monkeypatch.setattr(notices, "WAITS", timedelta(0))
    row = serve(sealed, machine, said)
    assert row.notices_refused == 1
    assert "could not be checked" in row.refused_why


def test_one_clients_notice_is_not_anothers(sealed, hook, machine, connect):
    other = connect("globule")
    with other.scope():
        seal_pushes(connection=other.connection, is_on=True, actor=BAILEY)
    other.sync()
    other.sync()
    said = came(sealed, hook)
    # Who has another's proofs and envelope, and his own order's secret, proves nothing by them.
    theirs = came(other, hook, "bo")
    theirs["value"][0]["encryptedContent"] = said["value"][0]["encryptedContent"]
    theirs["validationTokens"] = said["validationTokens"]
    post(machine, theirs)
    rest(other)
    other.sync(everything=False)
    row = other.mailbox_sync("bo")
    assert (row.notices_refused, row.dirty_at) == (1, None)
    assert sealed.mailbox_sync("ana").notices_refused == 0


def test_a_new_key_comes_with_the_renewal_and_the_old_one_still_opens(sealed, hook, machine):
    first = keys_of(sealed)[0]
    said = came(sealed, hook)
    with sealed.scope():
        row = Connection.objects.get()
        old = type(first)(
            id=first.id, private_key_pem=first.private_key_pem,
            certificate_pem=first.certificate_pem,
            made_at=first.made_at - push_keys_module.CHANGED_EVERY,
        )  # fmt: skip
        push_keys_module._keep(row, [old])
        MailboxSync.objects.update(push_due_at=timezone.now())
    sealed.sync(everything=False)
    second, kept = keys_of(sealed)
    assert (kept.id, second.id != first.id) == (first.id, True)
    after = sealed.mailbox_sync("ana")
    assert after.push_key == second.id
    listed = sealed.company.get(f"subscriptions/{after.push_id}")
    assert listed["encryptionCertificateId"] == second.id
    # Sealed before the change, and come after it.
    assert serve(sealed, machine, said).notices_refused == 0
    assert len(sealed.observations()) == 1
    rest(sealed)
    later = came(sealed, hook)
    assert later["value"][0]["encryptedContent"]["encryptionCertificateId"] == second.id
    assert serve(sealed, machine, later).notices_refused == 0
    assert len(sealed.observations()) == 2


def test_switched_off_the_orders_tell_no_more_than_that_something_changed(sealed, hook, machine):
    before = sealed.mailbox_sync("ana")
    with sealed.scope():
        seal_pushes(connection=Connection.objects.get(), is_on=False, actor=BAILEY)
    sealed.sync(everything=False)
    after = sealed.mailbox_sync("ana")
    assert (after.push_key, after.push_error) == ("", "")
    assert after.push_id not in ("", before.push_id)
    assert len(sealed.company.get("subscriptions")["value"]) == 3
    rest(sealed)
    said = came(sealed, hook)
    assert "encryptedContent" not in said["value"][0]
    serve(sealed, machine, said)
    assert len(sealed.observations()) == 1


def lifecycle(client, hook, event: str) -> dict[str, Any]:
    wanted = {"event": event, "subscription_id": client.mailbox_sync("ana").push_id}
    client.company.cloud.admin("POST", "lifecycle", wanted)
    said: dict[str, Any] = json.loads(hook.get(timeout=10))
    return said


def test_an_unknown_lifecycle_event_is_noted_and_means_no_more_than_any(sealed, hook, machine):
    said = lifecycle(sealed, hook, "missed")
    said["value"][0]["lifecycleEvent"] = "tenantPaused\x00" + "x" * 500
    before = sealed.mailbox_sync("ana")
    row = serve(sealed, machine, said)
    assert row.lifecycle_event.startswith("tenantPausedx")
    assert row.lifecycle_at is not None
    assert (row.push_id, row.push_expires_at) == (before.push_id, before.push_expires_at)


def test_a_lifecycle_event_that_comes_again_does_no_harm(sealed, hook, machine):
    removed = lifecycle(sealed, hook, "subscriptionRemoved")
    anew = serve(sealed, machine, removed)
    assert anew.lifecycle_event == "subscriptionRemoved"
    assert serve(sealed, machine, removed).push_id == anew.push_id
    asked = lifecycle(sealed, hook, "reauthorizationRequired")
    for _ in range(2):
        row = serve(sealed, machine, asked)
        assert row.push_id == anew.push_id
        assert row.push_expires_at is not None
        assert row.push_expires_at > timezone.now() + timedelta(hours=23)
    missed = lifecycle(sealed, hook, "missed")
    sealed.company.receive("ana")
    for _ in range(2):
        serve(sealed, machine, missed)
    assert len(sealed.observations()) == 1
    assert len(sealed.company.get("subscriptions")["value"]) == 3


def test_the_gap_of_a_removed_order_is_read(sealed, hook, machine):
    removed = lifecycle(sealed, hook, "subscriptionRemoved")
    sealed.company.receive("ana")  # nobody is told of it
    row = serve(sealed, machine, removed)
    assert row.push_key
    assert len(sealed.observations()) == 1


@pytest.mark.parametrize("stated", ["", None])
def test_a_lifecycle_event_needs_the_client_state_too(sealed, hook, machine, stated):
    said = lifecycle(sealed, hook, "reauthorizationRequired")
    said["value"][0]["clientState"] = stated
    before = sealed.mailbox_sync("ana").push_expires_at
    post(machine, said)
    assert sealed.mailbox_sync("ana").push_expires_at == before
