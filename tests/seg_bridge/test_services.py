import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from seg_bridge.changes import block_sender
from seg_bridge.models import Gate, GatewayRule
from seg_bridge.services import (
    add_rule,
    create_gate,
    remove_rule,
    retire_expired_rules,
    rules_in_force,
)
from seg_bridge.snapshot import find_gate
from tenants.audit import BAILEY
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, NotThere, WrongInput
from tenants.ids import new_id
from tenants.models import AuditEntry, Person, Provider, Work
from tenants.scope import Role, maintenance_scope, tenant_scope
from tests.factories import Cast
from tests.seg_bridge.conftest import Mx


@pytest.fixture
def acme_scope(cast: Cast):
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        yield


def add(cast: Cast, **changes) -> GatewayRule:
    given: dict[str, Any] = {
        "tenant_id": cast.acme.id,
        "kind": "block",
        "match": "sender",
        "value": "eve@evil.example",
        "reason": "seen in an incident",
        "actor": cast.ana,
    }
    return add_rule(**(given | changes))


def test_a_gate_is_created_with_a_sealed_secret_policies_and_an_audit_entry(cast: Cast, mx1: Mx):
    assert mx1.known.secret == mx1.secret
    assert mx1.known.tenant_ids == (cast.acme.id, cast.globex.id)
    with maintenance_scope():
        assert mx1.secret not in bytes(Gate.objects.get(name="mx1").sealed_secret)
        actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"seg_bridge.gate.created", "seg_bridge.gate.client_added"} <= actions


def test_two_gates_cannot_have_one_name(cast: Cast, mx1: Mx):
    with maintenance_scope(), pytest.raises(Conflict, match="already a gate"):
        create_gate(
            provider=cast.provider, name="mx1", hostname="x.example", tenants=[], actor=BAILEY
        )


def test_a_gate_takes_the_secret_it_is_given_unless_it_is_too_short(cast: Cast):
    def make(secret: bytes) -> str:
        with maintenance_scope():
            _, kept = create_gate(
                provider=cast.provider,
                name="mx8",
                hostname="mx8.example",
                tenants=[],
                actor=BAILEY,
                secret=secret,
            )
        return kept

    with pytest.raises(WrongInput, match="at least 32 bytes"):
        make(b"short")
    assert make(b"s" * 32) == (b"s" * 32).hex()
    found = find_gate("mx8")
    assert found is not None
    assert found.secret == b"s" * 32


@pytest.mark.parametrize(
    ("name", "hostname", "words"),
    [("MX 1", "mx1.example", "small letters"), ("mx1", "mx 1", "not a host's name")],
)
def test_a_gate_needs_a_name_and_a_host_that_it_can_start_with(cast: Cast, name, hostname, words):
    with maintenance_scope(), pytest.raises(WrongInput, match=words):
        create_gate(provider=cast.provider, name=name, hostname=hostname, tenants=[], actor=BAILEY)


def test_a_gate_serves_no_client_of_another_provider(cast: Cast):
    with maintenance_scope():
        other = Provider.objects.create(slug="other", name="Other")
        with pytest.raises(WrongInput, match="another provider"):
            create_gate(
                provider=other, name="mx7", hostname="x.example", tenants=[cast.acme], actor=BAILEY
            )


