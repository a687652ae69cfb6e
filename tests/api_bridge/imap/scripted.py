"""An IMAP server that says what a test wants: a small honest one, and lies put over it."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from api_bridge.connectors import Connection, Runtime
from api_bridge.connectors.imap import ImapConnector
from api_bridge.limits import LocalLimits

CAPABILITIES = (
    "IMAP4rev1 AUTH=PLAIN UIDPLUS MOVE CONDSTORE LIST-STATUS SPECIAL-USE WITHIN NAMESPACE"
)
Answer = bytes | None


@dataclass
class Mail:
    raw: bytes
    flags: str = ""
    modseq: int = 1
    emailid: str = ""
    date: str = "30-Nov-2026 10:00:00 +0000"

    @property
    def header(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@dataclass
class Box:
    """``next_uid`` is what is handed out next, ``told_next`` what is said of it if not None."""

    validity: int = 7
    mails: dict[int, Mail] = field(default_factory=dict)
    next_uid: int = 1
    told_next: int | None = None
    special: str = ""

    def put(self, mail: Mail, modseq: int = 1) -> int:
        uid, self.next_uid = self.next_uid, self.next_uid + 1
        mail.modseq = modseq
        self.mails[uid] = mail
        return uid


class Scripted:
    """``lies``: command → what answers instead; it gets the connection, tag and arguments, and
    returns all bytes of its answer, or None for the honest one.  b"" hangs up.
    """

    def __init__(self, certificates: Path, *, capabilities: str = CAPABILITIES) -> None:
        self.capabilities = capabilities
        self.boxes = {
            "INBOX": Box(),
            "Junk": Box(special="\\Junk"),
            "Trash": Box(special="\\Trash"),
        }
        self.lies: dict[str, Callable[[str, str], Answer]] = {}
        self.asked: list[str] = []
        self.greeting = b"* OK ready\r\n"
        self.starts_plain = False
        self.before_tls = b""
        self.modseq = 1
        self._ca = certificates / "ca.pem"
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def connector(self, *, host: str = "localhost", **settings: str) -> ImapConnector:
        given = {"host": host, "port": str(self.port), "security": "tls", **settings}
        connection = Connection(
            kind="imap",
            cloud_tenant_id="scripted",
            client_id="",
            client_secret='{"ana@delta.example": "secret"}',
            ca_file=str(self._ca),
            settings=tuple(given.items()),
        )
        allowed = {f"{name}:{self.port}" for name in ("localhost", "127.0.0.1", "[::1]")}
        runtime = Runtime(limits=LocalLimits(wait_s=2), allowed_hosts=allowed)
        return ImapConnector(connection, runtime)

    def close(self) -> None:
        self._listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(plain)
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError, ValueError):
            peer: socket.socket = plain
            if not self.starts_plain:
                peer = self._context.wrap_socket(plain, server_side=True)
                self._open.append(peer)
            peer.sendall(self.greeting)
            lines = peer.makefile("rb")
            chosen = [""]
            while line := lines.readline():
                tag, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
                name, _, arguments = rest.partition(" ")
                if name == "UID":
                    name, _, arguments = arguments.partition(" ")
                if name == "STARTTLS":
                    peer.sendall(f"{tag} OK\r\n".encode() + self.before_tls)
                    peer = self._context.wrap_socket(plain, server_side=True)
                    self._open.append(peer)
                    lines = peer.makefile("rb")
                    continue
                self.asked.append(f"{name} {arguments}")
                if name == "AUTHENTICATE":
                    peer.sendall(b"+ \r\n")
                    lines.readline()
                lie = self.lies.get(name)
                answer = lie(tag, arguments) if lie else None
                if answer is None:
                    answer = self._answer(tag, name, arguments, chosen)
                peer.sendall(answer)
                if not answer:
                    break
            peer.shutdown(socket.SHUT_RDWR)
            peer.close()

    def _answer(self, tag: str, name: str, arguments: str, chosen: list[str]) -> bytes:
        try:
            said = getattr(self, f"_{name.lower()}", lambda *_: b"")(arguments, chosen)
        except KeyError:
            return f"{tag} NO [NONEXISTENT] not here\r\n".encode()
        code = b""
        if name == "MOVE" and said:
            code, said = said, b""
        return said + f"{tag} OK ".encode() + code + b"done\r\n"

    def _capability(self, arguments: str, chosen: list[str]) -> bytes:
        return f"* CAPABILITY {self.capabilities}\r\n".encode()

    def _list(self, arguments: str, chosen: list[str]) -> bytes:
        lines = []
        for name, box in self.boxes.items():
            lines.append(f'* LIST ({box.special}) "/" "{name}"')
            lines.append(
                f'* STATUS "{name}" (MESSAGES {len(box.mails)} UIDNEXT {_told(box)} '
                f"UIDVALIDITY {box.validity} UNSEEN 0 HIGHESTMODSEQ {_highest(box)})"
            )
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _examine(self, arguments: str, chosen: list[str]) -> bytes:
        chosen[0] = re.findall(r'"([^"]*)"', arguments)[0]
        box = self.boxes[chosen[0]]
        return (
            f"* {len(box.mails)} EXISTS\r\n* OK [UIDVALIDITY {box.validity}]\r\n"
            f"* OK [UIDNEXT {_told(box)}]\r\n* OK [HIGHESTMODSEQ {_highest(box)}]\r\n"
        ).encode()

    _select = _examine

    def _create(self, arguments: str, chosen: list[str]) -> bytes:
        self.boxes[arguments.strip('"')] = Box(validity=11)
        return b""

    def _search(self, arguments: str, chosen: list[str]) -> bytes:
        box = self.boxes[chosen[0]]
        uids = list(box.mails)
        if span := re.search(r"\bUID (\d+)(?::(\d+|\*))?", arguments):
            low, high = int(span[1]), span[2] or span[1]
            top = max(uids, default=0) if high == "*" else int(high)
            uids = [uid for uid in uids if min(low, top) <= uid <= max(low, top)]
        if modseq := re.search(r"MODSEQ (\d+)", arguments):
            uids = [uid for uid in uids if box.mails[uid].modseq >= int(modseq[1])]
        if size := re.search(r"SMALLER (\d+)", arguments):
            uids = [uid for uid in uids if len(box.mails[uid].raw) < int(size[1])]
        return f"* SEARCH {' '.join(map(str, uids))}\r\n".encode()

    def _fetch(self, arguments: str, chosen: list[str]) -> bytes:
        box = self.boxes[chosen[0]]
        uids, _, what = arguments.partition(" ")
        answer = b""
        for uid in map(int, uids.split(",")):
            if uid in box.mails:
                answer += fetched(uid, box.mails[uid], what)
        return answer

    def _move(self, arguments: str, chosen: list[str]) -> bytes:
        uid, _, folder = arguments.partition(" ")
        target = self.boxes[folder.strip('"')]
        mail = self.boxes[chosen[0]].mails.pop(int(uid))
        new = target.put(mail, modseq=_highest(target) + 1)
        return f"[COPYUID {target.validity} {uid} {new}] ".encode()

    def _copy(self, arguments: str, chosen: list[str]) -> bytes:
        uid, _, folder = arguments.partition(" ")
        target = self.boxes[folder.strip('"')]
        new = target.put(Mail(**vars(self.boxes[chosen[0]].mails[int(uid)])))
        return f"* OK [COPYUID {target.validity} {uid} {new}] copied\r\n".encode()

    def _store(self, arguments: str, chosen: list[str]) -> bytes:
        uid, _, rest = arguments.partition(" ")
        mail = self.boxes[chosen[0]].mails[int(uid)]
        flags = rest.partition("(")[2].strip(")")
        mail.flags = f"{mail.flags} {flags}".strip() if rest.startswith("+") else flags
        return b""

    def _expunge(self, arguments: str, chosen: list[str]) -> bytes:
        mails = self.boxes[chosen[0]].mails
        if "\\Deleted" in mails[int(arguments)].flags:
            del mails[int(arguments)]
        return b""


def fetched(uid: int, mail: Mail, what: str) -> bytes:
    """One honest answer."""
    parts = [
        f"{uid} (UID {uid} FLAGS ({mail.flags}) RFC822.SIZE {len(mail.raw)} "
        f'INTERNALDATE "{mail.date}" MODSEQ ({mail.modseq})'.encode()
    ]
    if "EMAILID" in what:
        parts.append(f"EMAILID ({mail.emailid})".encode())
    if "HEADER" in what:
        parts.append(b"BODY[HEADER]<0> {%d}\r\n%s" % (len(mail.header), mail.header))
    if piece := re.search(r"BODY\.PEEK\[\]<(\d+)\.(\d+)>", what):
        start, size = int(piece[1]), int(piece[2])
        some = mail.raw[start : start + size]
        parts.append(b"BODY[]<%d> {%d}\r\n%s" % (start, len(some), some))
    head, *rest = parts
    number, _, first = head.partition(b" ")
    return b"* " + number + b" FETCH " + b" ".join([first, *rest]) + b")\r\n"


def _told(box: Box) -> int:
    return box.next_uid if box.told_next is None else box.told_next


def _highest(box: Box) -> int:
    return max((mail.modseq for mail in box.mails.values()), default=1)
