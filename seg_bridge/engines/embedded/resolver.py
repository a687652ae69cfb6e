"""DNS for authentication: cached, bounded in time, and honest about failure.

Synchronous on purpose: pyspf and dkimpy are, and the engine calls them in a thread.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

ANSWERS_KEPT: Final = 20_000
LONGEST_KEPT_S: Final = 3600.0
NEGATIVE_KEPT_S: Final = 300.0
PAUSE_AFTER_FAILURES: Final = 3
PAUSE_S: Final = 10.0


class ResolverFailed(Exception):
    """No answer (no resolver, time-out, SERVFAIL): nothing is known about the name."""


class Lookup(Protocol):
    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        """Records as text, TXT strings joined; () where the name or type does not exist.

        MX is ``"<preference> <host>"``.  Raises ``ResolverFailed``.
        """


@dataclass(frozen=True, slots=True)
class _Kept:
    records: tuple[str, ...]
    until: float


class Resolver:
    """A cache over dnspython.  After ``PAUSE_AFTER_FAILURES`` failures in a row it answers
    ``ResolverFailed`` at once for ``PAUSE_S``, so that a dead resolver does not slow every mail.
    """

    def __init__(self, server: tuple[str, int] | None = None, *, timeout_s: float = 2.0) -> None:
        self._timeout_s = timeout_s
        self._server = server
        self._resolver: dns.resolver.Resolver | None = None
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._failures = 0
        self._paused_until = 0.0

    def __call__(self, name: str, kind: str) -> tuple[str, ...]:
        key = (name.rstrip(".").lower(), kind)
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(key)
            if kept and kept.until > now:
                self._kept.move_to_end(key)
                return kept.records
            if now < self._paused_until:
                raise ResolverFailed("the resolver did not answer; not asked again yet")
        try:
            records, keep_s = self._ask(*key)
        except ResolverFailed:
            with self._lock:
                self._failures += 1
                if self._failures >= PAUSE_AFTER_FAILURES:
                    self._failures, self._paused_until = 0, time.monotonic() + PAUSE_S
            raise
        with self._lock:
            self._failures = 0
            self._kept[key] = _Kept(records, now + keep_s)
            if len(self._kept) > ANSWERS_KEPT:
                self._kept.popitem(last=False)
        return records

    def _ask(self, name: str, kind: str) -> tuple[tuple[str, ...], float]:
        try:
            answer = self._dns().resolve(name + ".", kind, lifetime=self._timeout_s)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return (), NEGATIVE_KEPT_S
        except (dns.name.LabelTooLong, dns.name.EmptyLabel, dns.name.NameTooLong, UnicodeError):
            return (), NEGATIVE_KEPT_S
        except (dns.exception.DNSException, OSError) as error:
            raise ResolverFailed(f"{kind} {name}: {error}") from error
        if answer.rrset is None:
            return (), NEGATIVE_KEPT_S
        records = tuple(_text_of(record) for record in answer.rrset)
        return records, min(max(float(answer.rrset.ttl), 5.0), LONGEST_KEPT_S)

    def _dns(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            try:
                resolver = dns.resolver.Resolver(configure=self._server is None)
            except dns.exception.DNSException as error:
                raise ResolverFailed(f"this host has no resolver: {error}") from error
            if self._server is not None:
                resolver.nameservers = [self._server[0]]
                resolver.port = self._server[1]
            resolver.timeout = self._timeout_s
            self._resolver = resolver
        return self._resolver


def _text_of(record: object) -> str:
    strings = getattr(record, "strings", None)
    if strings is not None:
        return b"".join(strings).decode("utf-8", "replace")
    exchange = getattr(record, "exchange", None)
    if exchange is not None:
        return f"{record.preference} {exchange.to_text(omit_final_dot=True)}"  # type: ignore[attr-defined]
    return str(record).rstrip(".")
