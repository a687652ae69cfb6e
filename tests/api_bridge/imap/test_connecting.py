"""Trying an IMAP server out and connecting it; ways to log in that take a second server."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from typing_extensions import override

from api_bridge.connectors import MailboxState, Runtime
from api_bridge.connectors.imap import ImapConnector, wire
from api_bridge.errors import AuthExpired
from api_bridge.models import Connection
from api_bridge.runtime import close_connectors, shared_runtime, wire_connection
from api_bridge.services import (
    Credentials,
    ImapSettings,
    can_connect,
    connect_imap,
    replace_credentials,
    verify_imap,
)
from api_bridge.sight import mailbox_blindness
from tenants.audit import BAILEY
from tenants.errors import Conflict, WrongInput
from tenants.scope import maintenance_scope
from tests.api_bridge.imap.scripted import Scripted
from tests.api_bridge.imap.server import MASTER, MASTER_PASSWORD, TOKEN_KEY


def settings_of(server, **changes: Any) -> ImapSettings:
    given = ImapSettings(
        host=server.host,
        port=server.imaps_port,
        auth="master",
        login=MASTER,
        secret=MASTER_PASSWORD,
        ca_file=str(server.ca),
    )
    return replace(given, **changes)


def runtime_of(server) -> Runtime:
    return Runtime(allowed_hosts=server.allowed)


def test_a_good_server_is_good_in_everything(server, ana):
    checks = verify_imap(settings_of(server), mailboxes=[ana], runtime=runtime_of(server))
    assert can_connect(checks)
    lacking = {check.name for check in checks if not check.is_ok}
    # Dovecot 2.3 has no OBJECTID; nothing else is off.
    assert lacking == {"mail names"}
    assert f"mailbox {ana}" in {check.name for check in checks}


# What is typed in wrong, where it is seen, and what is said.
@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"host": ""}, "settings", "name is missing"),
        ({"host": "elsewhere.example"}, "settings", "BAILEY_OUTGOING_HOSTS"),
        ({"secret": ""}, "settings", "secret is missing"),
        ({"secret": "wrong"}, "mailbox {ana}", "refused the login"),
        ({"ca_file": ""}, "mailbox {ana}", "certificate of localhost is not accepted"),
        ({"security": "starttls"}, "mailbox {ana}", "No IMAP server answers"),
        ({"identity": "emailid"}, "identity", "choose identity"),
    ],
)
def test_what_is_wrong_is_said_where_it_is_seen(server, ana, monkeypatch, changes, name, says):
    monkeypatch.setattr(wire, "GREETING_S", 0.5)
    given = settings_of(server, **changes)
    checks = verify_imap(given, mailboxes=[ana], runtime=runtime_of(server))
    assert not can_connect(checks)
    failed = next(check for check in checks if not check.is_ok and check.weight == "needed")
    assert failed.name == name.format(ana=ana)
    assert says in failed.says
    assert "the master's" not in str(checks)


def test_without_a_mailbox_there_is_nothing_to_try(server):
    (check,) = verify_imap(settings_of(server), runtime=runtime_of(server))
    assert (check.is_ok, "name one" in check.says) == (False, True)


def test_of_a_poor_server_it_is_said_what_is_off(tmp_path):
    from api_bridge.sandbox.certificates import ensure_server_certificate

    ensure_server_certificate(tmp_path, [])
    server = Scripted(tmp_path, capabilities="IMAP4rev1 AUTH=PLAIN")
    with closing(server):
        given = ImapSettings(
            host="localhost",
            port=server.port,
            passwords={"ana@delta.example": "secret"},
            ca_file=str(tmp_path / "ca.pem"),
        )
        names = ("localhost", "127.0.0.1", "[::1]")
        runtime = Runtime(allowed_hosts={f"{name}:{server.port}" for name in names})
        checks = {check.name: check for check in verify_imap(given, runtime=runtime)}
    assert can_connect(list(checks.values()))
    off = {name for name, check in checks.items() if not check.is_ok}
    assert {"changes", "moving", "idle", "all folders heard", "folder list"} <= off
    assert "only watched" in checks["moving"].says


def test_a_connection_keeps_its_secret_under_seal_and_is_there_once(office, server):
    client = office("eps")
    with client.scope():
        row = Connection.objects.get()
        assert (row.kind, row.client_id) == ("imap", MASTER)
        assert row.cloud_tenant_id == f"localhost:{server.imaps_port}/{client.tenant.id}"
        assert MASTER_PASSWORD not in json.dumps(row.settings)
        assert MASTER_PASSWORD.encode() not in bytes(row.sealed_secret)
        assert wire_connection(row).client_secret == MASTER_PASSWORD
        with pytest.raises(Conflict):
            connect_imap(tenant=client.tenant, settings=client.company.settings(), actor=BAILEY)
        replace_credentials(
            connection=row, credentials=Credentials(client_id="other", secret="new"), actor=BAILEY
        )
        assert wire_connection(Connection.objects.get()).client_secret == "new"
        with pytest.raises(WrongInput):
            replace_credentials(connection=row, credentials=Credentials(client_id=""), actor=BAILEY)


def test_mailboxes_of_somebody_else_are_not_connected(office):
    client = office("iota")
    given = replace(client.company.settings(), mailboxes=["ana@delta.example"])
    with client.scope(), pytest.raises(WrongInput, match="none of the client's domains"):
        connect_imap(tenant=client.tenant, settings=given, actor=BAILEY)


def test_a_client_is_made_with_its_server_tried_out_first(server, outgoing, cast, monkeypatch):
    def create(slug: str) -> str:
        said = StringIO()
        call_command(
            *("createclient", "--slug", slug, "--name", slug, "--domain", f"{slug}.example"),
            *("--next-hop", "127.0.0.1:25", "--mailbox", f"ana@{slug}.example"),
            *("--provider", cast.provider.slug, "--ca-file", str(server.ca)),
            *("--imap-host", "localhost", "--imap-port", str(server.imaps_port)),
            *("--imap-login", MASTER, "--imap-internal-host", "localhost"),
            stdout=said,
        )
        return said.getvalue()

    monkeypatch.setenv("BAILEY_IMAP_SECRET", "wrong")
    with pytest.raises(CommandError, match="refused the login"):
        create("kappa")
    monkeypatch.setenv("BAILEY_IMAP_SECRET", MASTER_PASSWORD)
    said = create("kappa")
    assert "Without OBJECTID" in said
    assert "read from now on" in said
    with maintenance_scope():
        row = Connection.objects.get(kind="imap")
        assert row.settings["internal_hosts"] == "localhost"


def test_two_clients_may_be_on_one_server_and_each_sees_its_own(office):
    first, second = office("eta"), office("theta")
    for client in (first, second):
        client.company.receive("ana")
        client.sync()
    for client in (first, second):
        (seen,) = client.observations()
        assert seen.recipient == client.company.mail("ana")


class TokenEndpoint:
    """Gives tokens to whoever knows the secret, for the mailbox that is named."""

    def __init__(self, server) -> None:
        self.asked: list[dict[str, str]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                wanted = {name: each[0] for name, each in parse_qs(body.decode()).items()}
                asked.append(wanted)
                is_good = wanted["client_secret"] == "the client's"
                subject = wanted.get("requested_subject", "nobody")
                answer: dict[str, Any] = {"error": "invalid_client"}
                if is_good:
                    token = jwt.encode({"sub": subject, "exp": 4_000_000_000}, TOKEN_KEY)
                    answer = {"access_token": token, "expires_in": 3600}
                said = json.dumps(answer).encode()
                self.send_response(200 if is_good else 401)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            @override
            def log_message(self, *args: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(server.root / "server.pem", server.root / "server-key.pem")
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.authority = f"127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def tokens(server) -> Iterator[TokenEndpoint]:
    with closing(TokenEndpoint(server)) as made:
        yield made


def by_oauth(server, tokens, *mailboxes: str, **changes: Any) -> ImapConnector:
    given = server.connection(*mailboxes, auth="oauth", subject_field="requested_subject")
    given = replace(
        given,
        client_id="bailey",
        client_secret="the client's",
        authority_url=f"https://{tokens.authority}/token",
    )
    runtime = Runtime(allowed_hosts={*server.allowed, tokens.authority})
    return ImapConnector(replace(given, **changes), runtime)


def test_a_token_of_the_mailbox_opens_it_and_is_asked_for_once(server, tokens, ana):
    with closing(by_oauth(server, tokens, ana)) as connector:
        assert connector.probe(ana) is MailboxState.ACTIVE
        connector.pool.open(ana).close()
    (asked,) = tokens.asked
    assert (asked["grant_type"], asked["requested_subject"]) == ("client_credentials", ana)


def test_a_token_that_the_server_refuses_is_asked_for_anew_once(server, tokens, ana):
    with closing(by_oauth(server, tokens, ana)) as connector:
        options = connector.options
        connector._cache.set(
            f"imap.token.{options.key}.{ana}", json.dumps([4_000_000_000, "old"]), ttl_s=60
        )
        assert connector.probe(ana) is MailboxState.ACTIVE
    assert len(tokens.asked) == 1


def test_a_wrong_client_secret_is_a_persons_to_mend(server, tokens, ana):
    with closing(by_oauth(server, tokens, ana, client_secret="wrong")) as connector:
        with pytest.raises(AuthExpired) as caught:
            list(connector.list_mailboxes())
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("shut_out", "state", "word"),
    [
        ("certificate", "not_trusted", "certificate is not accepted"),
        ("inside", "not_allowed", "may not call the mail host's address"),
        ("not named", "not_allowed", "may not call the mail host's address"),
    ],
)
def test_a_host_that_may_not_be_read_is_not_one_that_does_not_answer(
    client_, server, settings, shut_out, state, word
):
    with client_.scope():
        Connection.objects.update(**({"ca_file": ""} if shut_out == "certificate" else {}))
    if shut_out == "inside":
        settings.OUTGOING_HOSTS = [f"localhost:{server.imaps_port}"]
    elif shut_out == "not named":
        settings.OUTGOING_HOSTS = []
    close_connectors()
    shared_runtime.cache_clear()
    client_.sync()
    with client_.scope():
        found = mailbox_blindness(client_.tenant.id)
        assert Connection.objects.get().state == state
    assert found is not None
    assert word in found.why