@pytest.mark.parametrize(
    ("match", "value", "kept"),
    [
        ("sender", " <Eve@EVIL.Example> ", "eve@evil.example"),
        ("sender", "eve@bücher.example", "eve@xn--bcher-kva.example"),
        ("sender_domain", "*.Evil.Example.", "evil.example"),
        ("client_ip", "192.0.2.7", "192.0.2.7"),
        ("client_ip", "192.0.2.7/24", "192.0.2.0/24"),
        ("client_ip", "2001:DB8::1", "2001:db8::1"),
        ("url_host", "Login.Evil.Example", "login.evil.example"),
        ("url_host", "[2001:db8::1]", "2001:db8::1"),
        ("attachment_sha256", "AB" * 32, "ab" * 32),
    ],
)
def test_a_value_is_kept_in_one_writing(acme_scope, cast: Cast, match, value, kept):
    assert add(cast, match=match, value=value).value == kept


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"value": "evil"}, "not an address"),
        ({"value": "eve @evil.example"}, "not an address"),
        ({"match": "sender_domain", "value": "co.uk"}, "anybody can have a domain"),
        ({"match": "sender_domain", "value": "evil..example"}, "not a domain"),
        ({"match": "client_ip", "value": "10.0.0.0/8"}, "too wide"),
        ({"match": "client_ip", "value": "localhost"}, "not an address or network"),
        ({"match": "attachment_sha256", "value": "zz"}, "64 hex digits"),
        ({"match": "subject", "value": "x"}, "matches one of"),
        ({"kind": "mute"}, "allows or blocks"),
        ({"reason": "  "}, "say why"),
        ({"recipient": "info@globex.example"}, "not an address or domain of this client"),
        ({"action": "deliver"}, "holds or rejects"),
        ({"beats_threats": True}, "Only an allow entry"),
        ({"kind": "allow", "action": "hold"}, "An allow entry delivers"),
        ({"kind": "allow", "value": "ceo@acme.example"}, "forges this client"),
        ({"kind": "allow", "beats_threats": True, "no_end_because": "So"}, "needs an end"),
        ({"match": "dkim_domain", "value": "co.uk"}, "anybody can have a domain"),
        ({"recipient": "@globex.example"}, "not an address or domain of this client"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "in the future"),
        ({"expires_at": datetime(2099, 1, 1)}, "time zone"),
    ],
)
def test_a_rule_that_nobody_should_want_is_refused(acme_scope, cast: Cast, changes, words):
    with pytest.raises(WrongInput, match=words):
        add(cast, **changes)
    assert not GatewayRule.objects.exists()


def test_an_entry_that_lets_threats_pass_is_a_leads(acme_scope, cast: Cast):
    lets = {"kind": "allow", "value": "ann@sender.example", "beats_threats": True}
    with pytest.raises(NotAllowed, match="A lead makes an entry"):
        add(cast, **lets)
    assert add(cast, **lets, actor=cast.mo).beats_threats


def test_the_same_rule_twice_is_a_conflict_that_names_its_author(acme_scope, cast: Cast):
    add(cast)
    with pytest.raises(Conflict, match="Ana made this rule"):
        add(cast, value="EVE@evil.example", actor=cast.bo)


def test_a_rule_for_a_client_outside_the_scope_is_not_there(acme_scope, cast: Cast):
    with pytest.raises(NotThere):
        add(cast, tenant_id=cast.globex.id)


def test_a_rule_names_no_incident_that_the_client_does_not_have(acme_scope, cast: Cast):
    with pytest.raises(NotThere):
        add(cast, incident_id=new_id())


def test_a_rule_is_audited_with_who_what_and_why(acme_scope, cast: Cast):
    rule = add(cast)
    remove_rule(rule=rule, actor=cast.bo, reason="harmless after all")
    remove_rule(rule=rule, actor=cast.bo, reason="twice")
    added, removed = AuditEntry.objects.filter(object_id=str(rule.id)).order_by("at", "id")
    assert (added.action, added.actor_name, added.reason) == (
        "seg_bridge.rule.added",
        "Ana",
        "seen in an incident",
    )
    assert (removed.action, removed.actor_id, removed.reason) == (
        "seg_bridge.rule.removed",
        cast.bo.id,
        "harmless after all",
    )
    assert added.detail["value"] == "eve@evil.example"


def test_blocking_a_blocked_sender_again_keeps_one_rule(acme_scope, cast: Cast):
    first = block_sender(tenant=cast.acme, sender="eve@evil.example", reason="x", actor=cast.ana)
    again = block_sender(
        tenant=cast.acme,
        sender="Eve@Evil.example",
        reason="y",
        actor=cast.bo,
        expires_at=timezone.now() + timedelta(days=1),
    )
    assert again.id == first.id


def test_a_longer_block_replaces_a_shorter_one_and_stays_as_strict(acme_scope, cast: Cast):
    short = add(cast, action="reject", expires_at=timezone.now() + timedelta(days=1))
    long = block_sender(tenant=cast.acme, sender="eve@evil.example", reason="y", actor=cast.bo)
    assert list(GatewayRule.objects.filter(rules_in_force())) == [long]
    assert long.action == "reject"
    assert long.expires_at is not None
    assert long.expires_at > timezone.now() + timedelta(days=29)
    assert long.id != short.id


