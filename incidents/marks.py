"""Keyed fingerprints of what two mails of one threat have in common, at whatever client.

A mark cannot be made without the installation's key: who reads one learns nothing, and nobody can
ask about a mail she does not have.  Shared warnings count them over clients
(incidents/warnings.py), links join campaigns of several clients by them
(incidents/campaigns/links.py).
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator

from django.conf import settings

from incidents.campaigns.evidence import Mail, Rarity
from incidents.campaigns.traits import Trait, traits_of
from incidents.models import Message

_ALONE = ("file", "url", "iban", "wallet", "phone")
_SENDER = ("sender", "subject_shape")
# 64 MinHash values as 8 bands of 8 rows: texts at 0.9 meet in a band with p = 0.99, at 0.8 with
# 0.77, at 0.5 with 0.03.
_BAND_ROWS = 8

Shared = tuple[str, str]


def marks_of(message: Message) -> set[str]:
    """Each alone strong enough for a warning."""
    shared = set(_by_traits(traits_of(message.facts)))
    if message.fingerprint:
        shared.add(("content", message.fingerprint))
    return {_keyed(*each) for each in shared}


def link_marks_of(mail: Mail, rarity: Rarity) -> list[str]:
    """Each alone strong enough to link campaigns; what much harmless mail has, too, is left out.

    Long text counts where it is the same or nearly the same; short text could be anybody's, and
    counts together with its sender.
    """
    telling = [trait for trait in mail.traits.values() if rarity.weighs(trait) > 0]
    shared = set(_by_traits(telling))
    if mail.shingles:
        shared.add(("content", mail.fingerprint))
        shared.update(_by_text(mail.shingles))
    elif mail.fingerprint and (sender := _first(telling, "sender")):
        shared.add(("content and sender", f"{mail.fingerprint} {sender}"))
    return sorted(_keyed(kind, value) for kind, value in shared if value)


def _by_traits(traits: Collection[Trait]) -> Iterator[Shared]:
    for trait in traits:
        if trait.kind in _ALONE:
            yield trait.kind, trait.value
    sender, subject = (_first(traits, kind) for kind in _SENDER)
    if sender and subject:
        yield "sender and subject", f"{sender} {subject}"


def _by_text(shingles: tuple[int, ...]) -> Iterator[Shared]:
    for start in range(0, len(shingles) - _BAND_ROWS + 1, _BAND_ROWS):
        yield "text", f"{start}:{shingles[start : start + _BAND_ROWS]}"


def _first(traits: Collection[Trait], kind: str) -> str:
    return next((trait.value for trait in traits if trait.kind == kind), "")


def _keyed(kind: str, value: str) -> str:
    key = hmac.digest(settings.MASTER_KEY, b"bailey warning marks 1", "sha256")
    return hmac.digest(key, f"{kind}\n{value}".encode(), "sha256").hex()
