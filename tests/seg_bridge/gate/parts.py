"""What the gate's tests are made of: a next hop, an ingest, engines, a client, a gate."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from incidents.mail import read_mail
from incidents.mail.facts import AuthResult, MailFacts
from incidents.observations import Reason
from incidents.words import MatrixAction, Verdict
from seg_bridge.engines import EngineDidNotAnswer, Envelope, Scan
from seg_bridge.gate.hop import HopTimeouts
from seg_bridge.gate.ingest import IngestClient
from seg_bridge.gate.journal import Record, read_all
from seg_bridge.gate.limits import FrontLimits
from seg_bridge.gate.mail_hosts import MailHosts
from seg_bridge.gate.policy import (
    DomainRoute,
    GatewayRule,
    PolicySnapshot,
    TenantPolicy,
    sign_snapshot,
)
from seg_bridge.gate.records import observations
from seg_bridge.gate.server import Gate
from seg_bridge.gate.settings import GateSettings
from seg_bridge.gate.signing import check_request
from seg_bridge.gate.spool import SpoolTimes

SECRET = b"s" * 32
TRACE_KEY = bytes(range(32))
LIMITS = FrontLimits(greet_wait_s=0.01)
TIMEOUTS = HopTimeouts(connect_s=2.0, command_s=2.0, data_s=2.0, end_of_data_s=2.0)


def mail_bytes(subject: str = "Hello", *, body: str = "A line.\r\n", message_id: str = "") -> bytes:
    message_id = message_id or f"<{hashlib.sha1(subject.encode()).hexdigest()[:12]}@sender.example>"
    return (
        f"From: Ann <ann@sender.example>\r\nTo: info@acme.example\r\nSubject: {subject}\r\n"
        f"Message-ID: {message_id}\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n{body}"
    ).encode()


def tenant(slug: str, tenant_id: int, next_hop: str, *names: str, **changes: Any) -> TenantPolicy:
    names = names or ("info", "ceo", "cfo")
    domain = DomainRoute(
        name=f"{slug}.example",
        next_hop=next_hop,
        recipients=frozenset(f"{name}@{slug}.example" for name in names),
    )
    policy = TenantPolicy(tenant_id=tenant_id, slug=slug, name=slug.title(), domains=(domain,))
    return replace(policy, **changes)


def snapshot_of(*tenants: TenantPolicy, version: str = "v1", made_at: datetime | None = None):
    return PolicySnapshot(
        version=version,
        made_at=made_at or datetime(2026, 11, 22, tzinfo=UTC),
        gate="gate1",
        authserv_id="gate1.example",
        trace_keys={"k1": TRACE_KEY.hex()},
        active_trace_key="k1",
        tenants=tenants,
    )


def block(value: str, **changes: Any) -> GatewayRule:
    rule = GatewayRule(id="b1", kind="block", match="sender", value=value, owner="Ana")
    return replace(rule, **changes)


def allow(value: str, **changes: Any) -> GatewayRule:
    rule = GatewayRule(id="a1", kind="allow", match="sender", value=value, owner="Ana")
    return replace(rule, **changes)


def envelope(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "client_ip": "203.0.113.9",
        "helo": "mail.sender.example",
        "mail_from": "ann@sender.example",
        "recipients": ("info@acme.example",),
        "received_at": datetime(2026, 11, 22, tzinfo=UTC),
    }
    return Envelope(**{**values, **changes})


class SubjectEngine:
    """Holds a mail to be what its subject says (``phish 9``), else clean; ``silent`` never
    answers, ``sleep 60`` takes so many seconds.
    """

    name = "subject"

    async def scan(self, raw: bytes, facts: MailFacts, envelope: Envelope) -> Scan:
        word, points, *_ = [*facts.subject.split(), "", ""]
        if word == "silent":
            raise EngineDidNotAnswer("told not to")
        if word == "sleep":
            await asyncio.sleep(float(points))
            points = ""
        verdict = Verdict(word) if word in set(Verdict) else Verdict.CLEAN
        score = float(points or 0) if verdict is not Verdict.CLEAN else 0.0
        return Scan(
            engine=self.name,
            version="1",
            verdict=verdict,
            score=score,
            confidence=0.9,
            reasons=(Reason("subject_says", "The subject says it.", facts.subject, score),),
            auth=(AuthResult("gate1.example", "spf", "pass", "sender.example"),),
        )


class PlainReader:
    """Reads in this process: the gate's tests are not about the reader's."""

    async def read_async(self, raw: bytes, *, envelope_from: str = "") -> MailFacts:
        return read_mail(raw, envelope_from=envelope_from)


@dataclass
class Delivered:
    mail_from: str
    recipients: list[str]
    data: bytes
    options: str


@dataclass
class Sink:
    """A next hop that takes all mail, but for what ``replies`` says: a command's line begins with a
    key → its answer; the key ``.`` is the end of data.  An answer of "" hangs up, None stays
    silent.
    """

    replies: dict[str, str | None] = field(default_factory=dict)
    mails: list[Delivered] = field(default_factory=list)
    connections: int = 0
    extensions: tuple[str, ...] = ("SIZE 1000000", "8BITMIME", "SMTPUTF8")
    idle_s: float = 30.0
    port: int = 0

    async def __aenter__(self) -> Sink:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=64 * 1024 * 1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def hop(self) -> str:
        return f"127.0.0.1:{self.port}"

    def recipients(self) -> list[str]:
        return sorted(name for mail in self.mails for name in mail.recipients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _say(self, writer: asyncio.StreamWriter, text: str | None) -> bool:
        """False: hang up."""
        if text is None:
            await asyncio.sleep(3600)
        writer.write(f"{text}\r\n".encode() if text else b"")
        return bool(text)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(text: str) -> None:
            writer.write(text.encode() + b"\r\n")

        say(self.replies.get("banner") or "220 sink")
        current: Delivered | None = None
        while True:
            line = (await asyncio.wait_for(reader.readuntil(b"\r\n"), self.idle_s))[:-2].decode()
            line = line[:4].upper() + line[4:]  # smtplib writes small letters
            scripted = [text for key, text in self.replies.items() if line.startswith(key)]
            if scripted:
                if not await self._say(writer, scripted[0]):
                    return
                continue
            if line.startswith(("EHLO", "HELO")):
                names = ["sink", *self.extensions]
                say("\r\n".join([*(f"250-{name}" for name in names[:-1]), f"250 {names[-1]}"]))
            elif line.startswith("MAIL FROM:<"):
                sender, _, options = line[11:].partition(">")
                current = Delivered(sender, [], b"", options.strip())
                say("250 ok")
            elif line.startswith("RCPT TO:<") and current is not None:
                current.recipients.append(line[9:].rstrip(">"))
                say("250 ok")
            elif line == "DATA" and current is not None:
                say("354 go on")
                data = await reader.readuntil(b"\r\n.\r\n")
                end = self.replies.get(".", "250 taken")
                current.data = data[:-3].replace(b"\r\n..", b"\r\n.")
                if end and end.startswith("2"):
                    self.mails.append(current)
                current = None
                if not await self._say(writer, end):
                    return
            elif line == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


@dataclass
class Ingest:
    """An ingest that keeps all, over httpx's mock transport.  ``fail_with`` statuses come first."""

    observations: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    commands_done: dict[str, dict[str, Any]] = field(default_factory=dict)
    evidence: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fail_with: list[int] = field(default_factory=list)
    refuse: Callable[[dict[str, Any]], bool] = lambda _: False
    snapshot: dict[str, Any] | None = None
    commands: list[dict[str, Any]] = field(default_factory=list)
    queues: list[dict[str, Any]] = field(default_factory=list)

    def client(self) -> IngestClient:
        return IngestClient(
            url="http://ingest.example",
            gate="gate1",
            secret=SECRET,
            transport=httpx.MockTransport(self.answer),
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        target = request.url.raw_path.decode()
        check_request(
            method=request.method,
            target=target,
            headers=request.headers,
            body=request.content,
            secret_of=lambda gate: SECRET if gate == "gate1" else None,
        )
        if self.fail_with:
            return httpx.Response(self.fail_with.pop(0))
        path = request.url.path
        if path == "/ship":
            return self._take_lines(request.content)
        if path.startswith("/ship/evidence/"):
            return self._evidence(request, path)
        if path == "/gate/queue":
            self.queues.append(json.loads(request.content))
            return httpx.Response(200, json={"items": 0})
        commands = [each for each in self.commands if each["id"] not in self.commands_done]
        version = request.url.params["snapshot"]
        is_known = self.snapshot is None or self.snapshot["snapshot"]["version"] == version
        body = {"snapshot": None if is_known else self.snapshot, "commands": commands}
        return httpx.Response(200, json=body)

    def _take_lines(self, content: bytes) -> httpx.Response:
        refused, duplicates = [], 0
        for number, text in enumerate(content.splitlines()):
            line = json.loads(text)
            self.lines.append(line)
            if self.refuse(line):
                refused.append({"line": number, "error": "told to"})
            elif line["kind"] == "command_done":
                self.commands_done[line["command_id"]] = line
            else:
                seen = line["observation"]
                key = tuple(
                    seen[name] for name in ("tenant_id", "source", "source_key", "observed_at")
                )
                duplicates += key in self.observations
                self.observations[key] = seen
        stored = len(self.observations)
        body = {"stored": stored, "duplicates": duplicates, "refused": refused}
        return httpx.Response(200, json=body)

    def _evidence(self, request: httpx.Request, path: str) -> httpx.Response:
        tenant_id, sha256 = path.split("/")[-2:]
        if request.method == "GET":
            stored = self.evidence.get((tenant_id, sha256))
            return httpx.Response(200, content=stored) if stored else httpx.Response(404)
        if hashlib.sha256(request.content).hexdigest() != sha256:
            return httpx.Response(409)
        self.evidence[tenant_id, sha256] = request.content
        return httpx.Response(201)


def settings_for(folder: Path, **changes: Any) -> GateSettings:
    settings = GateSettings(
        name="gate1",
        secret=SECRET,
        folder=folder,
        listen=("127.0.0.1", 0),
        hostname="gate1.example",
        ingest_url="http://ingest.example",
        takes_xclient=True,
        dns=None,
    )
    return replace(settings, **changes)


class RunningGate:
    """A gate in this process; ``async with`` starts and stops it."""

    def __init__(
        self,
        folder: Path,
        *tenants: TenantPolicy,
        ingest: Ingest | None = None,
        limits: FrontLimits = LIMITS,
        engines: Any = None,
        takes_xclient: bool = True,
        reader: Any = None,
        spool_times: SpoolTimes | None = None,
        milter: Path | None = None,
        reinject: tuple[str, int] = ("127.0.0.1", 9),
        postfix: Path | None = None,
        rescan_pause_s: float = 60.0,
        rspamd_learn: tuple[str, int] | None = None,
        rspamd_password: str = "sesame",
        mail_hosts: MailHosts | None = None,
        **settings: Any,
    ) -> None:
        self.mail_hosts = mail_hosts
        self.folder = folder
        self.tenants = tenants
        self.ingest = ingest or Ingest()
        self.limits = limits
        self.reader = reader or PlainReader()
        self.engines = engines if engines is not None else [SubjectEngine()]
        self.settings = settings_for(
            folder,
            takes_xclient=takes_xclient,
            milter=milter,
            reinject=reinject,
            postfix=postfix,
            rspamd_learn=rspamd_learn,
            rspamd_password=rspamd_password,
            **settings,
        )
        self.spool_times = spool_times
        self.rescan_pause_s = rescan_pause_s

    async def __aenter__(self) -> RunningGate:
        self.client = self.ingest.client()
        self.gate = Gate(
            self.settings,
            engines=self.engines,
            reader=self.reader,
            client=self.client,
            limits=self.limits,
            timeouts=TIMEOUTS,
            spool_times=self.spool_times,
            mail_hosts=self.mail_hosts,
            rescan_pause_s=self.rescan_pause_s,
        )
        if self.tenants:
            self.gate.keeper.replace(sign_snapshot(snapshot_of(*self.tenants).as_json(), SECRET))
        await self.gate.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.gate.stop()
        await self.client.__aexit__(None, None, None)

    def records(self) -> list[Record]:
        return list(read_all(self.settings.journal_folder))

    def observations(self) -> list[dict[str, Any]]:
        return [each for record in self.records() for each in observations(record)]

    def outcomes(self) -> dict[str, str]:
        """Recipient → what the last observation says was done."""
        return {each["recipient"]: each["action"] for each in self.observations()}

    def stops(self) -> list[dict[str, Any]]:
        """Senders that were stopped, as the journal tells of them."""
        return [each["stop"] for each in self.records() if each["kind"] == "sender_stopped"]

    def originals(self) -> list[Path]:
        return sorted(self.settings.originals_folder.rglob("*.eml"))

    async def connect(self) -> SmtpClient:
        return await SmtpClient.connect(*self.gate.address)

    async def send(self, raw: bytes, *recipients: str, sender: str = "ann@sender.example") -> str:
        """The reply to the end of the mail, or to the first command that was refused."""
        client = await self.connect()
        try:
            return await client.send(raw, *(recipients or ("info@acme.example",)), sender=sender)
        finally:
            client.close()


@dataclass
class SmtpClient:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    banner: str = ""
    patience_s: float = 10.0

    @classmethod
    async def connect(cls, host: str, port: int, *, source: str = "") -> SmtpClient:
        local = (source, 0) if source else None
        client = cls(*await asyncio.open_connection(host, port, local_addr=local))
        client.banner = await client.reply()
        return client

    async def reply(self) -> str:
        """All lines of one reply; "" where the server hung up."""
        lines = []
        while True:
            try:
                line = await asyncio.wait_for(self.reader.readline(), self.patience_s)
            except ConnectionError:
                return ""
            lines.append(line.decode().rstrip("\r\n"))
            if not line or line[3:4] != b"-":
                return "\n".join(lines)

    async def command(self, line: str | bytes) -> str:
        self.writer.write(line if isinstance(line, bytes) else line.encode() + b"\r\n")
        return await self.reply()

    async def envelope(self, *recipients: str, sender: str = "ann@sender.example") -> list[str]:
        replies = [await self.command("EHLO mail.sender.example")]
        replies.append(await self.command(f"MAIL FROM:<{sender}>"))
        replies += [await self.command(f"RCPT TO:<{each}>") for each in recipients]
        return replies

    async def data(self, wire: bytes) -> str:
        """``wire`` goes out as it is, end of data included."""
        go_ahead = await self.command("DATA")
        if not go_ahead.startswith("354"):
            return go_ahead
        self.writer.write(wire)
        return await self.reply()

    async def send(self, raw: bytes, *recipients: str, sender: str = "ann@sender.example") -> str:
        for reply in await self.envelope(*recipients, sender=sender):
            if not reply.startswith("2"):
                return reply
        stuffed = raw.replace(b"\r\n.", b"\r\n..")
        return await self.data(stuffed + (b"" if raw.endswith(b"\r\n") else b"\r\n") + b".\r\n")

    def close(self) -> None:
        self.writer.transport.abort()


HOLD_ALL = dict.fromkeys(Verdict, MatrixAction.HOLD)


async def until(condition: Callable[[], bool], seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)