def test_a_rule_past_its_end_is_retired_and_the_next_end_is_told(cast: Cast):
    claimed = ClaimedWork(cast.acme.id, cast.provider.id, 1)
    start = timezone.now()
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        add(cast, expires_at=start + timedelta(hours=1))
        later = add(cast, value="x@evil.example", expires_at=start + timedelta(hours=3))
        add(cast, value="y@evil.example")
        assert Work.objects.get(queue="policy").wanted_at == start + timedelta(hours=1)
    with time_machine.travel(start + timedelta(hours=2), tick=False):
        assert retire_expired_rules(claimed) == later.expires_at
        with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
            kept = set(GatewayRule.objects.filter(removed_at=None).values_list("value", flat=True))
            ended = AuditEntry.objects.get(action="seg_bridge.rule.expired")
    assert kept == {"x@evil.example", "y@evil.example"}
    assert ended.detail["value"] == "eve@evil.example"


def at_the_same_moment(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, act: Callable[[Person], GatewayRule]
) -> dict[str, GatewayRule | str]:
    """What Ana and Bo were answered, who had both looked for such an entry before either made it;
    Bo's is not written before Ana's is, and Ana's not committed before Bo waits for it.
    """
    looked, written = threading.Barrier(2, timeout=20), threading.Event()
    answers: dict[str, GatewayRule | str] = {}
    save = GatewayRule.save

    def slowly(rule: GatewayRule, **kwargs: Any) -> None:
        looked.wait()
        if rule.owner_name == "Bo":
            assert written.wait(20)
        save(rule, **kwargs)
        written.set()
        if rule.owner_name == "Ana":
            time.sleep(0.1)

    def ask(person: Person) -> None:
        try:
            scope = tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id)
            with scope:
                answers[person.name] = act(person)
        except Exception as error:  # noqa: BLE001 (the test names it)
            answers[person.name] = repr(error)
        finally:
            connection.close()

    monkeypatch.setattr(GatewayRule, "save", slowly)
    threads = [threading.Thread(target=ask, args=(person,)) for person in (cast.ana, cast.bo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def test_of_two_same_entries_at_the_same_moment_one_is_made(
    transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    cast = transactional_cast
    end = timezone.now() + timedelta(days=1)
    answers = at_the_same_moment(
        cast, monkeypatch, lambda person: add(cast, actor=person, expires_at=end)
    )
    assert isinstance(answers["Ana"], GatewayRule)
    assert "Ana made this rule" in str(answers["Bo"])
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert GatewayRule.objects.get() == answers["Ana"]
        assert AuditEntry.objects.filter(action="seg_bridge.rule.added").count() == 1


def test_two_who_block_one_sender_at_the_same_moment_see_the_one_block(
    transactional_cast: Cast, monkeypatch: pytest.MonkeyPatch
):
    cast = transactional_cast
    end = timezone.now() + timedelta(days=1)
    answers = at_the_same_moment(
        cast,
        monkeypatch,
        lambda person: block_sender(
            tenant=cast.acme,
            sender="eve@evil.example",
            reason="x",
            actor=person,
            expires_at=end,
        ),
    )
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        assert [*answers.values()] == [GatewayRule.objects.get()] * 2


def test_an_entry_past_its_end_makes_room_for_the_same_before_it_is_retired(cast: Cast):
    start = timezone.now()
    scope = {"provider_id": cast.provider.id}
    with tenant_scope(Role.ANALYST, [cast.acme.id], **scope):
        add(cast, expires_at=start + timedelta(hours=1))
    later = start + timedelta(hours=2)
    with (
        time_machine.travel(later, tick=False),
        tenant_scope(Role.ANALYST, [cast.acme.id], **scope),
    ):
        again = add(cast)
        assert list(GatewayRule.objects.filter(removed_at=None)) == [again]
        ended = AuditEntry.objects.get(action="seg_bridge.rule.expired")
    assert ended.detail["value"] == "eve@evil.example"
