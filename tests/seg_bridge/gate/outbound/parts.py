"""A gate to which clients submit their mail, and who speaks to it."""

from __future__ import annotations

import base64

from seg_bridge.gate.outbound.sealing import seal_for_gate
from seg_bridge.gate.outbound.terms import SigningKey
from tests.seg_bridge.gate.parts import SECRET as GATE_SECRET
from tests.seg_bridge.gate.parts import RunningGate, SmtpClient

HOST = "203.0.113.0/28"
HOST_IP = "203.0.113.5"
LOGIN, SECRET = "acme.printers", "a secret of the login"
CEO = "ceo@acme.example"


def submitted(subject: str = "Hello", *, sender: str = CEO, more: str = "") -> bytes:
    return (
        f"From: <{sender}>\r\nTo: bob@other.example\r\nSubject: {subject}\r\n{more}"
        f"Message-ID: <{subject.replace(' ', '-')}@acme.example>\r\n"
        "Date: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\nA line.\r\n"
    ).encode()


def plain(name: str = LOGIN, secret: str = SECRET) -> str:
    return base64.b64encode(f"\0{name}\0{secret}".encode()).decode()


class SubmissionGate(RunningGate):
    async def submission(self, client_ip: str = "") -> SmtpClient:
        client = await SmtpClient.connect(*self.gate.submission_address)
        if client_ip:
            assert (await client.command(f"XCLIENT ADDR={client_ip}")).startswith("220")
        return client

    async def submit(
        self,
        raw: bytes,
        *recipients: str,
        sender: str = CEO,
        client_ip: str = HOST_IP,
    ) -> str:
        """From a host of Acme's; the reply to the end of the mail, or the first refusal."""
        client = await self.submission(client_ip)
        try:
            return await client.send(raw, *(recipients or ("bob@other.example",)), sender=sender)
        finally:
            client.close()


def signing_key(private, *, secret=GATE_SECRET, domain="acme.example"):
    place = f"dkim/{domain}/b1"
    sealed = seal_for_gate(private, place=place, secret=secret)
    return SigningKey(domain=domain, selector="b1", sealed=sealed)
