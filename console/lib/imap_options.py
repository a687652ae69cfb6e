"""The options of a command that connects a client's IMAP server.

Secrets are read from BAILEY_IMAP_SECRET, or, one for each mailbox, from a CSV file with the columns
``address`` and ``password``.
"""

from __future__ import annotations

import csv
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from api_bridge.services import ImapSettings
from tenants.errors import WrongInput

SECRET = "BAILEY_IMAP_SECRET"  # noqa: S105 - the name of a variable


def add_imap_arguments(parser: ArgumentParser) -> None:
    imap = parser.add_argument_group(f"IMAP server (secret from {SECRET})")
    imap.add_argument("--imap-host", default="", help="as its certificate names it")
    imap.add_argument("--imap-port", type=int, help="default: 993, with STARTTLS 143")
    imap.add_argument("--imap-security", default="tls", choices=("tls", "starttls"))
    imap.add_argument("--imap-auth", default="", choices=("", "password", "master", "oauth"))
    imap.add_argument("--imap-login", default="", help="master login, or OAuth's client id")
    imap.add_argument("--imap-passwords", type=Path, help="CSV file: address,password")
    imap.add_argument("--imap-master-separator", default="", help="default: *; or sasl")
    imap.add_argument("--imap-token-url", default="", help="OAuth's token endpoint")
    imap.add_argument("--imap-scope", default="", help="OAuth")
    imap.add_argument("--imap-grant", default="", help="OAuth; default: client_credentials")
    imap.add_argument("--imap-subject-field", default="", help="OAuth: a token of each mailbox")
    imap.add_argument(
        "--imap-internal-host",
        action="append",
        default=[],
        help="a name that the server writes behind “by” in its Received lines; repeatable",
    )


def read_imap(options: dict[str, Any]) -> ImapSettings | None:
    """None where no server is named.  Raises ``WrongInput``."""
    if not options["imap_host"]:
        return None
    file = options["imap_passwords"]
    passwords = _read_passwords(file) if file else {}
    auth = options["imap_auth"] or ("password" if passwords else "master")
    secret = os.environ.get(SECRET, "")
    if auth == "password" and not passwords:
        raise WrongInput("--imap-auth password needs --imap-passwords, a CSV file.")
    if auth != "password" and not (secret and options["imap_login"]):
        raise WrongInput(f"--imap-auth {auth} needs --imap-login and {SECRET}.")
    return ImapSettings(
        host=options["imap_host"],
        port=options["imap_port"],
        security=options["imap_security"],
        auth=auth,
        login=options["imap_login"],
        secret=secret if auth != "password" else "",
        passwords=passwords,
        master_separator=options["imap_master_separator"],
        token_url=options["imap_token_url"],
        scope=options["imap_scope"],
        grant=options["imap_grant"],
        subject_field=options["imap_subject_field"],
        internal_hosts=options["imap_internal_host"],
        ca_file=options["ca_file"],
    )


def _read_passwords(file: Path) -> dict[str, str]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInput(f"{file} cannot be read: {error}") from error
    if not rows or set(rows[0]) != {"address", "password"}:
        raise WrongInput(f"{file}: the first line should be address,password.")
    return {(row["address"] or "").strip().lower(): row["password"] or "" for row in rows}
