"""Sends real mail through the gate to a client's mailboxes, and accounts for every copy.

The original headers stay; those that the last mailbox added are dropped, and the sending host that
they name is told to the gate by XCLIENT.  Nothing is ever sent to an address outside the client.
"""

from __future__ import annotations

import re
import smtplib
import tarfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from django.utils import timezone

from console.lib.sending import send_by_smtp
from incidents.mail import read_mail
from incidents.mail.facts import MailFacts
from incidents.mail.headers import drop_headers
from incidents.models import Delivery, Job
from incidents.models.mail import Outcome
from tenants.doors import Client
from tenants.scope import Role, tenant_scope

LARGEST_BYTES = 50 * 1024 * 1024
OUTCOMES = ("delivered", "passed", "held", "rejected", "deferred", "unaccounted")
RETRY_AFTER_S = (1.0, 2.0, 4.0, 8.0, 15.0)
_ULID = re.compile(r"\b[0-7][0-9A-HJKMNP-TV-Z]{25}\b")
_HELO = re.compile(r"[A-Za-z0-9.:_\[\]-]{1,255}")
# What mailbox providers and clients add on arrival: the gate in front never saw it.
_ADDED_ON_ARRIVAL = (
    *("Return-Path", "Delivered-To", "X-Original-To", "X-Envelope-To", "X-Apparently-To"),
    *("X-Gmail-Labels", "X-GM-THRID", "X-Received", "X-Google-Smtp-Source", "Received-SPF"),
    *("ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results"),
    *("Authentication-Results", "Authentication-Results-Original", "X-Mozilla-Status"),
    *("X-Mozilla-Status2", "X-Mozilla-Keys", "Status", "X-Status", "X-Keywords", "X-UID"),
)
_VENDOR = re.compile(rb"(?im)^(x-ms-exchange-[^:\s]*|x-microsoft-[^:\s]*|x-forefront-[^:\s]*):")
_FROM_LINE = re.compile(rb"\AFrom [^\n]*\n")


@dataclass(frozen=True, slots=True)
class Source:
    """One mail as found: ``name`` says where."""

    name: str
    raw: bytes


class Taken(NamedTuple):
    """The gate's last word about one mail.  ``ulid`` "" where it never got that far."""

    name: str
    recipient: str
    ulid: str
    code: int
    reply: str


def find_mails(paths: Iterable[Path]) -> Iterator[Source]:
    """``.eml`` files, mbox files, folders and tar archives, in the order of their names.

    Raises ``FileNotFoundError``; a file that is no mail is passed over.
    """
    for path in paths:
        if path.is_dir():
            yield from find_mails(sorted(one for one in path.rglob("*") if one.is_file()))
        elif tarfile.is_tarfile(path):
            yield from _in_tar(path)
        else:
            yield from _in_file(str(path), path.read_bytes())


def _in_tar(path: Path) -> Iterator[Source]:
    """Members are read, never unpacked: no path of the archive is followed."""
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.isfile() or member.size > LARGEST_BYTES:
                continue
            file = archive.extractfile(member)
            if file is not None:
                yield from _in_file(member.name, file.read())


def _in_file(name: str, raw: bytes) -> Iterator[Source]:
    if name.endswith(".mbox") or (raw.startswith(b"From ") and b"\nFrom " in raw):
        yield from _in_mbox(name, raw)
    elif name.endswith(".eml") or re.match(rb"\A(From [^\n]*\n)?[!-9;-~]+:", raw):
        yield Source(name, _FROM_LINE.sub(b"", raw))


def _in_mbox(name: str, raw: bytes) -> Iterator[Source]:
    parts = re.split(rb"(?m)(?:\A|(?<=\n\n)|(?<=\r\n\r\n))From [^\r\n]*\r?\n", raw)
    for number, part in enumerate((part for part in parts if part.strip()), start=1):
        yield Source(f"{name}#{number}", re.sub(rb"(?m)^>(>*From )", rb"\1", part))


