"""The mailbox layer's detectors and its judgement: each where its fact is, none beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from api_bridge.detect import (
    Habits,
    History,
    KnownPerson,
    MailboxContext,
    judge,
    mailbox_reasons,
)
from incidents.mail.facts import Address, AuthResult
from incidents.words import Direction, Verdict
from tests.incidents.mail.signals.facts import HARMLESS, link, mail, sent_by

PEOPLE = (
    KnownPerson("cfo@acme.example", "Carla Finch", "CFO", is_vip=True),
    KnownPerson("it@acme.example", "Dana Whitlock", "Head of IT"),
)
KNOWN = History(
    first_seen_at=datetime(2026, 1, 1, tzinfo=UTC), mails_to_mailbox=9, mails_to_client=9
)
IBAN, OTHER_IBAN = "DE89370400440532013000", "GB29NWBK60161331926819"
PAY = f"Please process the payment of the overdue invoice to {IBAN}."
CHANGE = f"Our bank details have changed. Please process the payment to {OTHER_IBAN}."
LURE = "Verify your account and reset your password below."
OFFICE_HOURS = Habits(
    mails=40,
    hours=frozenset(range(8, 18)),
    mailers=frozenset({"Microsoft Outlook"}),
    languages=frozenset({"en"}),
    hosts=frozenset({"acme.example"}),
    most_recipients=3,
)
LOST = "cfo@gmail.com"


def context(**changes: Any) -> MailboxContext:
    fields: dict[str, Any] = {
        "recipient": Address("info@acme.example"),
        "own_domains": ("acme.example",),
        "people": PEOPLE,
        "trace_state": "valid",
        "sender_history": KNOWN,
        "known_vendor_domains": frozenset({"nordvent.example"}),
    }
    return MailboxContext(**(fields | changes))


def inside(**changes: Any) -> MailboxContext:
    fields: dict[str, Any] = {"direction": Direction.INTERNAL, "trace_state": "none_expected"}
    return context(**(fields | changes))


def auth(dmarc: str, spf: str = "pass") -> tuple[AuthResult, ...]:
    return (
        AuthResult("gate.example", "spf", spf, "nordvent.example"),
        AuthResult("gate.example", "dmarc", dmarc, "nordvent.example"),
    )


PLAIN, NEW = context(), context(sender_history=History())
COLLEAGUE = sent_by("it@acme.example", "Dana Whitlock")
QUOTED = (
    "New account below.\nOn Mon, 16 Nov 2026 Tomas wrote:\n"
    "> From: t.brandl@{domain}\n> Our invoice follows."
)

# code → ((mail, context) that has it, (mail, context) beside it that has not)
CASES = {
    "impersonates_vip": (
        (sent_by(LOST, "Finch, Carla"), PLAIN),
        (sent_by("cfo@acme.example", "Carla Finch"), inside()),
    ),
    "impersonates_colleague": (
        (sent_by("dana@other.example", "Dana Whitlock"), PLAIN),
        (sent_by("dana@other.example", "Dana Whitby"), PLAIN),
    ),
    "impersonates_title": (
        (sent_by("x@other.example", "CFO"), PLAIN),
        (sent_by("x@other.example", "CEO"), PLAIN),
    ),
    "shows_own_address": (
        (sent_by("x@other.example", "it@acme.example"), PLAIN),
        (sent_by("x@other.example", "it@other.example"), PLAIN),
    ),
    "poses_as_own_desk": (
        (sent_by("x@other.example", "Acme IT Support"), PLAIN),
        (sent_by("x@other.example", "Nordvent IT Support"), PLAIN),
    ),
    "poses_as_own_firm": (
        (sent_by("x@other.example", "Acme News"), PLAIN),
        (sent_by("x@acme.org", "Acme News"), PLAIN),
    ),
    "replies_leave_the_firm": (
        (sent_by("cfo@acme.example", reply_to=(Address(LOST),)), inside()),
        (sent_by("cfo@acme.example", reply_to=(Address("it@acme.example"),)), inside()),
    ),
    "lookalike_own_domain": (
        (sent_by("x@acrne.example"), PLAIN),
        (sent_by("x@mail.acme.example"), PLAIN),
    ),
    "own_name_other_ending": ((sent_by("x@acme.org"), PLAIN), (sent_by("x@acorn.org"), PLAIN)),
    "lookalike_vendor_domain": (
        (sent_by("x@nordvnet.example"), PLAIN),
        (sent_by("x@nordvent.example"), PLAIN),
    ),
    "vendor_name_other_ending": (
        (sent_by("x@nordvent.org"), PLAIN),
        (sent_by("x@nordvent.example"), PLAIN),
    ),
    "lookalike_reply_domain": (
        (mail(reply_to=(Address("tove@nordvent-billing.example"),)), PLAIN),
        (mail(reply_to=(Address("tove@post.nordvent.example"),)), PLAIN),
    ),
    "lookalike_link_host": (
        (mail(links=(link("https://login.acme-secure.example/"),)), PLAIN),
        (mail(links=(link("https://login.acme.example/"),)), PLAIN),
    ),
    "first_contact": (
        (mail(), NEW),
        (mail(), context(sender_history=History(), history_known=False)),
    ),
    "first_contact_free_mailer": ((sent_by("a@gmail.com"), NEW), (mail(), NEW)),
    "first_contact_with_mailbox": (
        (mail(), context(sender_history=History(mails_to_client=2))),
        (mail(), PLAIN),
    ),
    "well_known_sender": ((mail(), PLAIN), (mail(), NEW)),
    "correspondent": (
        (mail(), context(sender_history=History(mails_to_client=2, mails_answered=1))),
        (mail(), PLAIN),
    ),
    "account_changed": (
        (mail(text=PAY), context(payment_accounts_of_sender=frozenset({OTHER_IBAN}))),
        (mail(text=PAY), context(payment_accounts_of_sender=frozenset({IBAN}))),
    ),
    "account_never_seen": (
        (mail(text=PAY), PLAIN),
        (mail(text=PAY), context(payment_accounts_of_sender=frozenset({IBAN}))),
    ),
    "account_known": (
        (mail(text=PAY), context(payment_accounts_of_sender=frozenset({IBAN}))),
        (mail(text=PAY), PLAIN),
    ),
    "payment_change_with_account": (
        (mail(text=CHANGE), PLAIN),
        (mail(text=CHANGE), context(payment_accounts_of_sender=frozenset({OTHER_IBAN}))),
    ),
    "payment_change_by_stranger": (
        (mail(text="Our bank details have changed; ask us."), NEW),
        (mail(text="Our bank details have changed; ask us."), PLAIN),
    ),
    "stranger_about_money": ((mail(text=PAY), NEW), (mail(text=PAY), PLAIN)),
    "internal_unusual_hour": (
        (
            sent_by("it@acme.example", sent_at=datetime(2026, 11, 16, 3, tzinfo=UTC)),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
        (COLLEAGUE, inside(usual_features_of_sender=OFFICE_HOURS)),
    ),
    "internal_new_mailer": (
        (
            sent_by("it@acme.example", headers={"X-Mailer": "Roundcube/1.6"}),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
        (
            sent_by("it@acme.example", headers={"X-Mailer": "Microsoft Outlook/16"}),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
    ),
    "internal_new_language": (
        (
            sent_by("it@acme.example", language="pt"),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
        (
            sent_by("it@acme.example", language="pt"),
            inside(usual_features_of_sender=Habits(mails=2)),
        ),
    ),
    "internal_many_recipients": (
        (
            sent_by("it@acme.example", to=tuple(Address(f"u{n}@acme.example") for n in range(30))),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
        (COLLEAGUE, inside(usual_features_of_sender=OFFICE_HOURS)),
    ),
    "internal_new_link_host": (
        (
            sent_by("it@acme.example", links=(link("https://other.example/"),)),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
        (
            sent_by("it@acme.example", links=(link("https://wiki.acme.example/"),)),
            inside(usual_features_of_sender=OFFICE_HOURS),
        ),
    ),
    "internal_lure": (
        (sent_by("it@acme.example", text=LURE, links=(link("https://other.example/"),)), inside()),
        (sent_by("it@acme.example", text=LURE, links=(link("https://acme.example/"),)), inside()),
    ),
    "internal_link_to_free_host": (
        (sent_by("it@acme.example", text=LURE, links=(link("https://x.pages.dev/"),)), inside()),
        (sent_by("it@acme.example", text=LURE, links=(link("https://other.example/"),)), inside()),
    ),
    "own_domain_from_outside": (
        (COLLEAGUE, context(auth=auth("fail"))),
        (COLLEAGUE, context(auth=auth("pass"))),
    ),
    "gateway_bypassed": (
        (mail(), context(trace_state="missing")),
        (mail(), inside(trace_state="missing")),
    ),
    "trace_forged": ((mail(), context(trace_state="invalid")), (mail(), PLAIN)),
    "mailbox_dmarc_fail": (
        (mail(), context(auth=auth("fail"))),
        (mail(), context(auth=auth("none"))),
    ),
    "mailbox_dmarc_pass": (
        (mail(), context(auth=auth("pass"))),
        (mail(), context(auth=auth("fail"))),
    ),
    "mailbox_spf_fail": (
        (mail(), context(auth=auth("none", "softfail"))),
        (mail(), context(auth=auth("pass", "softfail"))),
    ),
    "thread_joined_by_stranger": (
        (mail(), context(thread_participants=frozenset({"t@other.example", "it@acme.example"}))),
        (mail(), context(thread_participants=frozenset({"jan@nordvent.example"}))),
    ),
    "thread_continued_from_other_domain": (
        (
            sent_by("t.brandl@post-desk.example", text=QUOTED.format(domain="nordvent.example")),
            PLAIN,
        ),
        (
            sent_by("t.brandl@nordvent.example", text=QUOTED.format(domain="nordvent.example")),
            PLAIN,
        ),
    ),
    "name_and_money": (
        (sent_by(LOST, "Carla Finch", text=PAY), PLAIN),
        (sent_by(LOST, "Carla Finch"), PLAIN),
    ),
    "name_and_reply_elsewhere": (
        (sent_by("x@other.example", "Carla Finch", reply_to=(Address(LOST),)), PLAIN),
        (sent_by("x@other.example", "Tove Holm", reply_to=(Address(LOST),)), PLAIN),
    ),
    "lookalike_and_money": (
        (sent_by("x@acrne.example", text=PAY), PLAIN),
        (sent_by("x@acrne.example"), PLAIN),
    ),
    "stranger_asks_access": (
        (mail(text=LURE, links=(link("https://b.example/"),)), NEW),
        (mail(text=LURE, links=(link("https://b.example/"),)), PLAIN),
    ),
    "stranger_with_brand": (
        (sent_by("x@b.example", "PayPal"), NEW),
        (sent_by("x@b.example", "PayPal"), PLAIN),
    ),
    "bypass_with_lure": (
        (mail(text=LURE), context(trace_state="missing")),
        (mail(), context(trace_state="missing")),
    ),
}


def codes(facts, around: MailboxContext) -> set[str]:
    return {reason.code for reason in mailbox_reasons(facts, around)}


@pytest.mark.parametrize("code", CASES)
def test_detector_speaks_where_its_fact_is(code):
    assert code in codes(*CASES[code][0])


@pytest.mark.parametrize("code", CASES)
def test_detector_is_silent_beside_it(code):
    assert code not in codes(*CASES[code][1])


@pytest.mark.parametrize("code", CASES)
def test_reason_is_a_whole_sentence(code):
    reason = next(one for one in mailbox_reasons(*CASES[code][0]) if one.code == code)
    assert len(reason.text.split()) >= 5
    assert reason.text.endswith(".")


def test_harmless_mail_of_a_known_sender_is_clean_and_sure():
    found = judge(HARMLESS, PLAIN)
    assert found.verdict is Verdict.CLEAN
    assert found.confidence > 0.9


def test_first_contact_alone_condemns_nobody():
    assert judge(HARMLESS, NEW).verdict is Verdict.CLEAN


def test_bypass_alone_condemns_nobody():
    assert judge(HARMLESS, context(trace_state="missing")).verdict is Verdict.CLEAN


def test_boss_fraud_without_a_link_is_bec_with_the_facts_in_words():
    facts = sent_by("cfo@acrne.example", "Carla Finch", text=CHANGE, reply_to=(Address(LOST),))
    found = judge(facts, NEW)
    assert (found.verdict, found.confidence > 0.95) == (Verdict.BEC, True)
    told = " ".join(reason.text for reason in found.reasons)
    for fact in ("acrne.example", "r-n, not m", "Carla Finch", "6819", LOST):
        assert fact in told


def test_moved_account_of_a_known_vendor_in_his_own_thread_is_bec():
    facts = mail(text=f"{CHANGE}\n> When will the invoice come?", in_reply_to="<1@acme.example>")
    around = context(
        sender_history=History(mails_to_mailbox=20, mails_to_client=20, mails_answered=5),
        payment_accounts_of_sender=frozenset({IBAN}),
    )
    assert judge(facts, around).verdict is Verdict.BEC


def test_usual_invoice_of_a_known_vendor_is_clean():
    around = context(payment_accounts_of_sender=frozenset({IBAN}))
    assert judge(mail(text=PAY), around).verdict is Verdict.CLEAN


def test_lure_from_a_taken_over_mailbox_is_phish():
    facts = sent_by("it@acme.example", text=LURE, links=(link("https://x.pages.dev/"),))
    assert judge(facts, inside(usual_features_of_sender=OFFICE_HOURS)).verdict is Verdict.PHISH


def test_boss_who_really_writes_is_clean():
    facts = sent_by("cfo@acme.example", "Carla Finch", text="Are you available? A quick task.")
    assert judge(facts, inside()).verdict is Verdict.CLEAN


def test_borrowed_name_with_a_password_lure_is_phish():
    facts = sent_by("x@b.example", "Carla Finch", text=LURE, links=(link("https://x.pages.dev/"),))
    assert judge(facts, NEW).verdict is Verdict.PHISH


def test_borrowed_name_with_a_shared_document_is_phish():
    text = "Carla has shared a document with you. Review and sign the secure document."
    facts = sent_by("x@b.example", "Carla Finch", text=text, links=(link("https://x.pages.dev/"),))
    assert judge(facts, NEW).verdict is Verdict.PHISH


def test_unreadable_mail_is_unscannable_with_what_went_wrong():
    found = judge(mail(is_readable=False, problems=("parser_killed",)), PLAIN)
    assert (found.verdict, found.reasons[0].value) == (Verdict.UNSCANNABLE, "parser_killed")


def test_mail_with_nothing_in_it_is_judged_too():
    empty = mail(sender=None, to=(), text="", subject="", internet_message_id="", sent_at=None)
    assert judge(empty, NEW).verdict is Verdict.CLEAN
    assert judge(empty, inside()).verdict is Verdict.CLEAN


def test_reasons_stand_heaviest_first():
    weights = [abs(reason.weight) for reason in judge(sent_by(LOST, "Carla Finch"), NEW).reasons]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0
