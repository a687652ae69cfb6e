"""Hosts other than Microsoft's: tried out, and connected only if all that is needed works."""

from __future__ import annotations

import pytest

from api_bridge.access.hosts import HOSTS, Checked, Host, ask_host, try_hosts
from api_bridge.access.models import HostTrial
from api_bridge.errors import Temporary
from api_bridge.models import Connection
from console.lib.host_forms import GoogleForm, ImapForm
from tenants.doors import ClaimedWork
from tenants.errors import Conflict, NotAllowed, WrongInput
from tenants.scope import Role, has_scope, tenant_scope

FOUND: dict[str, list[Checked]] = {}


def verify(entered, mailboxes):
    assert not has_scope()
    assert "info@acme.example" in mailboxes
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
