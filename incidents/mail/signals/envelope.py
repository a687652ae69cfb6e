"""How the mail travelled and how its headers were made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from incidents.mail.signals.domains import (
    is_bulk_sender,
    is_free_mailer,
    owner_domain,
    same_owner,
)
from incidents.mail.signals.reading import Reading, Signal
from incidents.observations import Reason

_MASS_MAILER = re.compile(
    r"phpmailer|^php/|the bat|mass ?mail|swiftmailer|sendblaster|gammadyne|group mail|atomic|"
    r"dynamailer|mailking|turbo-?mailer|nodemailer|interspire|smtpclient|^ver\. ?\d|^\d[\d.]*$",
    re.I,
)
_OUTDATED = re.compile(r"outlook express|microsoft outlook,? build 10|office outlook 1[01]\b", re.I)
OUTDATED_SINCE = 2014
"""Year from which mail programs of the early two-thousands are a forger's costume."""


def envelope_differs(reading: Reading) -> Iterator[Reason]:
    """Bounces go to another firm than the From line names, and not to a known mailer's host."""
    bounce = reading.facts.envelope_from.rpartition("@")[2].lower().strip("<> ")
    if not bounce or not reading.sender_domain:
        return
    if reading.list_domain and reading.list_domain == owner_domain(bounce):
        return
    if same_owner(bounce, reading.sender_domain) or is_bulk_sender(bounce):
        return
    yield Reason(
        "envelope_differs",
        f"The From line names {reading.sender_domain}, but the mail was handed over by {bounce}.",
        bounce,
    )


def message_id(reading: Reading) -> Iterator[Reason]:
    value = reading.facts.internet_message_id.strip("<> ")
    if not value:
        yield Reason("message_id_missing", "The mail has no Message-ID.")
        return
    host = value.rpartition("@")[2].lower()
    if "@" not in value or not host:
        yield Reason(
            "message_id_malformed", f"The Message-ID is not well formed: {value[:80]}.", value[:80]
        )
        return
    if "." not in host or host == "localhost" or "localdomain" in host:
        yield Reason(
            "message_id_local", f"The Message-ID was made on a nameless host: {host}.", host
        )
    elif same_owner(host, reading.sender_domain):
        yield Reason(
            "message_id_of_sender",
            f"The Message-ID was made in the sender's own domain {host}.",
            host,
        )
    elif is_free_mailer(reading.sender_domain) and "google" not in host and "mail" not in host:
        yield Reason(
            "message_id_foreign",
            f"The sender is at {reading.sender_domain}, but the Message-ID was made at {host}.",
            host,
        )


def date(reading: Reading) -> Iterator[Reason]:
    sent = reading.facts.sent_at
    if sent is None:
        yield Reason("date_missing", "The mail has no readable date.")
        return
    arrived = next((hop.received_at for hop in reading.facts.hops if hop.received_at), None)
    if arrived is None:
        return
    if sent - arrived > timedelta(hours=12):
        yield Reason("date_in_future", f"The mail is dated {sent:%-d %B %Y}, after it arrived.")
    elif arrived - sent > timedelta(days=4):
        yield Reason(
            "date_long_ago", f"The mail is dated {sent:%-d %B %Y}, days before it arrived."
        )


def recipients(reading: Reading) -> Iterator[Reason]:
    if not reading.recipients:
        yield Reason("recipients_hidden", "The mail names no recipient; it went to a hidden list.")
    elif len(reading.facts.to) + len(reading.facts.cc) > 15 and not reading.facts.list_id:
        count = len(reading.facts.to) + len(reading.facts.cc)
        yield Reason("many_recipients", f"The mail names {count} recipients.", str(count))


def mailer(reading: Reading) -> Iterator[Reason]:
    shown = reading.header("x-mailer") or reading.header("user-agent")
    sent = reading.facts.sent_at
    if reading.header("x-php-originating-script") or reading.header("x-php-script"):
        yield Reason("sent_by_web_script", "The mail was sent by a script on a web server.")
    elif _OUTDATED.search(shown) and sent and sent.year >= OUTDATED_SINCE:
        yield Reason(
            "outdated_mailer", f"The mail claims a program of long ago: {shown[:60]}.", shown[:60]
        )
    elif shown and _MASS_MAILER.search(shown):
        yield Reason("mass_mailer", f"The mail was made with {shown[:60]}.", shown[:60])
    if reading.header("x-priority").startswith(("1", "2")) or (
        reading.header("importance").lower() == "high"
    ):
        yield Reason("marked_urgent", "The sender marked the mail as urgent.")


def bulk(reading: Reading) -> Iterator[Reason]:
    """Where the reader may unsubscribe: at the sender's own or a mailer's host, or elsewhere."""
    unsubscribe = reading.header("list-unsubscribe")
    if not unsubscribe:
        return
    hosts = re.findall(r"(?:https?://|@)([\w.-]+)", unsubscribe)
    own = [
        host for host in hosts if same_owner(host, reading.sender_domain) or is_bulk_sender(host)
    ]
    if own:
        yield Reason(
            "unsubscribe_at_sender",
            f"The reader can unsubscribe at the sender's own {own[0]}.",
            own[0],
        )
    elif hosts:
        yield Reason(
            "unsubscribe_elsewhere",
            f"To unsubscribe, the reader is sent to {hosts[0]}, which is not the sender's.",
            hosts[0],
        )


SIGNALS: tuple[Signal, ...] = (
    envelope_differs,
    message_id,
    date,
    recipients,
    mailer,
    bulk,
)
