"""What two mails share, how rare it is, and what that says: the strict link and the soft one.

**Group** (one incident): the same content, the same rare file, near-duplicate text, or for short
mail the same template with evidence beyond its text; within three days.
**Campaign**: the sum over independent kinds of weight × rarity × decay, above a threshold and with
two independent kinds, or one that is strong by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from incidents.campaigns.hubs import is_hub
from incidents.campaigns.traits import Trait
from incidents.mail.fingerprint import similarity

VERSION = 1
IDLE_LIMIT = timedelta(days=3)
HALF_LIFE = timedelta(days=7)
NEAR_DUPLICATE = 0.8
RELATED_TEXT = 0.3
# The size of mail that rarity is reckoned against.  Fixed on purpose: with the client's own total,
# ten thousand newsletters would make every shared value look rarer and so join campaigns.
REFERENCE = 10_000
MOST_BENIGN = 20
"""A value in more harmless mails than this joins nothing."""
MOST_GROUPS = 120
"""A value in more incidents than this is no campaign but a fashion."""
CAMPAIGN_THRESHOLD = 7.0
TEMPLATE_THRESHOLD = 9.0

# kind → (family, weight).  Kinds of one family say the same thing twice: the best one counts.
KINDS: Mapping[str, tuple[str, float]] = {
    "url": ("link", 1.0),
    "url_shape": ("link", 0.9),
    "url_host": ("link", 0.8),
    "file": ("file", 1.2),
    "image": ("image", 0.6),
    "sender": ("sender", 0.8),
    "sender_domain": ("sender", 0.8),
    "sender_infra": ("sender", 0.5),
    "subject_shape": ("subject", 0.7),
    "display_name": ("subject", 0.3),
    "borrowed_name": ("name", 0.6),
    "reply_to": ("reply", 1.0),
    "phone": ("payment", 1.5),
    "iban": ("payment", 2.0),
    "wallet": ("payment", 2.0),
    "text_shape": ("text", 0.8),
    "text": ("text", 1.8),
    "content": ("text", 2.0),
}
STRONG = frozenset({"phone", "iban", "wallet", "content", "text"})
_WORDS_ALONE = frozenset({"text", "subject"})


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of an incident, as far as comparing it goes.  Ids sort."""

    id: Any
    seen_at: datetime
    traits: Mapping[tuple[str, str], Trait] = field(default_factory=dict)
    fingerprint: str = ""
    shingles: tuple[int, ...] = ()
    is_malware: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of evidence.  ``messages``: in how many of the client's mails; None: not counted.

    ``share`` is the similarity of two texts, 0 for what is equal or not.
    """

    kind: str
    value: str
    label: str
    weight: float
    messages: int | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Link:
    """Two mails that belong together, and why; ``a`` is the smaller id."""

    a: Any
    b: Any
    strength: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Rarity:
    """How many mails and how many incidents of the client have a value.

    ``messages`` counts harmless mail too; ``threats`` the mails in incidents among them; ``groups``
    the incidents.  ``own_domains`` are the client's, which every spoof of it shares.
    """

    messages: Mapping[tuple[str, str], int] = field(default_factory=dict)
    threats: Mapping[tuple[str, str], int] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], int] = field(default_factory=dict)
    own_domains: frozenset[str] = frozenset()

    def benign(self, key: tuple[str, str]) -> int:
        return max(0, self.messages.get(key, 0) - self.threats.get(key, 0))

    def total(self, key: tuple[str, str]) -> int:
        return max(self.messages.get(key, 0), self.threats.get(key, 0))

    def weighs(self, trait: Trait) -> float:
        """How much sharing this value says: 0 for hubs, 9 for what stands nowhere else."""
        key = (trait.kind, trait.value)
        if is_hub(trait) or trait.label.rpartition("@")[2] in self.own_domains:
            return 0.0
        if self.benign(key) > MOST_BENIGN or self.groups.get(key, 0) > MOST_GROUPS:
            return 0.0
        seen = self.benign(key) + max(1, self.groups.get(key, 0) - 1)
        return math.log(REFERENCE / seen)


def campaign_link(a: Mail, b: Mail, rarity: Rarity) -> Link | None:
    """The soft link between two mails of different incidents, None where it does not hold."""
    best = _best_by_family(a, b, rarity)
    apart = abs((a.seen_at - b.seen_at) / HALF_LIFE)
    strength = sum(part.weight for part in best.values()) * 0.5**apart
    is_strong = any(
        part.kind in STRONG or (part.kind == "file" and a.is_malware and b.is_malware)
        for part in best.values()
    )
    if strength < CAMPAIGN_THRESHOLD or (len(best) < 2 and not is_strong):
        return None
    return _link(a, b, strength, best.values())


def group_link(a: Mail, b: Mail, rarity: Rarity) -> Link | None:
    """The strict link: one decision can settle both.  The strictest evidence is named."""
    if abs(a.seen_at - b.seen_at) > IDLE_LIMIT:
        return None
    if a.fingerprint and a.fingerprint == b.fingerprint and _is_more_than_text(a, b):
        return _link(a, b, 4.0, [Part("content", a.fingerprint, "", 4.0)])
    for key in sorted(_shared(a, b)):
        if key[0] == "file" and rarity.weighs(a.traits[key]):
            trait = a.traits[key]
            part = Part("file", trait.value, trait.label, 3.0, rarity.total(key))
            return _link(a, b, 3.0, [part])
    share = similarity(a.shingles, b.shingles)
    if share >= NEAR_DUPLICATE:
        return _link(a, b, 2.0 + share, [Part("text", "", "", 2.0 + share, share=share)])
    if a.shingles and b.shingles:
        return None
    return _template_link(a, b, rarity)


def _template_link(a: Mail, b: Mail, rarity: Rarity) -> Link | None:
    """Short mail: never by its words alone, however alike they are."""
    best = _best_by_family(a, b, rarity)
    if not best.keys() & _WORDS_ALONE or not best.keys() - _WORDS_ALONE:
        return None
    if sum(part.weight for part in best.values()) < TEMPLATE_THRESHOLD:
        return None
    return _link(a, b, 1.0, best.values())


def _is_more_than_text(a: Mail, b: Mail) -> bool:
    """Long text is evidence enough; a short one could be anybody's: something else must agree."""
    if a.shingles:
        return True
    return any(
        KINDS.get(kind, ("",))[0] not in {*_WORDS_ALONE, ""} and not is_hub(a.traits[kind, value])
        for kind, value in _shared(a, b)
    )


