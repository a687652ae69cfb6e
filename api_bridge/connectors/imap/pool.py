"""Sessions of one server: kept while they are warm, few at a time, each for one mailbox.

Dovecot allows ten connections for each user and address (``mail_max_userip_connections``); other
programs of the same office may need them, so we take four, and sixteen of a server, counted over
all our processes.
"""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from api_bridge.connectors import Runtime
from api_bridge.connectors.imap.options import Options
from api_bridge.connectors.imap.session import Session
from api_bridge.connectors.imap.tokens import Tokens
from api_bridge.errors import AccessDenied, AuthExpired, BridgeError
from api_bridge.http import tls_context

IDLE_LIFE_S = 60.0
TRUSTED_FOR_S = 5.0
MOST_IDLE = 32
LATELY_S = 6 * 3600.0
# Each lane is a name of its own to the limits, which allow four at once of a name.
LANES = 4
# So many mailboxes refused, and none opened since: it is the login, not the mailboxes.
REFUSED_IN_A_ROW = 3


class Pool:
    """Safe for threads.  Every method may raise ``BridgeError``."""

    def __init__(self, options: Options, runtime: Runtime) -> None:
        self.options = options
        self._runtime = runtime
        self._guard = threading.Lock()
        self._idle: dict[str, list[Session]] = {}
        self._refused: set[str] = set()
        self._is_closed = False

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return tls_context(self.options.ca_file, self.options.ca_pem)

    @cached_property
    def _tokens(self) -> Tokens:
        return Tokens(self.options, self._runtime.cache)

    @contextmanager
    def session(self, mailbox: str) -> Iterator[Session]:
        """A session nobody else uses.  After an error it is not used again."""
        lane = hashlib.sha256(mailbox.encode()).digest()[0] % LANES
        limits, server = self._runtime.limits, self.options.server
        with (
            limits.slot(f"imap.{server}.lane{lane}"),
            limits.slot(f"imap.{server}.mailbox.{mailbox}"),
        ):
            session = self._warm(mailbox) or self.open(mailbox)
            try:
                yield session
            except BaseException:
                session.close()
                raise
            self._keep(session)

    def open(self, mailbox: str) -> Session:
        """A new one.  A login that was refused is the mailbox's fault unless all are refused."""
        token = self._tokens.bearer(mailbox) if self.options.auth == "oauth" else ""
        try:
            try:
                session = self._logged_in(mailbox, token)
            except AuthExpired:
                if not token:
                    raise
                session = self._logged_in(mailbox, self._tokens.bearer(mailbox, refused=token))
        except AuthExpired as error:
            self._runtime.cache.drop(self._opened_key(mailbox))
            raise self._judged(mailbox, error) from error
        except BridgeError:
            self._runtime.cache.drop(self._opened_key(mailbox))
            raise
        self._runtime.cache.set(self._opened_key(mailbox), "1", ttl_s=LATELY_S)
        with self._guard:
            self._refused.clear()
        return session

    def was_opened_lately(self, mailbox: str) -> bool:
        """By any process, with this login, and not refused since."""
        return bool(self._runtime.cache.get(self._opened_key(mailbox)))

    def _opened_key(self, mailbox: str) -> str:
        return f"imap.opened.{self.options.key}.{mailbox}"

    def _logged_in(self, mailbox: str, token: str) -> Session:
        return Session(
            self.options,
            mailbox,
            allowed_hosts=self._runtime.allowed_hosts,
            context=self._context,
            token=token,
        )

    def _judged(self, mailbox: str, error: AuthExpired) -> BridgeError:
        with self._guard:
            self._refused.add(mailbox)
            refused = len(self._refused)
        everybody = min(REFUSED_IN_A_ROW, max(1, len(self.options.mailboxes)))
        if self.options.auth != "password" and refused >= everybody:
            return AuthExpired(str(error), code="bad_credentials")
        return AccessDenied(str(error), code="login_refused")

    def _warm(self, mailbox: str) -> Session | None:
        """One that still answers."""
        while True:
            with self._guard:
                kept = self._idle.get(mailbox, [])
                session = kept.pop() if kept else None
            if session is None:
                return None
            age_s = time.monotonic() - session.used_at
            if age_s < TRUSTED_FOR_S or (age_s < IDLE_LIFE_S and session.is_alive()):
                return session
            session.close()

    def _keep(self, session: Session) -> None:
        if session.is_dead:
            return
        with self._guard:
            old = self._too_old()
            if self._is_closed or sum(map(len, self._idle.values())) >= MOST_IDLE:
                old.append(session)
            else:
                self._idle.setdefault(session.mailbox, []).append(session)
        for each in old:
            each.close()

    def _too_old(self) -> list[Session]:
        """Taken out.  Must run under the guard."""
        now = time.monotonic()
        old = [
            each
            for kept in self._idle.values()
            for each in kept
            if now - each.used_at > IDLE_LIFE_S
        ]
        self._idle = {
            mailbox: left
            for mailbox, kept in self._idle.items()
            if (left := [each for each in kept if each not in old])
        }
        return old

    def close(self) -> None:
        with self._guard:
            self._is_closed = True
            all_kept = [each for kept in self._idle.values() for each in kept]
            self._idle.clear()
        for session in all_kept:
            session.close()
        if self.options.auth == "oauth":
            self._tokens.close()
