"""Terms, hosts, logins and keys: what people do, and what the gate is told of it."""

import pytest

from seg_bridge.gate.outbound.logins import check_secret
from seg_bridge.gate.outbound.sealing import KeyDoesNotOpen, open_at_gate
from seg_bridge.outbound import services
from seg_bridge.outbound.checking import look_up
from seg_bridge.outbound.models import SigningKey, SubmissionLogin
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import AuditEntry, Domain, Mailbox
from tests.factories import Cast
from tests.seg_bridge.conftest import Mx, make_gate
from tests.seg_bridge.outbound.parts import TERMS, analyst, switch_on, told_to


def outbound(mx: Mx):
    return told_to(mx).tenants[0].outbound


def domain() -> Domain:
    return Domain.objects.get(name="acme.example")


def test_a_client_that_sends_nothing_is_not_told_of(cast: Cast, mx1: Mx):
    assert outbound(mx1) is None
    switch_on(cast, is_on=False)
    assert outbound(mx1) is None


def test_the_gate_is_told_the_terms(cast: Cast, mx1: Mx):
    switch_on(cast, messages_per_hour=7, stop_threats=2)
    with analyst(cast):
        services.add_host(tenant=cast.acme, network="203.0.113.5", note="Berlin", actor=cast.mo)
        Mailbox.objects.filter(address="ceo@acme.example").update(aliases=["Boss@acme.example"])
    terms = outbound(mx1)
    assert (terms.next_hop, terms.hosts) == ("smtp.acme.example:587", ("203.0.113.5/32",))
    assert (terms.limits.messages_per_hour, terms.limits.threats) == (7, 2)
    assert terms.mailbox_of("boss@acme.example") == "ceo@acme.example"
    assert told_to(mx1).tenants[1].outbound is None
    with analyst(cast):
        services.remove_host(tenant=cast.acme, network="203.0.113.5/32", actor=cast.mo)
    assert outbound(mx1).hosts == ()


@pytest.mark.parametrize(
    ("network", "error"),
    [
        ("203.0.113.5/24", WrongInput),
        ("mail.acme.example", WrongInput),
        ("0.0.0.0/0", WrongInput),
        ("10.0.0.0/8", WrongInput),
        ("2001:db8::/16", WrongInput),
        ("203.0.113.0/28", Conflict),
    ],
)
def test_a_host_that_cannot_be_one(cast: Cast, network, error):
    with analyst(cast):
        services.add_host(tenant=cast.acme, network="203.0.113.0/28", note="", actor=cast.mo)
    with analyst(cast), pytest.raises(error):
        services.add_host(tenant=cast.acme, network=network, note="", actor=cast.mo)


@pytest.mark.parametrize(
    "do",
    [
        lambda cast: services.set_terms(tenant=cast.acme, values=TERMS, actor=cast.ana),
        lambda cast: services.add_host(
            tenant=cast.acme, network="203.0.113.5", note="", actor=cast.ana
        ),
        lambda cast: services.remove_host(tenant=cast.acme, network="x", actor=cast.ana),
        lambda cast: services.make_login(tenant=cast.acme, purpose="x", actor=cast.ana),
        lambda cast: services.make_key(tenant=cast.acme, domain=domain(), actor=cast.ana),
    ],
)
def test_setting_up_is_a_leads(cast: Cast, do):
    with analyst(cast), pytest.raises(NotAllowed):
        do(cast)


def test_a_login_is_shown_once_and_kept_as_a_hash(cast: Cast, mx1: Mx):
    switch_on(cast)
    with analyst(cast):
        name, secret = services.make_login(tenant=cast.acme, purpose="scanners", actor=cast.mo)
        row = SubmissionLogin.objects.get()
        assert name.startswith("acme.")
        assert secret not in str(row.__dict__)
        written = AuditEntry.objects.get(action="seg_bridge.outbound.login_made")
        assert secret not in str(written.__dict__)
    hashed = outbound(mx1).logins[name]
    assert check_secret(secret, hashed)
    assert not check_secret(secret + "x", hashed)
    with analyst(cast):
        services.end_login(login=row, actor=cast.mo)
    assert outbound(mx1).logins == {}
    with analyst(cast), pytest.raises(Conflict):
        services.end_login(login=row, actor=cast.mo)


