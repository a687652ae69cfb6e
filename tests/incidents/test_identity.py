"""Is it the same mail?  Each thing that happens to mails on their way, with real bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from itertools import permutations
from typing import Any

import pytest

from incidents.models import Delivery, Incident, Message
from incidents.words import Outcome, Place, Verdict
from tenants.models import Tenant
from tenants.scope import Role, tenant_scope
from tests.factories import Cast
from tests.incidents.identity_mails import (
    AT,
    CEO,
    INFO,
    IT,
    SALES,
    Letter,
    box,
    copies,
    gate,
    run_out_of_patience,
    take,
    ulid,
)

LETTER = Letter()
BANNER = "<p>This email originated from outside of the organization. Do not click links.</p>"


@pytest.fixture
def acme(cast: Cast) -> Iterator[Tenant]:
    with tenant_scope(Role.WORKER, [cast.acme.id], provider_id=cast.provider.id):
        yield cast.acme


def test_the_trace_names_the_copy(acme: Tenant):
    seen = box(acme, LETTER.passed(acme, ulid(1)).bytes(), INFO, "i1")
    assert (seen.trace_state, seen.trace_ulid) == ("valid", ulid(1))
    take(acme, gate(acme, LETTER.bytes(), INFO), seen)
    (copy,) = copies().values()
    assert (copy.match, copy.is_bypass) == ("strong", False)


# --- missing, repeated and forged Message-IDs


def test_a_mail_without_message_id_is_found_by_its_content(acme: Tenant):
    bare = replace(LETTER, message_id="")
    given = replace(LETTER, message_id="<made-by-the-host@host.example>")
    take(acme, gate(acme, bare.bytes(), INFO), box(acme, given.bytes(), INFO, "i1"))
    (copy,) = copies().values()
    assert (copy.match, copy.is_bypass) == ("weak", False)
    assert "content" in copy.match_reason


def test_two_mails_of_one_message_id_are_told_apart_by_their_content(acme: Tenant):
    other = replace(LETTER, subject="Minutes of Thursday", text="Nothing of that was said. " * 9)
    take(
        acme,
        [gate(acme, LETTER.bytes(), INFO), gate(acme, other.bytes(), INFO, 2)],
        [box(acme, other.bytes(), INFO, "i2"), box(acme, LETTER.bytes(), INFO, "i1")],
    )
    found = copies()
    assert {item: copy.message.trace_ulid for item, copy in found.items()} == {
        "i1": ulid(1),
        "i2": ulid(2),
    }
    assert {copy.match for copy in found.values()} == {"weak"}


def test_where_two_equal_mails_fit_none_is_taken(acme: Tenant):
    take(
        acme,
        [gate(acme, LETTER.bytes(), INFO), gate(acme, LETTER.bytes(), INFO, 2)],
        box(acme, LETTER.bytes(), INFO, "i1"),
    )
    copy = Delivery.objects.get(mailbox_item_id="i1")
    assert (copy.match, copy.is_bypass) == ("ambiguous", False)
    assert copy.match_reason == "2 mails that the gateway passed fit this copy equally."
    assert Delivery.objects.filter(mailbox_item_id="").count() == 2


def test_a_match_that_a_later_account_contests_becomes_ambiguous(acme: Tenant):
    take(
        acme,
        gate(acme, LETTER.bytes(), INFO),
        box(acme, LETTER.bytes(), INFO, "i1"),
        gate(acme, LETTER.bytes(), INFO, 2),
    )
    assert set(Delivery.objects.values_list("match", flat=True)) == {"ambiguous"}


@pytest.mark.parametrize("gateway_first", [True, False])
def test_two_copies_of_one_mail_are_ambiguous_in_either_order(acme: Tenant, gateway_first: bool):
    account = gate(acme, LETTER.bytes(), INFO)
    shown = [box(acme, LETTER.bytes(), INFO, item) for item in ("i1", "i2")]
    take(acme, *([account, *shown] if gateway_first else [*shown, account]))
    items = Delivery.objects.exclude(mailbox_item_id="")
    assert set(items.values_list("match", "is_bypass")) == {("ambiguous", False)}


def test_a_forged_message_id_proves_nothing(acme: Tenant):
    forged = replace(LETTER, sender="ceo@acme-group.example", text="Please pay this today. " * 9)
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, forged.bytes(), INFO, "i1"))
    assert copies()["i1"].match == "one_layer"
    assert copies()["i1"].is_bypass


def test_the_words_of_a_mail_that_was_held_do_not_cover_for_a_mail_around_the_gateway(
    acme: Tenant,
):
    held: dict[str, Any] = {"verdict": Verdict.PHISH, "action": Outcome.HELD, "place": Place.HOLD}
    take(
        acme,
        gate(acme, LETTER.bytes(), INFO, **held),
        box(acme, LETTER.bytes(), INFO, "i1"),
    )
    assert copies()["i1"].is_bypass


FORGED = replace(LETTER, text="Please confirm your password here at once. " * 6)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_mail_around_the_gateway_does_not_take_the_place_of_the_one_it_repeats(
    acme: Tenant, order: tuple[int, ...], at_once: bool
):
    """She sends a harmless mail through the gateway and another of the same id, sender and subject
    to the mailbox, which shows that one first or last.
    """
    told = [
        gate(acme, LETTER.bytes(), INFO),
        box(acme, FORGED.bytes(), INFO, "around", verdict=Verdict.PHISH),
        box(acme, LETTER.passed(acme, ulid(1)).bytes(), INFO, "through"),
    ]
    batches = [told[at] for at in order]
    take(acme, *([batches] if at_once else batches))
    run_out_of_patience(acme)
    around, through = copies()["around"], copies()["through"]
    assert (around.match, around.is_bypass, around.gateway_verdict) == ("one_layer", True, "")
    assert (through.match, through.is_bypass) == ("strong", False)
    assert (through.gateway_verdict, through.mailbox_verdict) == ("clean", "clean")
    assert Delivery.objects.count() == Message.objects.count() == 2
    assert around.message.fingerprint != through.message.fingerprint == told[0].fingerprint
    assert through.message.trace_ulid == ulid(1)


def test_the_same_mail_to_a_list_and_directly_are_two_copies_of_their_own(acme: Tenant):
    """The gateway passed both, each under a trace of its own; the member gets one of each."""
    direct, listed = (LETTER.passed(acme, ulid(number)).bytes() for number in (1, 2))
    take(acme, [gate(acme, LETTER.bytes(), INFO), gate(acme, LETTER.bytes(), SALES, 2)])
    take(acme, box(acme, listed, INFO, "listed"), box(acme, direct, INFO, "direct"))
    run_out_of_patience(acme)
    found = copies()
    assert (found["direct"].match, found["listed"].match) == ("strong", "weak")
    assert SALES in found["listed"].match_reason
    assert not Delivery.objects.filter(is_bypass=True).exists()


# --- what happens behind the gateway


def test_a_list_that_spreads_a_mail_is_no_bypass(acme: Tenant):
    """The gateway saw the list's address; behind it the host made a copy for each member."""
    traced = LETTER.passed(acme, ulid(1)).bytes()
    take(
        acme,
        gate(acme, LETTER.bytes(), SALES, verdict=Verdict.SPAM),
        [box(acme, traced, INFO, "i1"), box(acme, traced, IT, "i2")],
    )
    assert {copies()[item].match for item in ("i1", "i2")} == {"pending"}
    run_out_of_patience(acme)
    for item in ("i1", "i2"):
        copy = copies()[item]
        assert (copy.match, copy.is_bypass, copy.gateway_verdict) == ("weak", False, "spam")
        assert SALES in copy.match_reason
    assert Message.objects.count() == 1


