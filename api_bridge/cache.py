"""A small cache that processes may share, for what can always be fetched again: tokens, folder ids.

``LocalCache`` serves one process; ``RedisCache`` serves all of them and seals every value, because
tokens lie in it.  Losing either costs a few calls and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

import redis
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

log = logging.getLogger(__name__)

LOCK_POLL_S = 0.05
NONCE_BYTES = 12
LOCAL_ENTRIES = 20_000


class SharedCache(Protocol):
    """Values are text.  A missing, expired or unreadable value is None."""

    def get(self, key: str) -> str | None: ...

    def set(self, key: str, value: str, *, ttl_s: float) -> None: ...

    def drop(self, key: str) -> None: ...

    def lock(self, key: str, *, ttl_s: float, wait_s: float) -> AbstractContextManager[bool]:
        """Yields True if this caller holds the lock, False if ``wait_s`` passed without it."""


class LocalCache:
    """For one process; safe for its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._values: dict[str, tuple[float, str]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def get(self, key: str) -> str | None:
        with self._guard:
            expires_at, value = self._values.get(key, (0.0, ""))
            if expires_at > self._clock():
                return value
            self._values.pop(key, None)
            return None

    def set(self, key: str, value: str, *, ttl_s: float) -> None:
        with self._guard:
            if len(self._values) >= LOCAL_ENTRIES:
                self._values.clear()
            self._values[key] = (self._clock() + ttl_s, value)

    def drop(self, key: str) -> None:
        with self._guard:
            self._values.pop(key, None)

    @contextmanager
    def lock(self, key: str, *, ttl_s: float, wait_s: float) -> Iterator[bool]:
        """``ttl_s`` does not matter here: the lock dies with its process."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        is_mine = lock.acquire(timeout=wait_s)
        try:
            yield is_mine
        finally:
            if is_mine:
                lock.release()


class RedisCache:
    """For all processes.  ``seal_key`` is 32 bytes; each value is AES-GCM with its key as
    associated data, so that a value moved to another key does not open.

    A broker that is down makes this an empty cache, never an error.
    """

    def __init__(
        self, client: redis.Redis[bytes], *, seal_key: bytes, prefix: str = "bridge."
    ) -> None:
        self._client = client
        self._seal = AESGCM(seal_key)
        self._prefix = prefix
        self._release_script = client.register_script(RELEASE)

    def get(self, key: str) -> str | None:
        name = self._prefix + key
        try:
            sealed = self._client.get(name)
        except redis.RedisError as error:
            log.warning("Shared cache not readable: %s", type(error).__name__)
            return None
        if not isinstance(sealed, bytes) or len(sealed) <= NONCE_BYTES:
            return None
        try:
            opened = self._seal.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except InvalidTag:
            return None
        return opened.decode()

    def set(self, key: str, value: str, *, ttl_s: float) -> None:
        name = self._prefix + key
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + self._seal.encrypt(nonce, value.encode(), name.encode())
        try:
            self._client.set(name, sealed, px=max(1, int(ttl_s * 1000)))
        except redis.RedisError as error:
            log.warning("Shared cache not writable: %s", type(error).__name__)

    def drop(self, key: str) -> None:
        with suppress(redis.RedisError):
            self._client.delete(self._prefix + key)

    @contextmanager
    def lock(self, key: str, *, ttl_s: float, wait_s: float) -> Iterator[bool]:
        name = f"{self._prefix}lock.{key}"
        owner = os.urandom(16)
        is_mine = self._acquire(name, owner, ttl_s=ttl_s, wait_s=wait_s)
        try:
            yield is_mine
        finally:
            if is_mine:
                self._release(name, owner)

    def _acquire(self, name: str, owner: bytes, *, ttl_s: float, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                if self._client.set(name, owner, nx=True, px=int(ttl_s * 1000)):
                    return True
            except redis.RedisError:
                return False
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL_S)

    def _release(self, name: str, owner: bytes) -> None:
        """Only our own lock: after ``ttl_s`` it may be another's."""
        with suppress(redis.RedisError):
            self._release_script(keys=[name], args=[owner])


RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
