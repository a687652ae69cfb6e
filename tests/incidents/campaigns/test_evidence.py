"""What two mails share and what it says: each rule of the strict link and of the soft one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from incidents.campaigns.canonical import Words, canonical
from incidents.campaigns.evidence import (
    MOST_BENIGN,
    MOST_GROUPS,
    Mail,
    Rarity,
    campaign_link,
    group_link,
)
from incidents.campaigns.hubs import is_hub
from incidents.campaigns.traits import Trait, make_trait
from incidents.mail.signals import lists
from tests.incidents.campaigns.mails import START

HOST = make_trait("url_host", "evil.example")
URL = make_trait("url", "evil.example/pay/now")
SHAPE = make_trait("url_shape", "evil.example/pay/#")
SENDER = make_trait("sender", "eve@crook.example")
SUBJECT = make_trait("subject_shape", "your parcel is waiting")
NAME = make_trait("display_name", "accounts desk")
FILE = make_trait("file", "f" * 64)
IMAGE = make_trait("image", "a" * 64)
ACCOUNT = make_trait("iban", "DE89370400440532013000")
RARE = Rarity()


def having(number: int, *traits: Trait, hours: float = 0, **changes: Any) -> Mail:
    """A short mail with these traits and no others, and content of its own."""
    values: dict[str, Any] = {"fingerprint": f"{number:032d}"} | changes
    held = {(trait.kind, trait.value): trait for trait in traits}
    return Mail(number, START + timedelta(hours=hours), held, **values)


def two(*traits: Trait, hours: float = 0, **changes: Any) -> tuple[Mail, Mail]:
    return having(1, *traits, **changes), having(2, *traits, hours=hours, **changes)


def key(trait: Trait) -> tuple[str, str]:
    return trait.kind, trait.value


# --- how much a value says


def test_what_threats_share_is_not_counted_as_harmless():
    many = MOST_BENIGN + 5
    rarity = Rarity(messages={key(HOST): many}, threats={key(HOST): many})
    assert rarity.weighs(HOST) > 0
    assert replace(rarity, threats={key(HOST): 4}).weighs(HOST) == 0


@pytest.mark.parametrize(("incidents", "says"), [(MOST_GROUPS, True), (MOST_GROUPS + 1, False)])
def test_what_stands_in_too_many_incidents_is_a_fashion(incidents: int, says: bool):
    assert bool(Rarity(groups={key(HOST): incidents}).weighs(HOST)) is says


def test_a_value_says_the_less_the_more_have_it():
    weights = [Rarity(groups={key(HOST): n}).weighs(HOST) for n in (1, 10, 100)]
    weights += [Rarity(messages={key(HOST): n}).weighs(HOST) for n in (0, 5, 20)]
    assert weights == [*sorted(weights[:3], reverse=True), *sorted(weights[3:], reverse=True)]
    assert len(set(weights[:3])) == 3


@pytest.mark.parametrize(
    "trait", [make_trait("sender", "boss@acme.example"), make_trait("url_host", "acme.example")]
)
def test_the_clients_own_domain_says_nothing(trait: Trait):
    assert RARE.weighs(trait) > 0
    assert Rarity(own_domains=frozenset({"acme.example"})).weighs(trait) == 0


@pytest.mark.parametrize(
    ("kind", "text", "joins_nothing"),
    [
        ("sender_domain", "gmail.com", True),
        ("sender", "eve@gmail.com", False),
        ("reply_to", "eve@gmail.com", False),
        ("sender_infra", "5.39.59.0/24 gmail.com", True),
        ("sender_domain", min(lists.bulk_senders()), True),
        ("sender_domain", "crook.example", False),
        ("url_host", min(lists.shared_hosts()), True),
        ("url_host", f"x.y.{min(lists.shared_hosts())}", True),
        ("url_shape", f"{min(lists.shorteners())}/#", True),
        ("url_host", "gmail.com", True),
        ("url_host", "evil.example", False),
        ("ip", "5.39.59.1", True),
        ("subject_shape", "gmail.com is waiting", False),
    ],
)
def test_hubs(kind: str, text: str, joins_nothing: bool):
    assert is_hub(make_trait(kind, text)) is joins_nothing


# --- the soft link


def test_kinds_that_say_the_same_thing_twice_count_once():
    assert campaign_link(*two(URL, SHAPE, HOST), RARE) is None
    found = campaign_link(*two(URL, SHAPE, HOST, SENDER), RARE)
    assert found is not None
    assert {part.kind for part in found.parts} == {"url", "sender"}


@pytest.mark.parametrize(("first", "second", "joins"), [(1, 1, True), (1, 0, False), (0, 0, False)])
def test_a_file_alone_joins_where_both_are_malware(first: bool, second: bool, joins: bool):
    a, b = having(1, FILE, is_malware=bool(first)), having(2, FILE, is_malware=bool(second))
    assert (campaign_link(a, b, RARE) is not None) is joins


def test_weak_evidence_of_two_kinds_does_not_reach_the_threshold():
    common = Rarity(messages=dict.fromkeys([key(NAME), key(IMAGE)], MOST_BENIGN))
    assert campaign_link(*two(NAME, IMAGE), common) is None
    assert campaign_link(*two(NAME, IMAGE), RARE) is not None


def test_seven_days_halve_a_link():
    now, later = (campaign_link(*two(HOST, SENDER, hours=hours), RARE) for hours in (0, 24 * 7))
    assert now is not None
    assert later is not None
    assert later.strength == pytest.approx(now.strength / 2)


# --- the strict link


def test_the_same_rare_file_makes_one_incident_and_a_frequent_one_does_not():
    found = group_link(*two(FILE), RARE)
    assert found is not None
    assert [part.kind for part in found.parts] == ["file"]
    assert group_link(*two(FILE), Rarity(messages={key(FILE): MOST_BENIGN + 1})) is None


@pytest.mark.parametrize(("equal", "joins"), [(52, True), (51, False), (33, False)])
def test_long_texts_are_one_incident_from_four_fifths_on_and_by_nothing_else(
    equal: int, joins: bool
):
    shared = (HOST, SENDER, SUBJECT)
    a = having(1, *shared, shingles=tuple(range(64)))
    b = having(2, *shared, shingles=(*range(equal), *range(100, 164 - equal)))
    assert (group_link(a, b, RARE) is not None) is joins


@pytest.mark.parametrize(
    ("traits", "joins"),
    [
        ((SUBJECT, HOST), True),
        ((SUBJECT,), False),
        ((SUBJECT, NAME), False),
        ((HOST, SENDER), False),
        ((NAME, IMAGE), False),
    ],
    ids=["form and link", "form alone", "words twice", "no words", "too weak"],
)
def test_short_mails_are_one_incident_by_their_template(traits: tuple[Trait, ...], joins: bool):
    assert (group_link(*two(*traits), RARE) is not None) is joins


def test_a_short_text_needs_something_besides_it():
    same: dict[str, Any] = {"fingerprint": "e" * 32}
    assert group_link(*two(**same), RARE) is None
    assert group_link(*two(SUBJECT, **same), RARE) is None
    assert group_link(*two(make_trait("sender_domain", "gmail.com"), **same), RARE) is None
    assert group_link(*two(SENDER, **same), RARE) is not None
    assert group_link(*two(**same, shingles=tuple(range(64))), RARE) is not None


# --- the guards, on whole campaigns


def two_hands(carriers: int) -> list[Mail]:
    """Two campaigns of six incidents, seven days apart; so many mails of each name one account."""
    mails = []
    for hand, (host, sender) in enumerate((("evil", "a@crook.example"), ("bad", "b@rook.example"))):
        own = (make_trait("url_host", f"{host}.example"), make_trait("sender", sender))
        for at in range(6):
            number = hand * 10 + at
            account = (ACCOUNT,) if at < carriers else ()
            text = tuple(range(number * 1000, number * 1000 + 64))
            mails.append(having(number, *own, *account, hours=hand * 24 * 7 + at, shingles=text))
    return mails


@pytest.mark.parametrize(("carriers", "campaigns"), [(0, 2), (1, 2), (2, 2), (4, 1)])
def test_a_value_that_is_foreign_to_two_campaigns_does_not_bridge_them(
    carriers: int, campaigns: int
):
    """One mail of six: too few; two: enough, but one value carries all; four: it is their own."""
    found = canonical(two_hands(carriers), RARE)
    assert len(set(found.group_of.values())) == 12
    assert len(set(found.campaign_of.values())) == campaigns


def test_a_fashion_is_counted_over_the_incidents_at_hand():
    """What more than 120 incidents share joins none of them, though nobody has counted it."""
    mails = [having(number, HOST, SENDER, hours=number * 80) for number in range(MOST_GROUPS + 2)]
    some = canonical(mails[:3], RARE).campaign_of
    assert len(set(some.values())) == 1
    assert len(set(canonical(mails, RARE).campaign_of.values())) == len(mails)


def test_who_is_of_another_campaign_is_of_another_incident():
    a, b = two(HOST, SENDER, shingles=tuple(range(64)))
    assert canonical([a, b], RARE).group_of[2] == 1
    found = canonical([a, b], RARE, campaigns=Words(apart=((1, 2),)))
    assert found.group_of[2] == found.campaign_of[2] == 2


def test_who_is_said_to_be_of_one_campaign_need_not_be_of_one_incident():
    found = canonical([having(1), having(2)], RARE, campaigns=Words(together=((1, 2),)))
    assert (found.group_of[2], found.campaign_of[2]) == (2, 1)