def test_a_mail_that_a_rule_forwards_keeps_its_trace_and_is_no_bypass(acme: Tenant):
    traced = LETTER.passed(acme, ulid(1)).bytes()
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, traced, INFO, "i1"))
    take(acme, box(acme, traced, CEO, "i2"))
    run_out_of_patience(acme)
    assert (copies()["i1"].match, copies()["i2"].match) == ("strong", "weak")
    assert not copies()["i2"].is_bypass


def test_a_mail_that_a_person_forwards_is_another_mail(acme: Tenant):
    forward = Letter(
        message_id="<fwd@acme.example>",
        sender=INFO,
        subject="Fwd: Numbers of the third quarter",
        text="See below. " + LETTER.text,
    )
    traced = LETTER.passed(acme, ulid(1)).bytes()
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, traced, INFO, "i1"))
    take(acme, box(acme, forward.bytes(), IT, "i2", direction="internal"))
    assert copies()["i2"].message_id != copies()["i1"].message_id
    assert (copies()["i2"].match, copies()["i2"].is_bypass) == ("one_layer", False)


def test_a_trace_on_another_content_is_a_bypass(acme: Tenant):
    """Somebody who got a mail of the gateway puts its trace on a mail of her own."""
    other = replace(LETTER, text="Please confirm your password here at once. " * 6)
    stolen = replace(other, head=LETTER.passed(acme, ulid(1)).head)
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, stolen.bytes(), IT, "i1"))
    run_out_of_patience(acme)
    assert (copies()["i1"].match, copies()["i1"].is_bypass) == ("one_layer", True)


