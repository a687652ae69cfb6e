"""Mail whose truth is known: hands with their templates and servers, and harmless bulk beside them.

Each hand writes from a template and changes it from mail to mail: names, numbers, letters that
only look alike, blanks, synonyms, senders, links, languages.  Hands share what real ones share:
brands, bought kits, free mail, file hosts, link shorteners.  Harmless bulk comes over shared
servers under the same brands.  Everything from a seed; nothing was taken from real mail, and all
names end in ``.example`` but those that everybody shares.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header

START = datetime(2026, 10, 1, 6, tzinfo=UTC)
_BRANDS = ("Parcel Express", "Nordbank", "Mailbox Support", "CloudDrive", "Tax Office", "StreamTV")
_NAMES = ("Ana", "Bo", "Mo", "Pia", "Gus", "Eva", "Tom", "Ida", "Max", "Lea")
_SHARED_HOSTS = ("docs.google.com", "bit.ly", "www.dropbox.com", "storage.googleapis.com")
_SHARED_SENDERS = ("gmail.com", "outlook.com", "yahoo.com")
# Servers that anybody rents: several hands send from each.
_RENTED = tuple(f"{number}.{number + 40}.7" for number in range(31, 46))
_COMMON_SUBJECTS = (
    "Your parcel is waiting {}",
    "Action required: verify your mailbox {}",
    "Invoice {} is overdue",
    "New document shared with you {}",
    "Your subscription ends {}",
    "Payment advice {}",
)
_LOOKALIKES = str.maketrans({"a": "а", "e": "е", "o": "о"})
_SYNONYMS = (
    ("please", "kindly"),
    ("account", "profile"),
    ("confirm", "verify"),
    ("today", "now"),
    ("click", "press"),
    ("problem", "issue"),
)
_WORDS = {
    "en": str.split(
        "please confirm your account details today because we found a problem with the last"
        " delivery and your access will be closed unless you click the button below within hours"
        " our records show that the payment could not be completed thank you for your patience"
        " support team customer service department security notice important message regarding"
        " invoice shipment mailbox storage quota password subscription refund pending review"
    ),
    "de": str.split(
        "bitte bestätigen sie ihre angaben noch heute weil bei der letzten zustellung ein fehler"
        " aufgetreten ist und ihr zugang geschlossen wird wenn sie nicht innerhalb weniger stunden"
        " auf die schaltfläche klicken unsere unterlagen zeigen dass die zahlung nicht möglich war"
        " vielen dank für ihre geduld kundendienst abteilung sicherheit wichtige nachricht rechnung"
        " sendung postfach speicher kennwort abonnement erstattung prüfung ausstehend"
    ),
}


@dataclass(frozen=True, slots=True)
class Made:
    """``truth`` names the hand; "" for harmless mail."""

    truth: str
    raw: bytes
    at: datetime
    is_malware: bool = False


@dataclass(slots=True)
class _Hand:
    """One sender of threats: what it keeps and what it rotates."""

    name: str
    kind: str
    languages: list[str]
    subjects: dict[str, list[str]]
    bodies: dict[str, list[str]]
    hosts: list[str]
    paths: list[str]
    senders: list[str]
    network: str
    display: str
    account: str = ""
    file: bytes = b""
    start: datetime = START
    days: float = 6.0
    size: int = 10
    heat: float = 0.0
    own_page: bool = True


def made_mail(seed: int, *, hands: int, singles: int, benign: int) -> Iterator[Made]:
    """In order of time of each part; the same for the same arguments."""
    draw = random.Random(seed)
    kits = [_body(draw, "en", 70) for _ in range(max(1, hands // 8))]
    for number in range(hands):
        yield from _mails_of(draw, _hand(draw, number, kits))
    for number in range(singles):
        hand = _hand(draw, hands + number, kits)
        hand.size = 1
        yield from _mails_of(draw, hand)
    yield from _bulk(draw, benign)


def _hand(draw: random.Random, number: int, kits: list[list[str]]) -> _Hand:
    kind = draw.choice(("link", "link", "link", "shared", "short", "fraud", "file"))
    word = "".join(draw.choice("bcdfghklmnprstvz") + draw.choice("aeiou") for _ in range(4))
    languages = draw.choice((["en"], ["en"], ["de"], ["en", "de"]))
    brand = draw.choice(_BRANDS)
    bodies = {one: _body(draw, one, 8 if kind == "short" else 70) for one in languages}
    if "en" in bodies and kind != "short" and draw.random() < 0.3:
        bodies["en"] = _adapted(draw, draw.choice(kits))
    shared = kind == "shared"
    hosts = [f"{word}{at}.example" for at in range(draw.randint(1, 6))]
    return _Hand(
        name=f"hand{number}",
        kind=kind,
        languages=languages,
        subjects={one: _subjects(draw, brand, one) for one in languages},
        bodies=bodies,
        hosts=[draw.choice(_SHARED_HOSTS)] if shared else hosts,
        paths=[f"{word}/{draw.choice(('login', 'track', 'go', 'form'))}"],
        senders=(
            [f"{word}{at}@{draw.choice(_SHARED_SENDERS)}" for at in range(2)]
            if shared or kind == "fraud"
            else [f"info@{word}-mail{at}.example" for at in range(draw.randint(1, 6))]
        ),
        network=draw.choice(_RENTED),
        display=brand,
        account=_iban(draw) if kind == "fraud" else "",
        file=draw.randbytes(3000) if kind == "file" else b"",
        start=START + timedelta(days=draw.uniform(0, 20)),
        days=draw.uniform(0.2, 9),
        size=draw.randint(3, 40),
        heat=draw.choice((0.0, 0.03, 0.1)),
        own_page=draw.random() < 0.6,
    )


def _subjects(draw: random.Random, brand: str, language: str) -> list[str]:
    """Up to three; some hands use lines that many others use too."""
    own = [f"{brand}: {' '.join(_body(draw, language, 4))} {{}}" for _ in range(draw.randint(1, 3))]
    return [draw.choice(_COMMON_SUBJECTS)] if draw.random() < 0.35 else own


def _adapted(draw: random.Random, kit: list[str]) -> list[str]:
    """A bought kit: others send most of these words too, each with a part of their own.

    Word for word the same text from two hands is no case here: by definition that is one incident.
    """
    own = len(kit) * 3 // 10
    at = draw.randrange(len(kit) - own)
    return [*kit[:at], *_body(draw, "en", own), *kit[at + own :]]


def _body(draw: random.Random, language: str, words: int) -> list[str]:
    return [draw.choice(_WORDS[language]) for _ in range(words)]


def _iban(draw: random.Random) -> str:
    """A German account with right check digits."""
    account = f"{draw.randrange(10**18):018d}"
    check = 98 - int(account + "131400") % 97
    return f"DE{check:02d}{account}"


def _mails_of(draw: random.Random, hand: _Hand) -> Iterator[Made]:
    times = sorted(draw.uniform(0, hand.days) for _ in range(hand.size))
    for offset in times:
        at = hand.start + timedelta(days=offset)
        yield Made(hand.name, _mail(draw, hand, at), at, hand.kind == "file")


def _mail(draw: random.Random, hand: _Hand, at: datetime) -> bytes:
    language = draw.choice(hand.languages)
    name = draw.choice(_NAMES)
    token = f"{draw.randrange(16**8):08x}"
    link = f"https://{draw.choice(hand.hosts)}/{draw.choice(hand.paths)}/{token}"
    if hand.kind == "shared":
        # One page for all mails, or a new one for each.
        link = f"https://{hand.hosts[0]}/{hand.paths[0] if hand.own_page else token}"
    lines = [f"Dear {name},", _changed(draw, hand.bodies[language], hand.heat)]
    if hand.account:
        lines.append(f"Transfer the amount to {hand.account}.")
    elif hand.kind != "file":
        lines.append(link)
    sender = draw.choice(hand.senders)
    subject = draw.choice(hand.subjects[language]).format(draw.randrange(10**6))
    if draw.random() < 0.2:
        subject = subject.translate(_LOOKALIKES)
    return _raw(draw, hand, sender, name, subject, "\n".join(lines), at, token)


def _changed(draw: random.Random, words: list[str], heat: float) -> str:
    """Synonyms, other words, zero-width characters, doubled blanks.  ``heat``: share of words."""
    text = " ".join(words)
    for one, other in _SYNONYMS:
        if draw.random() < 0.2:
            text = text.replace(one, other)
    changed = text.split()
    for _ in range(round(heat * len(changed)) + draw.randint(0, 1)):
        changed[draw.randrange(len(changed))] = draw.choice(("soon", "online", "bald", "dann"))
    if draw.random() < 0.15:
        changed = [word.replace("e", "e\u200b", 1) for word in changed]
    return ("  " if draw.random() < 0.3 else " ").join(changed)


def _raw(
    draw: random.Random,
    hand: _Hand,
    sender: str,
    name: str,
    subject: str,
    text: str,
    at: datetime,
    token: str,
) -> bytes:
    ip = f"{hand.network}.{draw.randint(1, 254)}"
    host = f"mx.{sender.rpartition('@')[2]}"
    when = at.strftime("%a, %d %b %Y %H:%M:%S +0000")
    head = [
        f"Received: from {host} ({host} [{ip}]) by mx.acme.example with ESMTPS; {when}",
        f"From: {hand.display} <{sender}>",
        f"To: {name} <{name.lower()}@acme.example>",
        f"Subject: {Header(subject, 'utf-8').encode()}",
        f"Message-ID: <{token}@{host}>",
        f"Date: {when}",
        "MIME-Version: 1.0",
    ]
    part = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    if not hand.file:
        return ("\r\n".join(head) + "\r\n" + part + text.replace("\n", "\r\n")).encode()
    attached = base64.encodebytes(hand.file).decode()
    return (
        "\r\n".join([*head, 'Content-Type: multipart/mixed; boundary="b"', ""])
        + f"\r\n--b\r\n{part}{text}\r\n--b\r\nContent-Type: application/octet-stream\r\n"
        f'Content-Disposition: attachment; filename="{token}.bin"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{attached}\r\n--b--\r\n"
    ).encode()


def _bulk(draw: random.Random, number: int) -> Iterator[Made]:
    """Newsletters and notices: many senders on the same few bulk servers, brands as in threats."""
    letters = [_hand(draw, 10_000 + each, [_body(draw, "en", 70)]) for each in range(25)]
    for each in letters:
        each.kind, each.account, each.file = "link", "", b""
        each.network = draw.choice(("149.72.10", "167.89.20", "198.2.130"))
        each.hosts = [*each.hosts[:1], draw.choice(_SHARED_HOSTS)]
    for _ in range(number):
        letter = draw.choice(letters)
        at = START + timedelta(days=draw.uniform(0, 30))
        yield Made("", _mail(draw, letter, at), at)
