"""The laws of grouping: order, repeats, benign mail, people's words, edges, clients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from incidents.campaigns.canonical import Canonical, Words, canonical
from incidents.campaigns.evidence import Link, Mail, Rarity
from incidents.campaigns.partition import Guards, partition
from tests.incidents.campaigns.mails import mail, mail_sets


def clusters(root_of: dict[Any, Any]) -> set[frozenset[Any]]:
    found: dict[Any, set[Any]] = {}
    for node, root in root_of.items():
        found.setdefault(root, set()).add(node)
    return {frozenset(members) for members in found.values()}


def counted(mails: list[Mail]) -> Rarity:
    """As if the client had these mails and no others."""
    messages: dict[tuple[str, str], int] = {}
    for each in mails:
        for key in each.traits:
            messages[key] = messages.get(key, 0) + 1
    return Rarity(messages, dict(messages))


def with_benign(rarity: Rarity, counts: dict[tuple[str, str], int]) -> Rarity:
    more = {key: number + counts.get(key, 0) for key, number in rarity.messages.items()}
    return replace(rarity, messages=more)


pairs = st.tuples(st.integers(0, 13), st.integers(0, 13)).filter(lambda pair: pair[0] != pair[1])


@given(mail_sets(), st.data())
def test_the_order_of_arrival_changes_nothing(mails: list[Mail], data: st.DataObject):
    again = canonical(data.draw(st.permutations(mails)), counted(mails))
    found = canonical(mails, counted(mails))
    assert found.group_of == again.group_of
    assert found.campaign_of == again.campaign_of
    assert found.groups.used == again.groups.used
    assert found.campaigns.used == again.campaigns.used


@given(mail_sets(), st.lists(pairs, max_size=3), st.lists(pairs, max_size=3), st.data())
def test_nor_does_the_order_of_what_people_said(
    mails: list[Mail], together: list[Any], apart: list[Any], data: st.DataObject
):
    words = Words(tuple(together), tuple(apart))
    turned = Words(
        tuple(data.draw(st.permutations(together))), tuple(data.draw(st.permutations(apart)))
    )
    found = canonical(mails, counted(mails), groups=words, campaigns=words)
    again = canonical(mails, counted(mails), groups=turned, campaigns=turned)
    assert found.campaign_of == again.campaign_of


@given(mail_sets(), st.data())
def test_a_mail_seen_again_changes_nothing(mails: list[Mail], data: st.DataObject):
    """The same message comes again with every copy, repeat and second look."""
    repeated = data.draw(st.lists(st.sampled_from(mails), max_size=5))
    found, again = canonical(mails, counted(mails)), canonical(mails + repeated, counted(mails))
    assert found.campaign_of == again.campaign_of


@given(mail_sets(), st.data())
def test_benign_mail_never_joins_two_clusters(mails: list[Mail], data: st.DataObject):
    rarity = counted(mails)
    keys = st.sampled_from(sorted(rarity.messages))
    counts = data.draw(st.dictionaries(keys, st.integers(1, 60), max_size=20))
    before = canonical(mails, rarity)
    after = canonical(mails, with_benign(rarity, counts))
    for cluster in clusters(after.campaign_of):
        assert any(cluster <= whole for whole in clusters(before.campaign_of))
    for cluster in clusters(after.group_of):
        assert any(cluster <= whole for whole in clusters(before.group_of))


@given(mail_sets(), st.lists(pairs, max_size=4), st.lists(pairs, max_size=4))
def test_what_people_said_always_holds(mails: list[Mail], together: list[Any], apart: list[Any]):
    known = {each.id for each in mails}
    joined = partition(known, [], together=together).root_of
    apart = [
        (a, b) for a, b in apart if a in known and b in known and joined[a] != joined[b]
    ]  # a later word withdraws the earlier one that contradicts it
    words = Words(tuple(together), tuple(apart))
    found = canonical(mails, counted(mails), groups=words)
    for a, b in together:
        if a in known and b in known:
            assert found.group_of[a] == found.group_of[b]
            assert found.campaign_of[a] == found.campaign_of[b]
    for a, b in apart:
        assert found.group_of[a] != found.group_of[b]


@given(mail_sets(), st.lists(pairs, max_size=4))
def test_campaigns_that_people_keep_apart_stay_apart(mails: list[Mail], apart: list[Any]):
    apart = [(a, b) for a, b in apart if a < len(mails) and b < len(mails)]
    again = canonical(mails, counted(mails), campaigns=Words(apart=tuple(apart)))
    for a, b in apart:
        assert again.campaign_of[a] != again.campaign_of[b]


links = st.lists(
    st.builds(
        lambda pair, strength: Link(min(pair), max(pair), strength, ()),
        pairs,
        st.integers(1, 5).map(float),
    ),
    max_size=20,
    unique_by=lambda link: (link.a, link.b),
)


@given(links, st.data())
def test_taking_an_edge_away_undoes_exactly_its_merge(every: list[Link], data: st.DataObject):
    whole = partition(range(14), every)
    if not whole.used:
        return
    edge = data.draw(st.sampled_from(whole.used))
    forest = [link for link in whole.used if link is not edge]
    parted = partition(range(14), forest)
    before, after = clusters(whole.root_of), clusters(parted.root_of)
    (split,) = before - after
    assert {edge.a, edge.b} <= split
    assert len(after - before) == 2
    assert frozenset.union(*(after - before)) == split
    assert clusters(partition(range(14), [*forest, edge]).root_of) == before


@given(links)
def test_the_edges_that_are_kept_are_the_clusters(every: list[Link]):
    whole = partition(range(14), every)
    assert clusters(partition(range(14), whole.used).root_of) == clusters(whole.root_of)
    assert len(whole.used) == 14 - len(clusters(whole.root_of))


@given(mail_sets(8), mail_sets(8))
def test_clients_are_told_apart_whatever_they_share(left: list[Mail], right: list[Mail]):
    """Each client's mail is partitioned alone: exchanging the clients exchanges the answers."""
    answers = {
        name: canonical(mails, counted(mails)) for name, mails in (("l", left), ("r", right))
    }
    turned = {name: canonical(mails, counted(mails)) for name, mails in (("l", right), ("r", left))}
    assert answers["l"].campaign_of == turned["r"].campaign_of
    assert answers["r"].campaign_of == turned["l"].campaign_of