def _shared(a: Mail, b: Mail) -> set[tuple[str, str]]:
    return set(a.traits.keys() & b.traits.keys())


def _best_by_family(a: Mail, b: Mail, rarity: Rarity) -> dict[str, Part]:
    best: dict[str, Part] = {}
    for part in (*_trait_parts(a, b, rarity), *_text_parts(a, b)):
        family = KINDS[part.kind][0]
        if family not in best or part.weight > best[family].weight:
            best[family] = part
    return best


def _trait_parts(a: Mail, b: Mail, rarity: Rarity) -> list[Part]:
    parts = []
    for key in sorted(_shared(a, b)):
        trait = a.traits[key]
        if trait.kind in KINDS:
            weight = KINDS[trait.kind][1] * rarity.weighs(trait)
            if weight > 0:
                parts.append(Part(trait.kind, trait.value, trait.label, weight, rarity.total(key)))
    return parts


def _text_parts(a: Mail, b: Mail) -> list[Part]:
    full = math.log(REFERENCE)
    if a.fingerprint and a.fingerprint == b.fingerprint and a.shingles:
        return [Part("content", a.fingerprint, "", KINDS["content"][1] * full)]
    share = similarity(a.shingles, b.shingles)
    if share >= NEAR_DUPLICATE:
        return [Part("text", "", "", KINDS["text"][1] * full * share, share=share)]
    if share >= RELATED_TEXT:
        weight = KINDS["text_shape"][1] * full * share
        return [Part("text_shape", "", "", weight, share=share)]
    return []


def _link(a: Mail, b: Mail, strength: float, parts: Any) -> Link:
    first, second = sorted((a.id, b.id))
    return Link(first, second, strength, tuple(parts))


def mail_of(
    mail_id: Any,
    seen_at: datetime,
    facts: Mapping[str, Any],
    *,
    traits: list[Trait],
    fingerprint: str,
    is_malware: bool = False,
) -> Mail:
    """``traits`` are those of ``traits_of(facts)``, given by who has them already."""
    return Mail(
        mail_id,
        seen_at,
        {(trait.kind, trait.value): trait for trait in traits},
        fingerprint,
        tuple(facts.get("shingles") or ()),
        is_malware,
    )