def test_a_second_copy_with_one_trace_is_ambiguous_and_a_bypass_only_with_other_content(
    acme: Tenant,
):
    traced = LETTER.passed(acme, ulid(1))
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, traced.bytes(), INFO, "i1"))
    other = replace(traced, text="Please confirm your password here at once. " * 6)
    take(acme, [box(acme, traced.bytes(), INFO, "i2"), box(acme, other.bytes(), INFO, "i3")])
    found = copies()
    assert [found[item].match for item in ("i1", "i2", "i3")] == ["strong", *["ambiguous"] * 2]
    assert [found[item].is_bypass for item in ("i1", "i2", "i3")] == [False, False, True]


def test_a_released_mail_is_injected_again_and_stays_one_copy(acme: Tenant):
    held: dict[str, Any] = {"verdict": Verdict.SPAM, "action": Outcome.HELD, "place": Place.HOLD}
    account = gate(acme, LETTER.bytes(), INFO, **held)
    released = replace(account, action=Outcome.DELIVERED, place=Place.UNKNOWN, mail={})
    released = replace(released, observed_at=account.observed_at.replace(hour=10))
    traced = LETTER.passed(acme, ulid(1)).bytes()
    at = account.observed_at.replace(hour=10, second=5)
    take(acme, account, released, box(acme, traced, INFO, "i1", observed_at=at))
    (copy,) = copies().values()
    assert (copy.match, copy.was_released, copy.is_bypass) == ("strong", True, False)
    assert copy.message.subject == LETTER.subject


def test_a_mail_that_passes_the_gate_twice_is_two_mails(acme: Tenant):
    """A server behind the gateway sends it out and it comes in again, or the sender repeats it."""
    for number in (1, 2):
        traced = LETTER.passed(acme, ulid(number)).bytes()
        take(acme, gate(acme, LETTER.bytes(), INFO, number), box(acme, traced, INFO, f"i{number}"))
    assert {copy.match for copy in copies().values()} == {"strong"}
    assert Message.objects.count() == 2


def test_a_journal_report_is_a_mail_of_its_own(acme: Tenant):
    """It holds the mail with its trace as an attachment: neither counts for the report."""
    traced = LETTER.passed(acme, ulid(1)).bytes()
    report = EmailMessage()
    report["From"] = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@acme.example"
    report["To"] = "journal@acme.example"
    report["Subject"] = "Journal Report"
    report["Message-ID"] = "<journal-1@acme.example>"
    report.set_content("Sender: eve@partner.example\nRecipient: info@acme.example\n")
    report.add_attachment(BytesParser(policy=SMTP).parsebytes(traced))
    shown = box(acme, report.as_bytes(), IT, "i2", direction="internal")
    assert shown.trace_state == "missing"
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, traced, INFO, "i1"), shown)
    assert (copies()["i1"].match, copies()["i2"].match) == ("strong", "one_layer")
    assert copies()["i1"].message_id != copies()["i2"].message_id
    assert not copies()["i2"].is_bypass


# --- what hosts and gateways change in a mail

CHANGED = {
    "banner": replace(LETTER, banner=BANNER, subject="[EXTERNAL] " + LETTER.subject),
    "link rewriting": LETTER.wrapped(),
    "base64": replace(LETTER, encoding="base64"),
    "quoted-printable": replace(LETTER, encoding="quoted-printable"),
    "all": replace(LETTER.wrapped(), banner=BANNER, encoding="base64"),
}


