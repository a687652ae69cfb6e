"""A client: its domain, where its mail goes on to, its mailboxes, and its mail host: Microsoft 365,
Google Workspace, or an IMAP server.

    manage.py createclient --slug acme --name Acme --domain acme.example \\
        --next-hop acme-example.mail.protection.outlook.com:25 --mailboxes acme.csv \\
        --cloud-tenant 3f1c… --app 9b2e…

    manage.py createclient … --google-customer C01abc234 --google-admin admin@acme.example \\
        --google-key acme-key.json

    BAILEY_IMAP_SECRET=… manage.py createclient … --imap-host mail.acme.example --imap-login bailey

The application's secret is read from BAILEY_APP_SECRET; a certificate with its key from files, and
so is the key file of Google's service account.
The CSV has a header line with ``address`` and, if wanted, ``display_name``, ``job_title``, ``vip``.
"""

from __future__ import annotations

import csv
import os
from argparse import ArgumentParser
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from typing_extensions import override

from api_bridge.hearing import is_pushed, push_url
from api_bridge.models import Connection
from api_bridge.services import (
    Cloud,
    Credentials,
    ImapSettings,
    can_connect,
    connect_imap,
    create_connection,
    google_cloud,
    google_credentials,
    verify_imap,
)
from console.lib.imap_options import add_imap_arguments, read_imap
from console.lib.named import gates_named, provider_named
from seg_bridge.gate.policy import split_hop
from seg_bridge.models import Gate
from seg_bridge.services import serve_client
from tenants.audit import Actor
from tenants.errors import DomainError, WrongInput
from tenants.models import Tenant
from tenants.scope import maintenance_scope
from tenants.services import NewMailbox, create_client

ACTOR = Actor("createclient")
_ORDER = ("address", "display_name", "job_title", "vip")
_YES = {"1", "yes", "true", "x"}


class Command(BaseCommand):
    help = "Make a client, let gates take its mail, and connect its mail host."

    @override
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--slug", required=True, help="short name: letters, digits, hyphens")
        parser.add_argument("--name", required=True)
        parser.add_argument("--domain", required=True, help="its mail domain")
        parser.add_argument("--next-hop", required=True, help="host:port that takes its mail")
        parser.add_argument("--mailboxes", type=Path, help="CSV file")
        parser.add_argument(
            "--mailbox", action="append", default=[], help="ADDRESS[,NAME[,TITLE]]; repeatable"
        )
        parser.add_argument("--provider", default="", help="short name; needed if there are more")
        parser.add_argument("--gate", action="append", default=[], help="default: all gates")
        parser.add_argument("--time-zone", default="UTC", help="Europe/Vienna")
        parser.add_argument(
            "--protected", action="store_true", help="its MX records name our gates already"
        )
        _add_contact_arguments(parser)
        _add_cloud_arguments(parser)
        add_imap_arguments(parser)

    @override
    def handle(self, *args: Any, **options: Any) -> None:
        try:
            mail_host = _read_mail_host(options)
            mailboxes = _read_mailboxes(options["mailboxes"], options["mailbox"])
            next_hop = _read_hop(options["next_hop"])
            imap = read_imap(options)
            if imap and mail_host:
                raise WrongInput("Give either --imap-host or another mail host.")
            if imap:
                self._try_out(imap, [mailbox.address for mailbox in mailboxes])
            with maintenance_scope():
                tenant, gates = _make(options, mailboxes, next_hop)
                connection = _connect(tenant, mail_host) if mail_host else None
                if imap:
                    connection = connect_imap(tenant=tenant, settings=imap, actor=ACTOR)
        except DomainError as error:
            raise CommandError(error.sentence) from error
        self.stdout.write(f"{tenant.name} is ready with {len(mailboxes)} mailboxes.")
        names = ", ".join(gate.name for gate in gates)
        self.stdout.write(f"Gates that take its mail: {names or 'none (manage.py creategate)'}.")
        if connection:
            self.stdout.write("Its mailboxes are listed and read from now on.")
            if is_pushed(connection):
                self.stdout.write(f"Let its topic push to {push_url(connection)}")
        if not options["protected"]:
            self.stdout.write(
                f"When its MX records name your gates: manage.py protectclient {tenant.slug}"
            )

    def _try_out(self, imap: ImapSettings, mailboxes: list[str]) -> None:
        """Before anything is made.  Raises ``WrongInput`` where the server cannot be used."""
        checks = verify_imap(imap, mailboxes=mailboxes)
        if not can_connect(checks):
            failed = [check for check in checks if not check.is_ok and check.weight == "needed"]
            raise WrongInput(f"The IMAP server, {failed[0].name}: {failed[0].says}")
        for check in checks:
            if not check.is_ok:
                self.stdout.write(check.says)


def _add_contact_arguments(parser: ArgumentParser) -> None:
    contact = parser.add_argument_group("whom to call")
    for part in ("name", "phone", "email", "hours", "language"):
        contact.add_argument(f"--contact-{part}", default="")


