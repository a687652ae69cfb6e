"""The MTA's side of the milter protocol, scripted: what Postfix does, and what it would never."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

OFFERED_ACTIONS = 0x1FF
OFFERED_STEPS = 0x1FFFFF


def packet(letter: str, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data) + 1) + letter.encode() + data


def macros(step: str, **values: str) -> bytes:
    words = b"".join(f"{{{name}}}\0{value}\0".encode() for name, value in values.items())
    return packet("D", step.encode() + words)


@dataclass
class Result:
    """What the gate answered to one mail.  ``final``: ``queued``, ``discarded`` or its reply."""

    final: str
    recipients: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    data: bytes = b""


@dataclass
class ScriptedMta:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    refused: str = ""
    refusals: list[str] = field(default_factory=list)
    is_sender_quiet: bool = False

    @classmethod
    async def connect(cls, path: Path, *, greets: bool = True) -> ScriptedMta:
        mta = cls(*await asyncio.open_unix_connection(str(path)))
        if greets:
            await mta.negotiate()
            mta.say(connect())
            mta.say(packet("H", b"mail.sender.example\0"))
        return mta

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[str, bytes]:
        """Letter and data; "" where the gate hung up."""
        try:
            head = await asyncio.wait_for(self.reader.readexactly(4), 10)
            body = await self.reader.readexactly(struct.unpack(">I", head)[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return "", b""
        return chr(body[0]), body[1:]

    async def negotiate(
        self, version: int = 6, actions: int = OFFERED_ACTIONS, steps: int = OFFERED_STEPS
    ) -> tuple[str, bytes]:
        self.say(packet("O", struct.pack(">III", version, actions, steps)))
        letter, data = await self.answer()
        self.is_sender_quiet = letter == "O" and bool(struct.unpack(">I", data[8:12])[0] & 0x4000)
        return letter, data

    async def envelope(
        self, recipients: Iterable[str], sender: str = "ann@sender.example", *options: str
    ) -> list[str]:
        """The recipients that were taken; raises ``Refused`` for the sender."""
        self.say(packet("M", "".join(f"{word}\0" for word in (f"<{sender}>", *options)).encode()))
        if not self.is_sender_quiet:
            letter, data = await self.answer()
            if letter != "c":
                raise Refused(data.decode().rstrip("\0"))
        taken = []
        for each in recipients:
            self.say(packet("R", f"<{each}>\0".encode()))
            letter, data = await self.answer()
            if letter == "c":
                taken.append(each)
            else:
                self.refused = data.decode().rstrip("\0")
                self.refusals.append(self.refused)
        return taken

    async def send(
        self,
        raw: bytes,
        *recipients: str,
        sender: str = "ann@sender.example",
        queue_id: str = "4F1C2",
        options: tuple[str, ...] = (),
        chunk_bytes: int = 65535,
    ) -> Result:
        wanted = recipients or ("info@acme.example",)
        try:
            taken = await self.envelope(wanted, sender, *options)
        except Refused as refused:
            return Result(str(refused))
        if not taken:
            return Result(self.refused)
        self.say(mail_packets(raw, queue_id, chunk_bytes))
        return await self.end(raw, taken)

    async def end(self, raw: bytes, recipients: list[str]) -> Result:
        """Reads the gate's edits up to its last word, and makes them."""
        left = list(recipients)
        copy = raw
        while True:
            letter, data = await self.answer()
            match letter:
                case "-":
                    left.remove(data.decode().strip("<>\0"))
                case "m":
                    copy = changed(copy, data)
                case "i":
                    name, value = data[4:].split(b"\0")[:2]
                    assert struct.unpack(">I", data[:4])[0] == 0
                    copy = name + b":" + value + b"\r\n" + copy
                case "c" | "a":
                    return Result("queued", left, data=copy)
                case "d":
                    return Result("discarded")
                case "y":
                    return Result(data.decode().rstrip("\0"))
                case "t":
                    return Result("451 4.7.1 Service unavailable - try again later")
                case "":
                    return Result("")
                case _:
                    raise AssertionError(f"Postfix knows no answer {letter!r}")

    def close(self) -> None:
        self.writer.transport.abort()


class Refused(Exception):
    pass


def connect(address: str = "203.0.113.9", name: str = "mail.sender.example") -> bytes:
    family = b"6" if ":" in address else b"4"
    return packet("C", name.encode() + b"\0" + family + b"\x30\x39" + address.encode() + b"\0")


def split_mail(raw: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Fields as Postfix gives them (LF between folded lines, leading space kept), and the body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    fields: list[list[bytes]] = []
    for line in head.split(b"\r\n") if head else []:
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1] += b"\n" + line
        else:
            name, _, value = line.partition(b":")
            fields.append([name, value])
    return [(name, value) for name, value in fields], body


def mail_packets(raw: bytes, queue_id: str, chunk_bytes: int = 65535) -> bytes:
    fields, body = split_mail(raw)
    parts = [packet("L", name + b"\0" + value + b"\0") for name, value in fields]
    parts += [
        packet("B", body[start : start + chunk_bytes]) for start in range(0, len(body), chunk_bytes)
    ]
    return b"".join((*parts, macros("E", i=queue_id), packet("E")))


def changed(raw: bytes, data: bytes) -> bytes:
    number = struct.unpack(">I", data[:4])[0]
    wanted, value = data[4:].split(b"\0")[:2]
    fields, body = split_mail(raw)
    count = 0
    for place, (name, _) in enumerate(fields):
        count += name.strip().lower() == wanted.lower()
        if count == number:
            fields[place : place + 1] = [(wanted, value)] if value else []
            break
    else:
        raise AssertionError(f"no field {number} of {wanted!r}")
    lines = b"".join(n + b":" + v.replace(b"\n", b"\r\n") + b"\r\n" for n, v in fields)
    return lines + b"\r\n" + body
