"""The labelled corpus as each layer saw it: reason codes of every mail, at the gateway and in the
mailbox.

Nothing of the corpus leaves this process; what is kept in memory are labels and codes.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import ModuleType

from api_bridge.detect import History, MailboxContext, mailbox_reasons
from incidents.mail import Address, MailFacts, read_mail
from incidents.words import Direction
from seg_bridge.engines import Envelope
from seg_bridge.engines.embedded import gateway_reasons

BAD_KINDS = ("phish", "spam", "bec", "malware")
OWN_AUTHSERV = ("", "lists.ozlabs.org", "mm2.emwd.com", "gabe.freedesktop.org", "mx.google.com")
"""Who wrote the trustworthy results in the corpus: the mailbox provider or the list's host.
Outlook.com's own header has no name."""


def corpus_folder() -> Path | None:
    """Where the corpus is unpacked (once per machine, in the temporary folder), None without it."""
    shared = os.environ.get("BAILEY_SHARED") or Path(__file__).resolve().parents[3] / "shared"
    archive = Path(shared) / "corpus" / "dev.tar.xz"
    if not archive.is_file():
        return None
    key = f"{archive.stat().st_size}-{archive.stat().st_mtime_ns}"
    home = Path(tempfile.gettempdir()) / f"bailey-detection-{os.getuid()}-{key}"
    if not home.is_dir():
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch, tarfile.open(archive) as tar:
            tar.extractall(scratch, filter="data")
            shutil.move(scratch, home)
            Path(scratch).mkdir()
    return home / "dev"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled mail.  ``codes`` of a layer are the reasons that it found."""

    path: str
    label: str
    sub: str
    source: str
    gateway: tuple[str, ...]
    mailbox: tuple[str, ...]

    @property
    def is_bad(self) -> bool:
        return self.label != "ham"

    def codes(self, layer: str) -> tuple[str, ...]:
        return self.gateway if layer == "gateway" else self.mailbox


@dataclass(frozen=True, slots=True)
class _Raw:
    """What one mail gives without knowing the others."""

    entry: dict[str, str]
    gateway: tuple[str, ...]
    facts: MailFacts


@cache
def _segview(tool: Path) -> ModuleType:
    """The corpus' own tool, which turns a mailbox's mail into what a gateway saw."""
    spec = importlib.util.spec_from_file_location("corpus_segview", tool)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _look(job: tuple[Path, dict[str, str]]) -> _Raw:
    folder, entry = job
    raw = (folder / entry["path"]).read_bytes()
    seen, env = _segview(folder.parent / "tools" / "segview.py").seg(raw)
    sender = env["mail_from"] or ""
    facts = read_mail(seen, envelope_from=sender)
    envelope = Envelope(
        client_ip=env["ip"] or "",
        helo=env["helo"] or "",
        mail_from=sender,
        recipients=("user@customer.example",),
        received_at=datetime.now(UTC),
    )
    codes = tuple({reason.code for reason in gateway_reasons(seen, facts, envelope, None)})
    stored = read_mail(raw, envelope_from=sender, own_authserv_ids=OWN_AUTHSERV)
    return _Raw(entry, codes, stored)


def rows_of(
    folder: Path, progress: Callable[[int, int], None] = lambda done, of: None
) -> list[Row]:
    """Every labelled mail below ``folder`` (which holds ``manifest.csv``)."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        entries = list(csv.DictReader(stream))
    raws: list[_Raw] = []
    jobs = [(folder, entry) for entry in entries]
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        for raw in pool.map(_look, jobs, chunksize=64):
            raws.append(raw)
            progress(len(raws), len(jobs))
    return list(_with_history(raws))


def _with_history(raws: Iterable[_Raw]) -> Iterator[Row]:
    """Plays every source as one mailbox in the order of its mails' dates, so that first contact and
    well-known senders mean what they mean in a real one.
    """
    mailboxes: dict[str, list[_Raw]] = {}
    for raw in raws:
        mailboxes.setdefault(raw.entry["source"], []).append(raw)
    for source, mails in mailboxes.items():
        seen: dict[str, History] = {}
        for raw in sorted(mails, key=_arrived):
            sender = raw.facts.sender.address if raw.facts.sender else ""
            history = seen.get(sender, History())
            codes = {reason.code for reason in mailbox_reasons(raw.facts, _context(raw, history))}
            yield Row(
                path=raw.entry["path"],
                label=raw.entry["label"],
                sub=raw.entry["sub"],
                source=source,
                gateway=raw.gateway,
                mailbox=tuple(codes),
            )
            seen[sender] = replace(
                history,
                first_seen_at=history.first_seen_at or _arrived(raw),
                last_seen_at=_arrived(raw),
                mails_to_mailbox=history.mails_to_mailbox + 1,
                mails_to_client=history.mails_to_client + 1,
            )


def _arrived(raw: _Raw) -> datetime:
    found = next((hop.received_at for hop in raw.facts.hops if hop.received_at), None)
    return found or raw.facts.sent_at or datetime(1990, 1, 1, tzinfo=UTC)


def _context(raw: _Raw, history: History) -> MailboxContext:
    """A mailbox of nobody we know: the corpus' recipients are placeholders and lists."""
    return MailboxContext(
        recipient=Address("user@customer.example"),
        own_domains=("customer.example",),
        direction=Direction.INBOUND,
        auth=raw.facts.auth_results,
        sender_history=history,
    )
