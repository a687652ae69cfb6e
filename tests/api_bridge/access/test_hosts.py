"""Hosts other than Microsoft's: tried out, and connected only if all that is needed works."""

from __future__ import annotations

import pytest
from django.utils import timezone

from api_bridge.access.hosts import HOSTS, STUMBLED, Checked, Host, ask_host, try_hosts
from api_bridge.access.models import HostTrial
from api_bridge.errors import Temporary
from api_bridge.models import Connection, MailboxSync
from api_bridge.runtime import wire_connection
from console.lib.host_forms import GoogleForm, ImapForm
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.models import Mailbox
from tenants.scope import Role, has_scope, tenant_scope

FOUND: dict[str, list[Checked]] = {}


def verify(entered, known):
    assert not has_scope()
    assert "info@acme.example" in known.mailboxes
    found = FOUND[entered["host"]]
    if isinstance(found, Exception):
        raise found
    return found


def connect(*, tenant, entered, actor):
    if entered["host"] == "taken":
        raise Conflict("This server is connected already.")
    Connection.objects.create(
        tenant=tenant, kind="imap", cloud_tenant_id=entered["host"], client_id="x"
    )


@pytest.fixture
def acme(cast, monkeypatch, no_broker):
    monkeypatch.setitem(HOSTS, "imap", Host(f"{__name__}.verify", f"{__name__}.connect"))
    return cast


