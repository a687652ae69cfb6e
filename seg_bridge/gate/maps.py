"""Postfix's tables, written from the policy: our domains, who is there, where their mail goes on
and how safely.

``postmap`` makes LMDB tables of our texts, each in one transaction, and Postfix reads them anew
with every look-up: a new client is served at once, and Postfix goes on without us.  But an smtpd
remembers for its whole life what it was told of an address, and only one whose table was replaced
by another file ends after its client: so ``state`` is replaced with every change.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

from seg_bridge.gate.files import make_folder, replace_file
from seg_bridge.gate.policy import PolicySnapshot
from seg_bridge.gate.ways import destination

log = logging.getLogger(__name__)

STATE = "state"
POSTMAP = "/usr/sbin/postmap"
POSTMAP_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.2
RETRY_S = 2.0


class MapsError(Exception):
    """The tables stay as they were."""


def smart_hosts(snapshot: PolicySnapshot) -> dict[str, str]:
    """Sending domain → the ``host:port`` that all of its client's outbound mail goes to."""
    return {
        domain.name: tenant.outbound.next_hop
        for tenant in snapshot.tenants
        if tenant.outbound is not None and tenant.outbound.next_hop
        for domain in tenant.domains
    }


def map_texts(snapshot: PolicySnapshot) -> dict[str, str]:
    """Table → its source, keys in small letters, in one order."""
    domains, recipients, transport = [], [], []
    senders = [
        f"@{name} outgoing:{destination(hop)}"
        for domain, hop in smart_hosts(snapshot).items()
        for name in _spellings(domain)
    ]
    for tenant in snapshot.tenants:
        for domain in tenant.domains:
            for name in _spellings(domain.name):
                domains.append(f"{name} {tenant.slug}")
                transport.append(f"{name} {domain.way.transport()}")
                # The gate asks the next hop when Postfix asks the gate.
                recipients += [f"@{name} {tenant.slug}"] if domain.asks_hop else []
            for address in domain.recipients:
                local, _, name = address.rpartition("@")
                recipients += [
                    f"{local}@{each} {tenant.slug}" for each in _spellings(name) if is_plain(local)
                ]
    # What Postfix answers to all until there is a policy: console/gateway_parts/postfix_texts.py.
    state = ["state DUNNO"]
    texts = {
        "domains": domains,
        "recipients": recipients,
        "transport": transport,
        "senders": senders,
        STATE: state,
    }
    return {name: "".join(f"{line}\n" for line in sorted(lines)) for name, lines in texts.items()}


def is_plain(local: str) -> bool:
    """What stands in a table's source without being read as something else."""
    return bool(local) and not any(each.isspace() or each in '#"' for each in local)


def _spellings(domain: str) -> tuple[str, ...]:
    """As A-labels, and as a sender with SMTPUTF8 may write it."""
    if "xn--" not in domain:
        return (domain,)
    try:
        return domain, domain.encode("ascii").decode("idna")
    except UnicodeError:
        return (domain,)


class PostfixMaps:
    """``postfix`` is the instance's folder.  One writer."""

    def __init__(self, postfix: Path) -> None:
        self._etc = postfix / "etc"
        self._folder = postfix / "maps"
        self._written: dict[str, str] = {}
        self._smart_hosts: dict[str, str] = {}

    def smart_hosts(self) -> dict[str, str]:
        """As Postfix knows them by now."""
        return self._smart_hosts

    async def follow(self, snapshot: PolicySnapshot) -> list[str]:
        """The tables that changed.  Raises ``MapsError`` or ``OSError``."""
        texts = await asyncio.to_thread(map_texts, snapshot)
        changed = {name for name, text in texts.items() if self._written.get(name) != text}
        if not changed:
            return []
        # While the table is being written nobody relies on it.
        now = smart_hosts(snapshot)
        self._smart_hosts = {k: v for k, v in self._smart_hosts.items() if now.get(k) == v}
        changed.discard(STATE)
        await asyncio.to_thread(self._write, {name: texts[name] for name in sorted(changed)})
        await asyncio.to_thread(self._replace, STATE, texts[STATE])
        self._written, self._smart_hosts = texts, smart_hosts(snapshot)
        log.info("Postfix follows policy %s: %s", snapshot.version, ", ".join(sorted(changed)))
        return sorted(changed)

    async def run(self, latest: Callable[[], PolicySnapshot | None]) -> None:
        """For ever.  Whatever fails, the tables stay as they are and it is tried again."""
        followed: PolicySnapshot | None = None
        while True:
            snapshot = latest()
            if snapshot is None or snapshot is followed:
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            try:
                await self.follow(snapshot)
                followed = snapshot
            except (MapsError, OSError) as error:
                log.error("Postfix does not follow policy %s: %s", snapshot.version, error)
                await asyncio.sleep(RETRY_S)

    def _write(self, texts: dict[str, str]) -> None:
        make_folder(self._folder)
        for name, text in texts.items():
            replace_file(self._folder / name, text.encode())
        if texts:
            self._postmap(list(texts))

    def _replace(self, name: str, text: str) -> None:
        scratch = f"{name}-next"
        replace_file(self._folder / scratch, text.encode())
        self._postmap([scratch])
        # no failpoint: a gate that starts writes all tables again
        (self._folder / f"{scratch}.lmdb").rename(self._folder / f"{name}.lmdb")

    def _postmap(self, names: list[str]) -> None:
        tables = (f"lmdb:{self._folder / name}" for name in names)
        try:
            done = subprocess.run(
                (POSTMAP, "-c", str(self._etc), *tables),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=POSTMAP_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise MapsError(str(error)) from error
        if done.returncode:
            raise MapsError((done.stderr + done.stdout).strip()[-500:])
