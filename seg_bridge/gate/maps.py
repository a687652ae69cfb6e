"""Postfix's tables, written from the policy: our domains, who is there, where their mail goes on.

``postmap`` makes LMDB tables of our texts, each in one transaction, and Postfix reads them anew
with every look-up: a new client is served at once, and Postfix goes on without us.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from seg_bridge.gate.files import make_folder, replace_file
from seg_bridge.gate.policy import PolicySnapshot, split_hop

log = logging.getLogger(__name__)

POSTMAP = "/usr/sbin/postmap"
POSTMAP_TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.2
RETRY_S = 2.0


class MapsError(Exception):
    """The tables stay as they were."""


def map_texts(snapshot: PolicySnapshot) -> dict[str, str]:
    """Table → its source, keys in small letters, in one order."""
    domains, recipients, transport = [], [], []
    for tenant in snapshot.tenants:
        for domain in tenant.domains:
            host, port = split_hop(domain.next_hop)
            for name in _spellings(domain.name):
                domains.append(f"{name} {tenant.slug}")
                transport.append(f"{name} relay:[{host}]:{port}")
            for address in domain.recipients:
                local, _, name = address.rpartition("@")
                recipients += [
                    f"{local}@{each} {tenant.slug}" for each in _spellings(name) if is_plain(local)
                ]
    # What Postfix answers to all until there is a policy: console/gateway_parts/postfix.py.
    state = ["state DUNNO"]
    texts = {
        "domains": domains,
        "recipients": recipients,
        "transport": transport,
        "state": state,
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

    async def follow(self, snapshot: PolicySnapshot) -> bool:
        """True: something changed.  Raises ``MapsError`` or ``OSError``."""
        texts = await asyncio.to_thread(map_texts, snapshot)
        changed = {name for name, text in texts.items() if self._written.get(name) != text}
        if not changed:
            return False
        make_folder(self._folder)
        for name in changed:
            replace_file(self._folder / name, texts[name].encode())
        await self._postmap(sorted(changed))
        self._written |= {name: texts[name] for name in changed}
        log.info("Postfix follows policy %s: %s", snapshot.version, ", ".join(sorted(changed)))
        return True

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

    async def _postmap(self, names: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            POSTMAP,
            "-c",
            str(self._etc),
            *(f"lmdb:{self._folder / name}" for name in names),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(POSTMAP_TIMEOUT_S):
                said, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise MapsError(f"postmap took more than {POSTMAP_TIMEOUT_S:.0f} s") from None
        if process.returncode:
            raise MapsError(said.decode("utf-8", "replace").strip()[-500:])
