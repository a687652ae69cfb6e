"""Made-up data for ``/console/components``, as the pages' queries would give it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID


def client() -> SimpleNamespace:
    return SimpleNamespace(
        name="Acme",
        contact_name="Rosa Amsel",
        contact_phone="+41 44 555 01 10",
        contact_email="it@acme.example",
        contact_hours="Mon to Fri, 8 to 17",
        contact_language="German",
        time_zone="Europe/Zurich",
    )


def at(clock: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-22T{clock}").replace(tzinfo=UTC)


def tabs() -> list[SimpleNamespace]:
    names = ("Needs me", "Team", "Waiting for client", "Handled automatically", "Health")
    keys = ("mine", "team", "waiting", "handled", "health")
    counts = (4, 12, 2, None, 1)
    return [
        SimpleNamespace(key=key, text=name, href="#", count=count)
        for key, name, count in zip(keys, names, counts, strict=True)
    ]


def part(text: str, tone: str = "calm") -> SimpleNamespace:
    return SimpleNamespace(text=text, tone=tone)


def row(key: str, number: int, **said: Any) -> SimpleNamespace:
    usual: dict[str, Any] = {
        "id": f"{key}-{number}",
        "href": "#",
        "number": f"#{number}",
        "campaign": "",
        "reported": "",
        "against": "",
        "differ": False,
        "next_step": "",
        "owner": "",
        "looking": (),
        "blind_since": None,
        "mailbox_blind_since": None,
        "sla_tone": "",
        "assign_href": "",
        "revision": 0,
        "is_about_mail": True,
    }
    return SimpleNamespace(**(usual | said))


ROWS: tuple[dict[str, Any], ...] = (
    {
        "number": 1042,
        "severity": "critical",
        "sla_text": "8 min over",
        "sla_tone": "crit",
        "title": "Fraud in the CFO's name, changed IBAN, one person replied",
        "subject": "Urgent payment today",
        "client": "Acme",
        "sender": "cfo.office@acrne.example",
        "campaign": "7 clients",
        "exposure": [
            part("2 in inbox", "crit"),
            part("1 read", "high"),
            part("1 replied", "crit"),
        ],
        "gateway": "clean",
        "mailbox": "bec",
        "differ": True,
        "did": "Pull waits for approval",
        "owner": "Ana Keller",
        "looking": ("Bo",),
    },
    {
        "number": 1041,
        "severity": "high",
        "sla_text": "22 min left",
        "sla_tone": "high",
        "title": "Voicemail phish from a mailbox that was taken over",
        "subject": "New voicemail for you",
        "client": "Globex",
        "sender": "it@globex.example",
        "exposure": [part("5 in inbox", "crit"), part("read not known")],
        "gateway": "not_seen",
        "mailbox": "phish",
        "did": "Nothing done yet",
        "next_step": "Pull 5 copies, reversible",
    },
    {
        "number": 1039,
        "severity": "medium",
        "sla_text": "3 h 10 left",
        "title": "Parcel notice with an archive that nobody could open",
        "subject": "Your parcel could not be delivered",
        "client": "Initech",
        "sender": "track@parcel.example",
        "exposure": [part("1 in junk", "warn")],
        "gateway": "unscannable",
        "mailbox": "blind",
        "did": "Held 4 of 5 copies",
        "owner": "Bo Lindt",
        "blind_since": at("06:12:00"),
        "mailbox_blind_since": at("06:12:00"),
    },
    {
        "number": 1033,
        "severity": "low",
        "sla_text": "",
        "title": "Newsletter reported as phish by one person",
        "subject": "Trade Weekly: ten things to know",
        "client": "Acme",
        "sender": "news@shop.example",
        "exposure": [],
        "gateway": "graymail",
        "mailbox": "graymail",
        "against": "Kim Roth says phish",
        "did": "Pulled 1 copy, seen to be gone",
        "owner": "Ana Keller",
    },
)


def rows(key: str) -> list[SimpleNamespace]:
    """Four incidents in the queue."""
    return [row(key, **said) for said in ROWS]


STORY = (
    (
        "08:51:07",
        "action",
        "calm",
        "Sender",
        "",
        "“CFO” wrote from acrne.example (r-n, not m).",
    ),
    (
        "08:51:09",
        "gateway",
        "gate",
        "Gateway",
        "Let it through.",
        "Score 4.1; Acme holds from 15. SPF and DKIM passed because the sender owns the "
        "lookalike domain.",
    ),
    ("08:51:12", "mailbox", "box", "Mailbox", "", "Arrived in the inboxes of it@ and info@."),
    (
        "08:51:31",
        "mailbox",
        "crit",
        "Mailbox",
        "Judged fraud (0.97):",
        "the CFO's name, a domain never seen at Acme, a new IBAN ending 4471.",
    ),
    ("08:54:20", "person", "high", "Person", "", "it@ read it and replied at 08:58:03."),
    ("09:02:10", "action", "info", "Action", "Ana pulled both copies.", "Reversible."),
    ("09:02:13", "mailbox", "good", "Mailbox", "Read back:", "gone from both inboxes."),
    (
        "09:05:00",
        "person",
        "calm",
        "Person",
        "",
        "Ana phoned it@: no payment made.",
    ),
)


def story(key: str) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            key=f"{key}-{index}",
            at=at(clock),
            lane=lane,
            tone=tone,
            who=who,
            lead=lead,
            text=text,
            note="Stated by phone, not verified." if "phoned" in text else "",
        )
        for index, (clock, lane, tone, who, lead, text) in enumerate(STORY)
    ]


def copies() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            recipient="it@acme.example",
            first_place="inbox",
            place="inbox",
            is_read=True,
            clicked_at=at("08:57:10"),
            replied_at=at("08:58:03"),
            forwarded_at=at("09:01:44"),
            verified_at=at("09:07:00"),
            is_threat=True,
        ),
        SimpleNamespace(
            recipient="info@acme.example",
            first_place="inbox",
            place="quarantine",
            is_read=None,
            clicked_at=None,
            replied_at=None,
            forwarded_at=None,
            verified_at=at("09:07:00"),
            is_threat=True,
        ),
    ]


def reasons() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            text="The display name is that of Acme's CFO, the address is not.",
            value="Rosa Amsel",
            weight=3.5,
        ),
        SimpleNamespace(
            text="The domain looks like acme.example.", value="acrne.example", weight=3
        ),
        SimpleNamespace(text="SPF and DKIM passed.", value="", weight=-0.5),
    ]


def attached(name: str, kind: str, warning: str = "") -> SimpleNamespace:
    return SimpleNamespace(id=UUID(int=0), name=name, kind=kind, size_bytes=48_200, warning=warning)


def client_choice() -> dict[str, Any]:
    clients = [("acme", "Acme"), ("globex", "Globex")]
    return {"clients": clients, "groups": [("group:1", "Law firms")]}


def comments() -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            author="Ana Keller",
            at=at("09:06:00"),
            text="Same IBAN as last week at Globex.",
            is_internal=True,
            files=[attached("letter.pdf", "pdf"), attached("bill.pdf", "exe", "a program")],
        ),
        SimpleNamespace(
            author="Ana Keller",
            at=at("09:08:00"),
            text="Both copies are removed. Please confirm that no payment was made.",
            is_internal=False,
            files=(),
        ),
    ]