def _add_cloud_arguments(parser: ArgumentParser) -> None:
    cloud = parser.add_argument_group("Microsoft 365 (secret from BAILEY_APP_SECRET)")
    cloud.add_argument("--cloud-tenant", default="", help="directory (tenant) id")
    cloud.add_argument("--app", default="", help="application (client) id")
    cloud.add_argument("--app-certificate", type=Path, help="PEM file, instead of the secret")
    cloud.add_argument("--app-key", type=Path, help="PEM file with the certificate's key")
    google = parser.add_argument_group("Google Workspace")
    google.add_argument("--google-customer", default="", help="customer id, like C01abc234")
    google.add_argument("--google-admin", default="", help="administrator to act as")
    google.add_argument("--google-key", type=Path, help="key file (JSON) of the service account")
    google.add_argument("--google-topic", default="", help="projects/…/topics/… for changes")
    google.add_argument("--google-subscription", default="", help="projects/…/subscriptions/…")
    either = parser.add_argument_group("either")
    either.add_argument("--authority-url", default="", help="a cloud other than the usual")
    either.add_argument("--api-url", default="", help="a cloud other than the usual")
    either.add_argument("--ca-file", default="", help="for a cloud with a CA of its own")


@dataclass(frozen=True, slots=True)
class MailHost:
    """What the client's connection is made of."""

    kind: str
    cloud_tenant_id: str
    credentials: Credentials
    cloud: Cloud


def _read_mail_host(options: dict[str, Any]) -> MailHost | None:
    """None where no mail host is named."""
    if options["cloud_tenant"] and options["google_customer"]:
        raise WrongInput("--cloud-tenant and --google-customer: a client has one mail host.")
    if options["google_customer"]:
        return _read_google(options)
    credentials = _read_credentials(options)
    if credentials is None:
        return None
    cloud = _elsewhere(Cloud(), options)
    return MailHost(Connection.Kind.GRAPH, options["cloud_tenant"], credentials, cloud)


def _connect(tenant: Tenant, mail_host: MailHost) -> Connection:
    return create_connection(
        tenant=tenant,
        kind=mail_host.kind,
        cloud_tenant_id=mail_host.cloud_tenant_id,
        credentials=mail_host.credentials,
        cloud=mail_host.cloud,
        actor=ACTOR,
    )


def _read_google(options: dict[str, Any]) -> MailHost:
    if not options["google_key"] or not options["google_admin"]:
        raise WrongInput("--google-customer needs --google-admin and --google-key.")
    cloud = google_cloud(
        admin=options["google_admin"],
        topic=options["google_topic"],
        subscription=options["google_subscription"],
    )
    return MailHost(
        Connection.Kind.GOOGLE,
        options["google_customer"],
        google_credentials(_read_pem(options["google_key"])),
        _elsewhere(cloud, options),
    )


def _elsewhere(cloud: Cloud, options: dict[str, Any]) -> Cloud:
    """The usual cloud, but for what was said."""
    return replace(
        cloud,
        authority_url=options["authority_url"] or cloud.authority_url,
        api_url=options["api_url"] or cloud.api_url,
        ca_file=options["ca_file"],
    )


def _make(
    options: dict[str, Any], mailboxes: list[NewMailbox], next_hop: tuple[str, int]
) -> tuple[Tenant, list[Gate]]:
    provider = provider_named(options["provider"])
    gates = gates_named(provider, options["gate"])
    contact = {name: value for name, value in options.items() if name.startswith("contact_")}
    tenant = create_client(
        provider=provider,
        slug=options["slug"],
        name=options["name"],
        domain=options["domain"],
        next_hop=next_hop,
        mailboxes=mailboxes,
        protected_since=timezone.now() if options["protected"] else None,
        time_zone=options["time_zone"],
        actor=ACTOR,
        **contact,
    )
    for gate in gates:
        serve_client(gate=gate, tenant=tenant, actor=ACTOR)
    return tenant, gates


def _read_hop(text: str) -> tuple[str, int]:
    try:
        return split_hop(text)
    except ValueError:
        raise WrongInput(f"--next-hop {text}: it should look like mail.acme.example:25.") from None


def _read_mailboxes(file: Path | None, given: list[str]) -> list[NewMailbox]:
    """Raises ``WrongInput`` for a file that is not such a CSV or an address without ``@``."""
    rows: list[dict[str, str]] = []
    if file is not None:
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines)
                columns = set(reader.fieldnames or ())
                if "address" not in columns or not columns <= set(_ORDER):
                    raise WrongInput(f"{file}: the first line should be {','.join(_ORDER)}.")
                rows = list(reader)
        except (OSError, UnicodeDecodeError) as error:
            raise WrongInput(f"{file} cannot be read: {error}") from error
    rows += [dict(zip(_ORDER, text.split(","), strict=False)) for text in given]
    return [_mailbox(row) for row in rows]


def _mailbox(row: dict[str, str]) -> NewMailbox:
    address, name, title, vip = ((row.get(column) or "").strip() for column in _ORDER)
    if "@" not in address:
        raise WrongInput(f"“{address}” is not a mailbox's address.")
    return NewMailbox(address, name, title, vip.lower() in _YES)


def _read_credentials(options: dict[str, Any]) -> Credentials | None:
    """None where no cloud tenant is named."""
    if not options["cloud_tenant"]:
        return None
    if not options["app"]:
        raise WrongInput("--cloud-tenant needs --app, the application's id there.")
    certificate, key = options["app_certificate"], options["app_key"]
    if certificate or key:
        if not (certificate and key):
            raise WrongInput("--app-certificate and --app-key go together.")
        return Credentials(
            client_id=options["app"],
            certificate_pem=_read_pem(certificate),
            private_key_pem=_read_pem(key),
        )
    secret = os.environ.get("BAILEY_APP_SECRET", "")
    if not secret:
        raise WrongInput("Set BAILEY_APP_SECRET, or give --app-certificate and --app-key.")
    return Credentials(client_id=options["app"], secret=secret)


def _read_pem(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{file} cannot be read: {error}") from error