def as_seen_by_gate(source: Source) -> tuple[bytes, MailFacts]:
    """The mail without what its last mailbox added, and its facts as they were stored."""
    facts = read_mail(source.raw)
    head = source.raw.split(b"\n\n", 1)[0].split(b"\r\n\r\n", 1)[0]
    vendor = {name.decode("ascii", "replace") for name in _VENDOR.findall(head)}
    return drop_headers(source.raw, [*_ADDED_ON_ARRIVAL, *vendor]), facts


def sending_host(facts: MailFacts) -> tuple[str, str]:
    """IP address and greeting of the host that handed the mail to the last one; "" if unknown."""
    for hop in facts.hops:
        if hop.from_ip and not hop.from_ip.startswith(("127.", "10.", "192.168.", "::1", "fe80")):
            return hop.from_ip, hop.helo or hop.from_name
    return "", ""


class Replay:
    """One run: the client's mailboxes get the mails in turn."""

    def __init__(self, gate: tuple[str, int], recipients: Sequence[str]) -> None:
        self.gate = gate
        self._turn = cycle(recipients)

    def send(self, source: Source) -> Taken:
        """Send one mail as one copy, again where the gate asks for it, as any mail host would."""
        raw, facts = as_seen_by_gate(source)
        recipient = next(self._turn)
        code, reply = 451, ""
        for pause_s in (*RETRY_AFTER_S, 0.0):
            code, reply = self._try(raw, facts, recipient)
            if code // 100 != 4:
                break
            time.sleep(pause_s)
        found = _ULID.search(reply)
        return Taken(source.name, recipient, found.group() if found else "", code, reply)

    def _try(self, raw: bytes, facts: MailFacts, recipient: str) -> tuple[int, str]:
        client_ip, helo = sending_host(facts)
        sender = facts.envelope_from or (facts.sender.address if facts.sender else "")
        try:
            sent = send_by_smtp(
                self.gate,
                mail_from=sender if sender.isascii() else "",
                recipients=[recipient],
                raw=raw,
                client_ip=client_ip,
                helo=helo if _HELO.fullmatch(helo) else "",
            )
        except (OSError, smtplib.SMTPException) as error:
            return 451, f"no answer: {error}"
        return sent.replies[recipient]


class Accounts:
    """What became of every copy: in = delivered + held + rejected + deferred."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def wait(self, taken: Sequence[Taken], *, within_s: float) -> dict[str, str]:
        """Outcome by ulid, once the gate's account of every mail has arrived, or time is up."""
        wanted = {one.ulid for one in taken if one.ulid}
        until = time.monotonic() + within_s
        while True:
            known = self._read(wanted)
            if len(known) == len(wanted) or time.monotonic() > until:
                return known
            time.sleep(0.5)

    def _read(self, ulids: set[str]) -> dict[str, str]:
        with self._scope():
            rows = Delivery.objects.filter(
                message__trace_ulid__in=ulids, gateway_at__isnull=False
            ).exclude(outcome=Outcome.UNKNOWN)
            return dict(rows.values_list("message__trace_ulid", "outcome"))

    def keep(self, taken: Sequence[Taken], known: dict[str, str]) -> Job:
        """The run as a job: its counts, and the mails behind each of them."""
        counts = Counter(outcome_of(one, known) for one in taken)
        with self._scope():
            return Job.objects.create(
                tenant_id=self._client.tenant_id,
                kind=Job.Kind.REPLAY,
                state=Job.State.DONE,
                requested_by="replay",
                counts={"copies": len(taken)} | {name: counts[name] for name in OUTCOMES},
                detail={"ulids": [one.ulid for one in taken if one.ulid]},
                finished_at=timezone.now(),
            )

    def _scope(self) -> Any:
        client = self._client
        return tenant_scope(Role.WORKER, [client.tenant_id], provider_id=client.provider_id)


def outcome_of(one: Taken, known: dict[str, str]) -> str:
    """What the gate's account says; before it has arrived, what the reply says."""
    if one.ulid in known:
        return known[one.ulid]
    return {4: "deferred", 5: "rejected"}.get(one.code // 100, "unaccounted")
