"""What both layers have on record of a mail tells where they or the mail host are in the way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from incidents.interference import fixes_of, harm_of, hourly, what_is_wrong
from incidents.interference.fixes import CAUSES
from incidents.interference.hourly import PERIOD, compare, serve_compare, want_compare
from incidents.interference.pairs import pairs_of
from incidents.models import Delivery, Interference
from incidents.words import Outcome, Place, Verdict
from tenants.doors import ClaimedWork
from tenants.models import Work
from tests.factories import Cast, mail_json
from tests.incidents.test_disagreements import (
    INFO,
    IT,
    acme_scope,
    happened,
    held,
    inside,
    passed,
    released,
    said,
    ulid,
)

__all__ = ["acme_scope"]

Kind = Interference.Kind
SAFE = "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fshop.example%2Fa&data=1"
SENDERS, OURS = "203.0.113.9", "198.51.100.7"


def link(seen: str, host: str = "shop.example", rewriter: str = "") -> dict[str, str]:
    url = f"https://{host}/a"
    return {"url": url, "host": host, "domain": host, "seen": seen, "rewriter": rewriter} | {
        "text": "Pay",
        "where": "html",
    }


SHOP, CDN = link("https://shop.example/a"), link("https://cdn.example/a", "cdn.example")
EVIL = link("https://click.example/x", "click.example")
WRAPPED = link(SAFE, rewriter="safelinks")
IN_ORDER = [{"method": "spf", "result": "pass"}, {"method": "dmarc", "result": "pass"}]


def gate(*links: dict[str, str], auth: Any = (), **changes: Any) -> dict[str, Any]:
    return {"mail": mail_json(links=list(links), auth=list(auth)), **changes}


def box(*links: dict[str, str], host: Any = None, **changes: Any) -> dict[str, Any]:
    detail = {"host_auth": host} if host else {}
    return {"mail": mail_json(links=list(links)), "detail": detail, **changes}


def no_trace(state: str = "missing", **changes: Any) -> dict[str, Any]:
    return box(trace_ulid="", trace_state=state, **changes)


def fail(ip: str = OURS) -> dict[str, str]:
    return {"spf": "fail", "dmarc": "fail"} | ({"ip": ip} if ip else {})


# What the gateway and the mailbox layer say of one copy, the check, whether it could look, and what
# it finds.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], Kind, int, list[tuple[str, str]]]] = {
    "the trace is whole": (gate(), box(), Kind.HEADER, 1, []),
    "the trace is gone": (gate(), no_trace(), Kind.HEADER, 1, [("missing", "")]),
    "the trace is broken": (gate(), no_trace("invalid"), Kind.HEADER, 1, [("broken", "")]),
    "no trace was expected": (gate(), no_trace(""), Kind.HEADER, 0, []),
    "the mail host took us for the sender": (
        *(gate(auth=IN_ORDER), box(host=fail()), Kind.CONNECTOR, 1, [("spf", OURS)]),
    ),
    "it does not say whom it took": (
        *(gate(auth=IN_ORDER), box(host=fail("")), Kind.CONNECTOR, 1, [("spf", "")]),
    ),
    "SPF failed, and DMARC stood by DKIM": (
        gate(auth=[{"method": "spf", "result": "fail"}, IN_ORDER[1]]),
        *(box(host=fail()), Kind.CONNECTOR, 1, [("spf", OURS)]),
    ),
    "it saw the true sender": (
        *(gate(auth=IN_ORDER), box(host=fail(SENDERS)), Kind.CONNECTOR, 1, []),
    ),
    "its SPF passed": (
        *(gate(auth=IN_ORDER), box(host={"spf": "pass", "ip": OURS}), Kind.CONNECTOR, 1, []),
    ),
    "the sender is not in order at the gateway either": (
        gate(auth=[{"method": "spf", "result": "fail"}]),
        *(box(host=fail()), Kind.CONNECTOR, 0, []),
    ),
    "what the mail host found is not on record": (
        *(gate(auth=IN_ORDER), box(), Kind.CONNECTOR, 0, []),
    ),
    "links as they were": (gate(SHOP, CDN), box(CDN, SHOP), Kind.LINKS, 1, []),
    "wrapped by Safe Links": (
        *(gate(SHOP), box(WRAPPED), Kind.LINKS, 1, [("wrapped", "safelinks")]),
    ),
    "wrapped before it came to us": (gate(WRAPPED), box(WRAPPED), Kind.LINKS, 1, []),
    "led elsewhere": (gate(SHOP), box(EVIL), Kind.LINKS, 1, [("replaced", "click.example")]),
    "only written otherwise": (
        *(gate(SHOP), box(link("https://shop.example/a?x=&amp;y")), Kind.LINKS, 1, []),
    ),
    "a banner brought a link": (gate(SHOP), box(SHOP, EVIL), Kind.LINKS, 1, []),
    "a link was taken out": (gate(SHOP, CDN), box(SHOP), Kind.LINKS, 1, []),
    "a mail without links": (gate(), box(), Kind.LINKS, 0, []),
    "in the inbox": (gate(), box(), Kind.DOUBLE_QUARANTINE, 1, []),
    "in junk": (gate(), box(place=Place.JUNK), Kind.DOUBLE_QUARANTINE, 1, [("junked", "")]),
    "in junk, and rightly": (
        *(gate(), box(place=Place.JUNK, verdict=Verdict.SPAM), Kind.DOUBLE_QUARANTINE, 0, []),
    ),
    "tagged by the gateway as spam": (
        *(gate(verdict=Verdict.SPAM), box(place=Place.JUNK), Kind.DOUBLE_QUARANTINE, 0, []),
    ),
    "no facts of the gateway": (gate(mail={}), box(WRAPPED), Kind.LINKS, 0, []),
    "facts of a foreign shape": (
        {"mail": mail_json(auth={"spf": "pass"})},
        {"detail": {"host_auth": "spf=fail"}},
        *(Kind.CONNECTOR, 0, []),
    ),
}


def found(row: Interference) -> list[tuple[str, str]]:
    return [(each["cause"], each["value"]) for each in row.findings]


def looked(cast: Cast) -> dict[str, Interference]:
    return {row.kind: row for row in compare(cast.acme)}


@pytest.mark.parametrize("case", CASES)
def test_what_is_on_record_of_a_copy_tells_what_is_wrong(cast: Cast, case: str):
    of_gate, of_box, kind, copies, causes = CASES[case]
    happened(cast, passed(cast, **of_gate), inside(cast, **of_box))
    row = looked(cast)[kind]
    assert (row.copies, found(row)) == (copies, causes)
    for each in row.findings:
        assert each["proof"] == [str(Delivery.objects.get().id)]


def test_a_client_whose_facts_are_missing_has_nothing_that_could_be_compared(cast: Cast):
    assert {row.copies for row in looked(cast).values()} == {0}
    # Seen by the gateway alone, by the mailbox layer alone, and told without facts.
    happened(cast, passed(cast), inside(cast, IT, 2, trace_ulid="", trace_state="missing"))
    happened(cast, passed(cast, INFO, 3, mail={}), inside(cast, INFO, 3, mail={}))
    rows = looked(cast)
    assert {kind: row.copies for kind, row in rows.items()} == dict.fromkeys(Kind.values, 0)
    assert not any(row.findings for row in rows.values())


def test_a_copy_that_no_proof_makes_the_same_mail_is_not_held_against_the_mail_host(cast: Cast):
    """Around the gateway: that is an incident of its own."""
    happened(cast, passed(cast))
    happened(cast, inside(cast, number=2, trace_ulid="", trace_state="missing", item="other"))
    assert Delivery.objects.get(is_bypass=True)
    assert looked(cast)[Kind.HEADER].copies == 0


def test_a_released_mail_in_junk_is_found_whatever_the_gateway_thought_of_it(cast: Cast):
    happened(cast, held(cast))
    happened(cast, released(cast))
    happened(cast, inside(cast, place=Place.JUNK, verdict=Verdict.SPAM))
    assert found(looked(cast)[Kind.DOUBLE_QUARANTINE]) == [("junked_released", "")]


@pytest.mark.parametrize(
    ("outcome", "later", "whose", "copies", "causes"),
    [
        (Outcome.DELIVERED, 40, INFO, 2, [("never_shown", "")]),
        (Outcome.DELIVERED, 10, INFO, 1, []),  # it may still come
        (Outcome.DELIVERED, 40, IT, 1, []),  # nobody knows that the mailbox is read
        (Outcome.PASSED, 40, INFO, 1, []),  # the mail host has not taken it yet
    ],
)
def test_a_mail_that_its_mailbox_never_showed(
    cast: Cast, outcome: Outcome, later: int, whose: str, copies: int, causes: list[Any]
):
    at = datetime.now(UTC) - timedelta(hours=3)
    after = {"observed_at": at + timedelta(minutes=later)}
    happened(cast, passed(cast, action=outcome, observed_at=at))
    happened(cast, passed(cast, whose, 2, **after), inside(cast, whose, 2, **after))
    row = looked(cast)[Kind.DOUBLE_QUARANTINE]
    assert (row.copies, found(row)) == (copies, causes)


def test_what_a_person_condemns_was_rightly_in_junk(cast: Cast):
    happened(cast, passed(cast), inside(cast, place=Place.JUNK))
    happened(cast, said(cast, "person:ana", Verdict.PHISH))
    assert looked(cast)[Kind.DOUBLE_QUARANTINE].copies == 0


def test_findings_count_their_copies_and_keep_the_newest_as_proof(cast: Cast, monkeypatch):
    monkeypatch.setattr("incidents.interference.checks.PROOF", 2)
    now = datetime.now(UTC)
    for n in range(1, 4):
        at = {"observed_at": now - timedelta(hours=n)}
        happened(
            cast,
            passed(cast, INFO, n, **gate(SHOP), **at),
            inside(cast, INFO, n, **box(WRAPPED if n < 3 else EVIL), **at),
            passed(cast, IT, n, **gate(SHOP), **at),
            inside(cast, IT, n, **box(WRAPPED), **at),
        )
    row = looked(cast)[Kind.LINKS]
    wrapped, replaced = row.findings
    assert (row.copies, wrapped["copies"], replaced["copies"]) == (6, 5, 1)
    newest = Delivery.objects.filter(message__trace_ulid=ulid(1)).values_list("id", flat=True)
    assert set(wrapped["proof"]) == {str(one) for one in newest}
    assert wrapped["first_at"] < replaced["last_at"] or wrapped["first_at"] < wrapped["last_at"]


def test_a_second_look_takes_the_place_of_the_first_and_older_mail_is_left_out(cast: Cast):
    old: dict[str, Any] = {"observed_at": datetime.now(UTC) - PERIOD - timedelta(hours=1)}
    happened(cast, passed(cast, **old), inside(cast, **no_trace(), **old))
    happened(cast, passed(cast, INFO, 2), inside(cast, INFO, 2, **no_trace()))
    first = looked(cast)[Kind.HEADER]
    again = looked(cast)[Kind.HEADER]
    assert (first.copies, again.copies, first.id) == (1, 1, again.id)
    assert again.looked_at > first.looked_at
    assert Interference.objects.count() == len(Kind.values)


def test_of_very_much_mail_the_newest_is_looked_at_and_that_is_said(cast: Cast, monkeypatch):
    monkeypatch.setattr(hourly, "MOST_COPIES", 2)
    now = datetime.now(UTC)
    for n in range(1, 4):
        at = {"observed_at": now - timedelta(hours=n)}
        happened(cast, passed(cast, INFO, n, **at), inside(cast, INFO, n, **at))
    row = looked(cast)[Kind.HEADER]
    assert (row.copies, row.is_cut) == (2, True)
    assert row.since == Delivery.objects.order_by("-received_at")[1].received_at
    monkeypatch.setattr(hourly, "MOST_COPIES", 3)
    assert not looked(cast)[Kind.HEADER].is_cut


def test_links_are_read_only_where_they_differ(cast: Cast):
    happened(cast, passed(cast, **gate(SHOP)), inside(cast, **box(SHOP)))
    now = datetime.now(UTC)
    (pair,) = pairs_of(cast.acme.id, now - PERIOD, now, 10)
    assert (pair.has_links, pair.gateway_links, pair.mailbox_links) == (True, (), ())


def test_the_worker_looks_once_an_hour(cast: Cast):
    assert want_compare(cast.acme.id)
    assert Work.objects.filter(queue="compare", wanted_at__isnull=False).exists()
    serve_compare(ClaimedWork(cast.acme.id, cast.provider.id, 1))
    assert not want_compare(cast.acme.id)
    Interference.objects.update(looked_at=datetime.now(UTC) - timedelta(minutes=61))
    assert want_compare(cast.acme.id)


@pytest.mark.parametrize("cause", [one for of_kind in CAUSES.values() for one in of_kind])
def test_every_cause_has_its_sentence_its_harm_and_steps_for_both_mail_hosts(cause: str):
    assert what_is_wrong(cause, "x", 1, 1).startswith("1 of 1 copy ")
    assert what_is_wrong(cause, "", 2, 1200).startswith("2 of 1,200 copies ")
    assert harm_of(cause).endswith(".")
    fixes = fixes_of(cause, "mimecast")
    assert {"Microsoft 365", "Google Workspace"} <= {fix.host for fix in fixes}
    assert all(fix.steps for fix in fixes)


def test_safe_links_are_microsofts_own_matter():
    (fix,) = fixes_of("wrapped", "safelinks")
    assert fix.host == "Microsoft 365"
    assert "Do not rewrite URLs" in fix.steps[0]
    assert "Safe Links of Microsoft Defender" in what_is_wrong("wrapped", "safelinks", 1, 2)