@pytest.mark.parametrize("change", CHANGED)
@pytest.mark.parametrize("with_trace", [True, False])
def test_a_changed_mail_stays_the_same(acme: Tenant, change: str, with_trace: bool):
    changed = CHANGED[change]
    if with_trace:
        changed = replace(changed, head=LETTER.passed(acme, ulid(1)).head)
    take(acme, gate(acme, LETTER.bytes(), INFO), box(acme, changed.bytes(), INFO, "i1"))
    (copy,) = copies().values()
    assert copy.match == ("strong" if with_trace else "weak")
    assert not copy.is_bypass


@pytest.mark.parametrize("gateway_first", [True, False])
def test_a_content_that_differs_weakens_the_match_but_not_the_trace(
    acme: Tenant, gateway_first: bool
):
    changed = replace(
        LETTER.passed(acme, ulid(1)), text=LETTER.text + " This was added by a server on the way."
    )
    seen = [gate(acme, LETTER.bytes(), INFO), box(acme, changed.bytes(), INFO, "i1")]
    take(acme, *(seen if gateway_first else reversed(seen)))
    run_out_of_patience(acme)
    (copy,) = copies().values()
    assert (copy.match, copy.is_bypass) == ("weak", False)
    assert "content differs" in copy.match_reason


def test_a_trace_of_another_client_is_none(acme: Tenant, cast: Cast):
    foreign = LETTER.passed(cast.globex, ulid(1))
    seen = box(acme, foreign.bytes(), INFO, "i1")
    assert seen.trace_state == "foreign"
    take(acme, seen)
    assert copies()["i1"].is_bypass


# --- the gateway's account comes late


def test_what_looked_like_a_bypass_is_none_once_the_gateways_account_is_here(acme: Tenant):
    take(acme, box(acme, LETTER.bytes(), INFO, "i1"))
    assert copies()["i1"].is_bypass
    take(acme, gate(acme, LETTER.bytes(), INFO))
    (copy,) = copies().values()
    assert (copy.match, copy.is_bypass, copy.gateway_verdict) == ("weak", False, "clean")
    assert copy.message.trace_ulid == ulid(1)
    assert Message.objects.count() == 1
    assert not Incident.objects.exclude(state=Incident.State.RESOLVED).exists()


def test_a_copy_moves_to_the_mail_that_the_gateway_names(acme: Tenant):
    """Without a Message-ID the copies in two mailboxes were two mails until the gate told."""
    bare = replace(LETTER, message_id="")
    take(acme, gate(acme, bare.bytes(), IT))
    take(acme, box(acme, bare.bytes(), INFO, "i1", verdict=Verdict.PHISH))
    (before,) = Incident.objects.all()
    taken_for = copies()["i1"].message_id
    take(acme, gate(acme, bare.bytes(), INFO))
    assert {copy.message.trace_ulid for copy in copies().values()} == {ulid(1)}
    emptied = Message.objects.get(id=taken_for)
    assert emptied.same_as_id == copies()["i1"].message_id
    assert list(Incident.objects.values_list("id", flat=True)) == [before.id]
    assert Incident.objects.get().counts["copies"] == 2


def test_an_account_that_came_after_all_patience_is_believed(acme: Tenant):
    take(acme, box(acme, LETTER.passed(acme, ulid(1)).bytes(), INFO, "i1"))
    run_out_of_patience(acme)
    assert copies()["i1"].is_bypass
    take(acme, gate(acme, LETTER.bytes(), INFO))
    (copy,) = copies().values()
    assert (copy.match, copy.is_bypass) == ("strong", False)


def test_what_tells_of_a_place_only_waits_for_what_tells_of_the_mail(acme: Tenant):
    seen = box(acme, LETTER.passed(acme, ulid(1)).bytes(), INFO, "i1")
    moved = replace(seen, place=Place.JUNK, mail={}, fingerprint="", trace_state="", trace_ulid="")
    moved = replace(moved, source_key="i1/place", verdict=None, observed_at=AT.replace(minute=1))
    take(acme, moved)
    assert not Delivery.objects.exists()
    take(acme, gate(acme, LETTER.bytes(), INFO), seen)
    run_out_of_patience(acme)
    (copy,) = copies().values()
    assert (copy.match, copy.place, copy.is_bypass) == ("strong", "junk", False)
