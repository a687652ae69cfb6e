"""A sandbox cloud as a process of its own, and a company in it, for the tests of this folder."""

import base64
import json
import os
import signal
import smtplib
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from console.launch.ports import free_port

LISTENERS = ("HTTPS", "HTTP", "SMTP", "DNS")
STOP_TIMEOUT_S = 30


def plain_client() -> httpx.Client:
    """For http only: an SSL context costs 20 ms and would never be used."""
    return httpx.Client(verify=False, trust_env=False, timeout=15)


class SandboxProcess:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self._environment = {
            "BAILEY_SANDBOX_DIR": str(folder),
            # Not 0: started again it listens where it did, so links and subscriptions stay good.
            **{f"BAILEY_SANDBOX_{n}": f"127.0.0.1:{free_port()}" for n in LISTENERS},
            **environment,
        }
        self._process: subprocess.Popen[str] | None = None
        self.addresses: dict[str, str] = {}
        self.client = plain_client()

    def __enter__(self) -> "SandboxProcess":
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Ended on every way out; one that is ended already stays so."""
        if self._process is not None and self._process.returncode is None:
            self.stop()
        self.client.close()

    def start(self) -> "SandboxProcess":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api_bridge.sandbox"],
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            code = self.stop(signal.SIGKILL)
            raise AssertionError(f"the sandbox did not start (exit code {code})")
        self.addresses = json.loads((self.folder / "addresses.json").read_text())
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """The exit code."""
        assert self._process is not None
        self.client.close()
        self.client = plain_client()
        self._process.send_signal(number)
        with self._process as process:
            try:
                return process.wait(STOP_TIMEOUT_S)
            finally:
                process.kill()

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def https(self) -> str:
        return f"https://{self.addresses['https']}"

    @property
    def http(self) -> str:
        return f"http://{self.addresses['http']}"

    def admin(self, method: str, path: str, content: object = None, status: int = 200) -> Any:
        response = self.client.request(method, f"{self.http}/_sandbox/{path}", json=content)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def smtp(self) -> smtplib.SMTP:
        host, _, port = self.addresses["smtp"].rpartition(":")
        return smtplib.SMTP(host, int(port), local_hostname="sender.example.net", timeout=10)


@dataclass
class Company:
    """A tenant of its own for one test.  ``names``: the local parts of its mailboxes."""

    cloud: SandboxProcess
    names: tuple[str, ...] = ("ana", "bo", "cfo")
    tenant_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = "correct horse"
    users: list[dict[str, Any]] = field(default_factory=list)
    apps: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.domain = f"c{self.tenant_id[:8]}.example"
        self.ids = {name: str(uuid.uuid4()) for name in self.names}
        people = [
            {"id": self.ids[name], "mail": self.mail(name), "display_name": f"{name.title()} Test",
             "job_title": "Tester"}
            for name in self.names
        ]  # fmt: skip
        self.cloud.admin("PUT", f"tenants/{self.tenant_id}", {
            "domain": self.domain, "display_name": f"Company {self.domain}",
            "users": [*people, *self.users],
            "apps": [{"client_id": self.client_id, "secret": self.secret}, *self.apps],
        })  # fmt: skip

    def mail(self, name: str) -> str:
        return f"{name}@{self.domain}"

    def token(self, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "client_credentials", "client_id": self.client_id,
            "client_secret": self.secret, "scope": "https://graph.microsoft.com/.default",
        } | changes  # fmt: skip
        path = f"{self.tenant_id}/oauth2/v2.0/token"
        return self.cloud.client.post(f"{self.cloud.http}/{path}", data=form)

    @cached_property
    def graph(self) -> httpx.Client:
        token = self.token().json()["access_token"]
        client = plain_client()
        client.base_url = httpx.URL(f"{self.cloud.http}/v1.0/")
        client.headers["authorization"] = f"Bearer {token}"
        return client

    def close(self) -> None:
        if "graph" in self.__dict__:
            self.graph.close()

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        response = self.graph.get(path, **options)
        assert response.status_code == status, response.text
        return response.json()

    def post(self, path: str, content: object, status: int = 201, **options: Any) -> Any:
        response = self.graph.post(path, json=content, **options)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def receive(self, name: str, *, subject: str = "Hello", raw: bytes | None = None) -> str:
        """A mail comes in for one person; returns its Message-ID."""
        message_id = f"<{uuid.uuid4()}@sender.example.net>"
        with self.cloud.smtp() as smtp:
            smtp.sendmail(
                "sender@sender.example.net",
                [self.mail(name)],
                raw or simple_mail(self.mail(name), subject=subject, message_id=message_id),
            )
        return message_id

    def send_inside(self, sender: str, to: list[str], raw: bytes) -> None:
        self.cloud.admin("POST", "send", {
            "from": self.mail(sender), "to": [self.mail(name) for name in to],
            "raw_base64": base64.b64encode(raw).decode(),
        }, 201)  # fmt: skip

    def mails(self, name: str, **options: Any) -> list[dict[str, Any]]:
        value: list[dict[str, Any]] = self.get(f"users/{self.mail(name)}/messages", **options)[
            "value"
        ]
        return value


def simple_mail(to: str, *, subject: str, message_id: str, extra: str = "") -> bytes:
    return (
        f"From: Sender <sender@sender.example.net>\r\nTo: {to}\r\nSubject: {subject}\r\n"
        f"Message-ID: {message_id}\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n{extra}"
        "Content-Type: text/plain; charset=utf-8\r\n\r\nGood morning.\r\nBye.\r\n"
    ).encode()