def campaign_of(*mails: Mail, rarity: Rarity | None = None) -> Canonical:
    return canonical(list(mails), rarity or counted(list(mails)))


def test_one_kind_of_evidence_joins_nothing_however_rare():
    found = campaign_of(mail(1, host="evil.example"), mail(2, host="evil.example"))
    assert found.campaign_of[1] != found.campaign_of[2]


def test_two_independent_kinds_join():
    shared: dict[str, Any] = {"host": "evil.example", "subject": "your parcel is waiting"}
    found = campaign_of(mail(1, **shared, hours=0), mail(2, **shared, hours=96))
    assert found.campaign_of[1] == found.campaign_of[2]
    assert found.group_of[1] != found.group_of[2]


def test_a_bank_account_alone_joins():
    found = campaign_of(
        mail(1, account="DE89370400440532013000"),
        mail(2, account="DE89370400440532013000", hours=30),
    )
    assert found.campaign_of[1] == found.campaign_of[2]


def test_everybodys_host_and_mailer_join_nothing():
    shared: dict[str, Any] = {"host": "docs.google.com", "sender": ""}
    found = campaign_of(
        mail(1, **shared, subject="your parcel is waiting"),
        mail(2, **shared, subject="your parcel is waiting"),
    )
    assert found.campaign_of[1] != found.campaign_of[2]


def test_what_harmless_mail_has_too_joins_nothing():
    mails = [
        mail(number, host="evil.example", subject="your parcel is waiting", hours=96 * number)
        for number in (1, 2)
    ]
    rarity = counted(mails)
    common = {key: 30 for key in rarity.messages if key[0].startswith("url")}
    assert campaign_of(*mails, rarity=rarity).campaign_of[2] == 1
    assert campaign_of(*mails, rarity=with_benign(rarity, common)).campaign_of[2] == 2


def test_links_grow_weaker_with_time():
    shared: dict[str, Any] = {"host": "evil.example", "subject": "your parcel is waiting"}
    found = campaign_of(mail(1, **shared), mail(2, **shared, hours=24 * 30))
    assert found.campaign_of[1] != found.campaign_of[2]


def test_short_mail_joins_by_its_template_and_never_by_its_words_alone():
    words: dict[str, Any] = {"fingerprint": "e" * 32, "subject": "are you at your desk"}
    alone = campaign_of(mail(1, **words), mail(2, **words))
    assert alone.group_of[1] != alone.group_of[2]
    same_sender = campaign_of(
        mail(1, **words, sender="boss@crook.example"), mail(2, **words, sender="boss@crook.example")
    )
    assert same_sender.group_of[1] == same_sender.group_of[2]
    named: dict[str, Any] = {"subject": "quick favour", "name": "Martha Wells"}
    rotated = campaign_of(
        mail(1, **named, sender="office.1@gmail.com"), mail(2, **named, sender="office.2@gmail.com")
    )
    assert rotated.group_of[1] == rotated.group_of[2]
    mutated: dict[str, Any] = {"subject": "are you at your desk", "host": "evil.example"}
    template = campaign_of(mail(1, **mutated), mail(2, **mutated))
    assert template.group_of[1] == template.group_of[2]


def test_three_idle_days_end_an_incident():
    same: dict[str, Any] = {"fingerprint": "e" * 32, "shingles": tuple(range(64))}
    found = campaign_of(mail(1, **same), mail(2, **same, hours=71), mail(3, **same, hours=160))
    assert found.group_of[1] == found.group_of[2] != found.group_of[3]
    assert found.campaign_of[1] == found.campaign_of[3]


def test_one_shared_value_does_not_bridge_two_large_campaigns():
    left = [Link(a, a + 1, 9.0, ()) for a in range(9)]
    right = [Link(a, a + 1, 9.0, ()) for a in range(10, 19)]
    bridge = [Link(9, 10, 8.5, ())]
    found = partition(range(20), left + right + bridge, guards=Guards())
    assert len(clusters(found.root_of)) == 2
    assert found.refused[0][1] == "too few of its mails resemble the other campaign"
    assert len(clusters(partition(range(20), left + right + bridge).root_of)) == 1


def test_what_would_be_too_large_needs_more():
    chain = [Link(a, a + 1, 9.0, ()) for a in range(9)]
    small = Guards(most=6)
    assert max(map(len, clusters(partition(range(10), chain, guards=small).root_of))) == 6
    strong = [replace(link, strength=20.0) for link in chain]
    assert len(clusters(partition(range(10), strong, guards=small).root_of)) == 1