def tried(cast, host):
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        ask_host(
            tenant=cast.acme, kind="imap", entered={"host": host, "secret": "s"}, actor=cast.mo
        )
    try_hosts(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        trial = HostTrial.objects.latest("asked_at")
        return trial.stage, trial.words, bytes(trial.sealed), Connection.objects.count()


OK, NO = Checked("login", is_ok=True), Checked("login", is_ok=False, words="Wrong password.")
LESS = Checked("idle", is_ok=False, is_needed=False)


@pytest.mark.parametrize(
    ("host", "found", "stage", "words"),
    [
        ("good", [OK, LESS], "connected", ""),
        ("bad", [OK, NO], "failed", "Did not work: login."),
        ("none", [], "failed", "Did not work: nothing ran."),
        ("away", Temporary("No connection."), "failed", "No connection."),
        ("taken", [OK], "failed", "This server is connected already."),
        ("odd", KeyError("port"), "failed", STUMBLED),
    ],
)
def test_it_is_connected_only_if_all_that_is_needed_works(acme, host, found, stage, words):
    FOUND[host] = found
    assert tried(acme, host) == (stage, words, b"", int(stage == "connected"))


def test_who_may_and_what_is_known(acme):
    with tenant_scope(Role.ANALYST, [acme.acme.id], provider_id=acme.provider.id):
        with pytest.raises(NotAllowed):
            ask_host(tenant=acme.acme, kind="imap", entered={}, actor=acme.ana)
        with pytest.raises(WrongInput):
            ask_host(tenant=acme.acme, kind="pop3", entered={}, actor=acme.mo)


KEY = '{"client_email": "a@b", "private_key": "k", "token_uri": "https://oauth2.googleapis.com"}'


@pytest.mark.parametrize(
    ("form", "said", "wrong"),
    [
        (GoogleForm, {"customer_id": "C1", "admin": "a@b", "service_account_key": KEY}, set()),
        (
            GoogleForm,
            {"customer_id": "C1", "admin": "a@b", "service_account_key": "{}"},
            {"service_account_key"},
        ),
        (
            GoogleForm,
            {"customer_id": "C1", "admin": "a@b", "service_account_key": "[" * 19000},
            {"service_account_key"},
        ),
        (
            GoogleForm,
            {"customer_id": "C1", "admin": "a@b", "service_account_key": KEY, "topic": "p"},
            {"subscription"},
        ),
        (ImapForm, {"auth": "master", "login": "m", "secret": "s"}, set()),
        (
            ImapForm,
            {"auth": "master", "login": "m", "secret": "s", "ca_pem": "no certificate"},
            {"ca_pem"},
        ),
        (ImapForm, {"auth": "master"}, {"login"}),
        (ImapForm, {"auth": "password"}, {"passwords"}),
        (ImapForm, {"auth": "oauth", "login": "m", "secret": "s"}, {"token_url"}),
    ],
)
def test_what_is_entered_is_checked(form, said, wrong):
    base = {"host": "imap.example", "port": "993", "security": "tls"} if form is ImapForm else {}
    filled = form(base | said)
    filled.is_valid()
    assert set(filled.errors) == wrong


def test_the_operators_own_cloud_comes_first_and_is_asked_for_only_where_it_is(settings):
    settings.OTHER_CLOUD = None
    assert "cloud" not in GoogleForm().fields
    settings.OTHER_CLOUD = ("https://127.0.0.1:8443", "http://127.0.0.1:8004", "/ca.pem")
    shown = str(GoogleForm()["cloud"])
    assert 0 < shown.index('value="own"') < shown.index('value="google"')


def test_passwords_are_read_line_by_line():
    said = {"host": "h", "port": "993", "security": "tls", "auth": "password"}
    form = ImapForm(said | {"passwords": "A@x.example one two\n\n b@x.example three \n"})
    assert form.is_valid()
    assert form.entered["passwords"] == '{"a@x.example": "one two", "b@x.example": "three"}'
    form = ImapForm(said | {"passwords": "no address here"})
    assert form.is_valid()
    with pytest.raises(WrongInput):
        _ = form.entered


# Whose mailboxes there are before an IMAP server is tried: "graph" and "google" have listed theirs,
# "new" has not; what is of nobody is a recipient of the gateway.
WHOSE = [
    # others that have listed, named, is there one that has not -> tried, or why nothing is
    ({}, "", False, {"info@", "it@", "cfo@", "ceo@"}),
    ({"cfo@": "graph"}, "", False, {"info@", "it@", "ceo@"}),
    ({"cfo@": "graph", "it@": "google"}, "", False, {"info@", "ceo@"}),
    (dict.fromkeys(("cfo@", "it@", "info@", "ceo@"), "graph"), "", False, "No mailbox is known"),
    ({"cfo@": "graph"}, "", True, "are not listed so far"),
    ({"cfo@": "graph"}, "info@acme.example", True, {"info@"}),
    ({"cfo@": "graph"}, "new@acme.example info@acme.example", False, {"new@", "info@"}),
    ({"cfo@": "graph"}, "info@acme.example cfo@acme.example", False, "another mail host"),
    ({"cfo@": "graph"}, "info@acme.example boss@acme.example", False, "another mail host"),
]


@pytest.mark.parametrize(("others", "named", "has_new", "tried_or_why"), WHOSE)
def test_a_login_for_all_is_tried_on_this_hosts_mailboxes_alone(
    cast, no_broker, monkeypatch, others, named, has_new, tried_or_why
):
    asked = []

    def verify_imap(settings, *, mailboxes):
        assert not has_scope()
        asked.extend(settings.mailboxes or mailboxes)
        return []

    monkeypatch.setattr("api_bridge.access.other_hosts.verify_imap", verify_imap)
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        now = timezone.now()
        links = {
            kind: Connection.objects.create(
                tenant=cast.acme, kind=kind, cloud_tenant_id=kind, mailboxes_listed_at=now
            )
            for kind in sorted(set(others.values()))
        }
        for name, kind in others.items():
            mailbox = Mailbox.objects.get(address=f"{name}acme.example")
            mailbox.external_id = f"id of {name}"
            mailbox.aliases = [] if name != "cfo@" else ["Boss@acme.example"]
            mailbox.save()
            MailboxSync.objects.create(
                tenant=cast.acme, mailbox=mailbox, connection=links[kind], due_at=now
            )
        if has_new:
            Connection.objects.create(tenant=cast.acme, kind="google", cloud_tenant_id="new")
    form = ImapForm(
        {
            "host": "imap.acme.example",
            "port": "993",
            "security": "tls",
            "auth": "master",
            "login": "bailey",
            "secret": "s",
            "mailboxes": named,
        }
    )
    assert form.is_valid(), form.errors
    with tenant_scope(Role.ANALYST, [cast.acme.id], provider_id=cast.provider.id):
        ask_host(tenant=cast.acme, kind="imap", entered=form.entered, actor=cast.mo)
    try_hosts(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        words = HostTrial.objects.latest("asked_at").words
    if isinstance(tried_or_why, str):
        assert tried_or_why in words
        assert asked == []
    else:
        assert {each.removesuffix("acme.example") for each in asked} == tried_or_why


def test_a_connected_server_reads_no_mailbox_of_another_host(cast):
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        imap, graph = (
            Connection.objects.create(tenant=cast.acme, kind=kind, cloud_tenant_id=kind)
            for kind in ("imap", "graph")
        )
        for name, link in (("cfo@", graph), ("ceo@", graph), ("it@", imap)):
            box = Mailbox.objects.get(address=f"{name}acme.example")
            Mailbox.objects.filter(id=box.id).update(external_id=name)
            MailboxSync.objects.create(
                tenant=cast.acme, mailbox=box, connection=link, due_at=timezone.now()
            )
        wired = dict(wire_connection(imap).settings)
    assert wired["mailboxes"] == "info@acme.example it@acme.example"
