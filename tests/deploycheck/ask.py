"""What the check inside the machine needs: Debian's Python and its standard library only.

ask.py files EXAMPLE FOLDER PASSWORD   the files of /etc/bailey, as the example says
ask.py sink PORT                       a mail host that takes everything
ask.py send SUBJECT                    a mail by port 25, with STARTTLS
ask.py signed-in SUBJECT               sign in through nginx: live pages open, the mail is there
"""

from __future__ import annotations

import http.cookiejar
import re
import secrets
import smtplib
import socket
import socketserver
import ssl
import sys
import time
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPCookieProcessor, Request, build_opener

CONSOLE = "https://soc.example.com/console"
WITHIN_S = 60


def files(example: str, folder: str, password: str) -> None:
    parts = re.split(r"# --- ([a-z]+)\.env", Path(example).read_text())
    text = dict(zip(parts[1::2], parts[2::2], strict=True))
    common = re.sub(r"(?m)^DATABASE_URL.*\n", "", text["console"])
    key, master = secrets.token_urlsafe(48), secrets.token_hex(32)
    for name, own in text.items():
        # "as console.env": the later line counts.
        lines = own if name in ("console", "gate", "gateway") else common + own
        if name in ("portal", "worker"):
            login = f"DATABASE_URL_{name.upper()}"
            lines += f"{login}=postgresql://bailey_{name}:…@db.example.com:5432/bailey\n"
        kept = [line for line in lines.splitlines() if re.match(r"[A-Z_]+=", line)]
        ready = "\n".join(kept) + "\n"
        ready = ready.replace(":…@db.example.com", f":{password}@127.0.0.1")
        ready = re.sub(r"(?m)^REDIS_URL=.*", "REDIS_URL=redis://127.0.0.1:6379/0", ready)
        ready = re.sub(r"(?m)^SECRET_KEY=.*", f"SECRET_KEY={key}", ready)
        ready = re.sub(r"(?m)^BAILEY_MASTER_KEY=.*", f"BAILEY_MASTER_KEY={master}", ready)
        ready = re.sub(r"(?m)^BAILEY_SMTP_URL=.*\n", "", ready)
        path = Path(folder, f"{name}.env")
        path.touch(mode=0o600)
        path.write_text(ready)


class Taker(socketserver.StreamRequestHandler):
    # Debian's Python 3.11 has no @override.
    def handle(self) -> None:  # type: ignore[explicit-override]
        self.wfile.write(b"220 sink\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            self.wfile.write(b"354 go\r\n" if word == b"DATA" else b"250 ok\r\n")
            if word == b"DATA":
                while self.rfile.readline() not in (b".\r\n", b""):
                    pass
                self.wfile.write(b"250 taken\r\n")
            if word == b"QUIT":
                return


def send(subject: str) -> None:
    with smtplib.SMTP("127.0.0.1", 25, local_hostname="sender.example", timeout=60) as line:
        line.starttls(context=ssl._create_unverified_context())
        text = (
            f"From: Bo <bo@sender.example>\r\nTo: ada@acme.example\r\nSubject: check {subject}\r\n"
            f"Message-ID: <{subject}@sender.example>\r\n\r\nHello Ada, the minutes of Tuesday.\r\n"
        )
        line.sendmail("bo@sender.example", ["ada@acme.example"], text)


def live(cookies: str) -> None:
    """A live page's WebSocket opens through nginx."""
    host = urlsplit(CONSOLE).netloc
    asked = (
        f"GET /live HTTP/1.1\r\nHost: {host}\r\nOrigin: https://{host}\r\nCookie: {cookies}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, 443), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname=host) as line,
    ):
        line.sendall(asked.encode())
        answer = line.recv(512)
    if not answer.startswith(b"HTTP/1.1 101"):
        sys.exit(f"no live pages: {answer[:80]!r}")


def signed_in(subject: str) -> None:
    cookies = http.cookiejar.CookieJar()
    opener = build_opener(HTTPCookieProcessor(cookies))

    def page(path: str, fields: dict[str, str] | None = None) -> str:
        body = urlencode(fields).encode() if fields else None
        headers = {"Referer": CONSOLE + path}
        text: str = opener.open(Request(CONSOLE + path, body, headers)).read().decode()
        return text

    token = re.findall(r'csrfmiddlewaretoken" value="([^"]+)', page("/login"))[0]
    who = {"email": "mo@north.example", "password": "correct-horse-battery"}
    page("/login", {**who, "csrfmiddlewaretoken": token})
    live("; ".join(f"{each.name}={each.value}" for each in cookies))
    for _ in range(WITHIN_S):
        if f"check {subject}" in page(f"/mail?q={subject}%40sender.example"):
            print(f"  signed in, live pages open; the mail {subject} stands in the trace")
            return
        time.sleep(1)
    sys.exit(f"the mail {subject} is not in the trace")


def main(what: str, *words: str) -> None:
    match what:
        case "files":
            files(*words)
        case "sink":
            socketserver.ThreadingTCPServer(("127.0.0.1", int(words[0])), Taker).serve_forever()
        case "send":
            send(*words)
        case _:
            signed_in(*words)


if __name__ == "__main__":
    main(*sys.argv[1:])
