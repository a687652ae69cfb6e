"""What Postfix asks when somebody logs in: the server's side of Dovecot's authentication protocol,
as far as Postfix speaks it, on a UNIX socket.  So the policy stays the one place that knows logins.

https://doc.dovecot.org/2.3/developer_manual/design/auth_protocol/ and Postfix's
``src/xsasl/xsasl_dovecot_server.c`` (3.7, both read 2026-11-30).  Lines of words between TABs:

``VERSION``, ``CPID``            Postfix's greeting; ours is ``VERSION`` … ``DONE``
``AUTH <id> <mechanism> …``      ``rip=`` is who asks, ``resp=`` (the last) what he said first
``CONT <id> <base64>``           a further answer, to our ``CONT`` with a question
``OK <id> user=…``, ``FAIL <id>`` our word
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import itertools
import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from seg_bridge.gate.outbound.login_desk import FailedLogins, fitting_hash
from seg_bridge.gate.policy import PolicySnapshot

log = logging.getLogger(__name__)

_LINE_BYTES = 8192
_MOST_OPEN = 100
_NUMBERS = itertools.count(1)
_TOO_MANY = "Too many failed logins from your address, try again later"
_WRONG = "This name and secret do not fit"


@dataclass(slots=True)
class _Asked:
    """A login under way: by LOGIN the name comes first, and then the secret."""

    client_ip: str
    mechanism: str
    said: list[str] = field(default_factory=list)


class NotUnderstood(Exception):
    """The client's words are no login."""


class SaslServer:
    """``latest`` gives the policy; without one every login fails.  ``lines`` are the connections
    that the gate cuts when it ends: Postfix keeps them for as long as it likes.
    """

    def __init__(
        self,
        latest: Callable[[], PolicySnapshot | None],
        lines: set[asyncio.Transport],
        failed: FailedLogins | None = None,
    ) -> None:
        self._latest = latest
        self._lines = lines
        self._failed = failed or FailedLogins()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of Postfix's, until it hangs up."""
        open_logins: dict[str, _Asked] = {}
        line_to_postfix = cast(asyncio.Transport, writer.transport)
        self._lines.add(line_to_postfix)
        writer.write(_greeting())
        try:
            while line := await reader.readline():
                if len(line) > _LINE_BYTES or len(open_logins) > _MOST_OPEN:
                    break
                words = line.decode("utf-8", "replace").rstrip("\n").split("\t")
                if (answer := await self._answer(words, open_logins)) is not None:
                    writer.write(answer.encode() + b"\n")
                    await writer.drain()
        except (OSError, ValueError) as error:  # ValueError: a line without an end
            log.warning("a conversation with Postfix about a login broke: %s", error)
        finally:
            self._lines.discard(line_to_postfix)
            with contextlib.suppress(OSError):
                writer.close()

    async def _answer(self, words: list[str], open_logins: dict[str, _Asked]) -> str | None:
        match words:
            case ["AUTH", number, mechanism, *given]:
                terms = dict(each.partition("=")[::2] for each in given)
                asked = _Asked(terms.get("rip", ""), mechanism.upper())
                if "resp" in terms:
                    first = next(each for each in given if each.startswith("resp="))
                    asked.said.append(first.removeprefix("resp="))
            case ["CONT", number, said] if number in open_logins:
                asked = open_logins.pop(number)
                asked.said.append(said)
            case _:
                return None  # VERSION and CPID, or what a later version adds
        if (question := _question(asked)) is not None:
            open_logins[number] = asked
            return f"CONT\t{number}\t{base64.b64encode(question.encode()).decode()}"
        return await self._judge(number, asked)

    async def _judge(self, number: str, asked: _Asked) -> str:
        snapshot = self._latest()
        if snapshot is None:
            return f"FAIL\t{number}\ttemp\treason=The gate has no policy yet"
        if self._failed.is_too_many(asked.client_ip):
            return f"FAIL\t{number}\treason={_TOO_MANY}"
        try:
            name, secret = _name_and_secret(asked)
        except NotUnderstood:
            return f"FAIL\t{number}\treason=That is no login"
        fits = await fitting_hash(
            snapshot, self._failed, name=name, secret=secret, client_ip=asked.client_ip
        )
        return f"OK\t{number}\tuser={name}" if fits else f"FAIL\t{number}\treason={_WRONG}"


def _greeting() -> bytes:
    lines = (
        "VERSION\t1\t1",
        "MECH\tPLAIN\tplaintext",
        "MECH\tLOGIN\tplaintext",
        f"SPID\t{os.getpid()}",
        f"CUID\t{next(_NUMBERS)}",
        f"COOKIE\t{secrets.token_hex(16)}",
        "DONE",
    )
    return "".join(f"{line}\n" for line in lines).encode()


def _question(asked: _Asked) -> str | None:
    """None: all is said."""
    if asked.mechanism == "LOGIN":
        return ("Username:", "Password:", None)[min(len(asked.said), 2)]
    return None if asked.said or asked.mechanism != "PLAIN" else ""


def _name_and_secret(asked: _Asked) -> tuple[str, str]:
    """Raises ``NotUnderstood``."""
    try:
        said = [base64.b64decode(each, validate=True).decode("utf-8") for each in asked.said]
    except (ValueError, binascii.Error) as error:
        raise NotUnderstood from error
    if asked.mechanism == "LOGIN":
        name, secret = said
    elif asked.mechanism == "PLAIN" and said[0].count("\0") == 2:
        _, name, secret = said[0].split("\0")
    else:
        raise NotUnderstood
    # Tabs and line ends would be words of the protocol.
    if not name or not name.isprintable():
        raise NotUnderstood
    return name.lower(), secret