def test_a_key_signs_once_its_record_is_there(cast: Cast, mx1: Mx):
    switch_on(cast)
    with analyst(cast):
        key = services.make_key(tenant=cast.acme, domain=domain(), actor=cast.mo)
        assert b"PRIVATE" not in bytes(key.sealed_private)
        services.ask_check(key=key)
        (wanted,) = services.wanted_checks(cast.acme.id)
    assert outbound(mx1).keys == ()
    records = {key.record_name: (key.record_value,)}
    with analyst(cast):
        services.note_check(wanted, look_up(wanted.name, wanted.public, lambda *_: ()))
        key.refresh_from_db()
        assert (key.state, key.check_wanted_at) == ("waiting", None)
        assert key.check_words == f"There is no TXT record at {key.record_name} yet."
        found = look_up(wanted.name, wanted.public, lambda name, _: records[name])
        services.note_check(wanted, found)
    (told,) = outbound(mx1).keys
    assert (told.domain, told.selector) == ("acme.example", key.selector)
    opened = open_at_gate(told.sealed, place=told.place, secret=mx1.secret)
    assert opened.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    with pytest.raises(KeyDoesNotOpen):
        open_at_gate(told.sealed, place=told.place, secret=b"x" * 32)
    with pytest.raises(KeyDoesNotOpen):
        open_at_gate(told.sealed, place="dkim/globex.example/x", secret=mx1.secret)


def test_the_same_policy_has_the_same_version_in_every_process(cast: Cast, mx1: Mx):
    """A sealed key must not make two web processes disagree about the policy."""
    from seg_bridge import snapshot

    switch_on(cast)
    with analyst(cast):
        key = services.make_key(tenant=cast.acme, domain=domain(), actor=cast.mo)
        services.start_signing(key=key, actor=cast.mo)
    first = told_to(mx1).version
    snapshot._compiled.clear()
    assert told_to(mx1).version == first
    other = make_gate(cast, cast.acme, name="mx2")
    assert outbound(other).keys[0].sealed != outbound(mx1).keys[0].sealed


def test_a_newer_key_takes_over_and_a_retired_one_signs_nothing(cast: Cast, mx1: Mx):
    switch_on(cast)
    with analyst(cast):
        old = services.make_key(tenant=cast.acme, domain=domain(), actor=cast.mo)
        with pytest.raises(Conflict):
            services.make_key(tenant=cast.acme, domain=domain(), actor=cast.mo)
        services.start_signing(key=old, actor=cast.mo)
        new = services.make_key(tenant=cast.acme, domain=domain(), actor=cast.mo)
        services.start_signing(key=new, actor=cast.mo)
        states = dict(SigningKey.objects.values_list("selector", "state"))
        assert states == {old.selector: "retired", new.selector: "signing"}
        new.refresh_from_db()
        with pytest.raises(Conflict):
            services.start_signing(key=new, actor=cast.mo)
        services.retire_key(key=new, actor=cast.mo)
    assert outbound(mx1).keys == ()


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (("v=DKIM1; k=rsa; p=AB CD",), "holds this key"),
        (("p=ABCD",), "holds this key"),
        (("v=DKIM1; p=EFGH",), "holds another key"),
        (("v=DKIM1; p=",), "holds another key"),
        (("v=spf1 -all",), "is no DKIM record"),
        (("hello",), "is no DKIM record"),
        (("p=ABCD", "p=ABCD"), "there must be one"),
        ((), "no TXT record"),
    ],
)
def test_what_a_look_into_the_dns_finds(records, words):
    found = look_up("b1._domainkey.acme.example", "ABCD", lambda *_: records)
    assert words in found.words
    assert found.is_there is (words == "holds this key")


def test_a_dns_without_an_answer_says_nothing_about_the_record():
    from seg_bridge.engines.embedded.resolver import ResolverFailed

    def silent(*_):
        raise ResolverFailed("time-out")

    assert look_up("x", "y", silent).words == "The DNS gave no answer. Try again later."
