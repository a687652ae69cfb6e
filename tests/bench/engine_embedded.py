"""What a scan of the embedded engine costs without DNS, per mail of 20 KB."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from incidents.mail import read_mail
from seg_bridge.engines import Envelope, Scan
from seg_bridge.engines.embedded import EmbeddedEngine, child
from tests.bench import Measurement
from tests.bench.mail_reading import cpu_ms, mails

GOAL_MS = 3.0
MAIL_BYTES = 20_000
ENVELOPE = Envelope(
    client_ip="192.0.2.10",
    helo="mail.sender.example",
    mail_from="a@sender.example",
    recipients=("info@acme.example",),
    received_at=datetime(2026, 11, 16, 9, 0, tzinfo=UTC),
)


def measure() -> list[Measurement]:
    raws, what = mails()
    facts = {raw: read_mail(raw) for raw in raws}
    engine = EmbeddedEngine(lookup=lambda name, kind: ())

    def scan(raw: bytes) -> Scan:
        """Both halves: what runs in the reading process, and the rest."""
        judged = child.judge(raw, facts[raw], None)
        return engine.scan_now(raw, replace(facts[raw], judged=judged), ENVELOPE)

    try:
        scan_ms = cpu_ms(scan, raws)
    finally:
        engine.close()
    read_ms = cpu_ms(read_mail, raws)
    mean_bytes = sum(map(len, raws)) / len(raws)
    return [
        Measurement(
            name="engine_embedded",
            value=scan_ms * MAIL_BYTES / mean_bytes,
            unit="ms CPU per 20 KB",
            against=f"{what}, {mean_bytes / 1000:.1f} KB on average, {scan_ms:.2f} ms each; "
            f"reading the same mail {read_ms:.2f} ms",
            goal=f"≤ {GOAL_MS}",
            met=scan_ms * MAIL_BYTES / mean_bytes <= GOAL_MS,
        )
    ]


MEASURES = {"engine_embedded": measure}
