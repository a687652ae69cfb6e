"""Facts that mean little alone and much together."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case
from incidents.observations import Reason

_NAMES = frozenset({"impersonates_vip", "impersonates_colleague", "impersonates_title"})
_LOOKALIKES = frozenset(
    {
        "lookalike_own_domain",
        "lookalike_vendor_domain",
        "own_name_other_ending",
        "vendor_name_other_ending",
        "lookalike_reply_domain",
    }
)
_MONEY = frozenset(
    {
        "talk_payment",
        "talk_payment_change",
        "talk_gift_cards",
        "talk_boss_task",
        "account_in_text",
        "account_changed",
        "account_never_seen",
    }
)
_MOVED = frozenset({"account_changed", "payment_change_with_account", "impersonates_vip"})
_TRUST = frozenset({"correspondent", "well_known_sender", "answer_with_quote"})
_REPLIES = frozenset({"reply_to_free_mailer", "reply_to_other_free_mailer", "reply_to_differs"})
_PAYLOAD = frozenset(
    {
        "talk_credential",
        "talk_shared_file",
        "talk_parcel",
        "talk_prize",
        "password_field",
        "attached_page",
        "internal_lure",
        "brand_in_name",
    }
)
_FRAUD = _NAMES | frozenset(
    {
        "lookalike_vendor_domain",
        "account_changed",
        "payment_change_with_account",
        "payment_change_by_stranger",
        "thread_continued_from_other_domain",
        "name_and_money",
        "lookalike_and_money",
    }
)


def combined(case: Case, codes: frozenset[str]) -> Iterator[Reason]:
    """Reasons that rest on two others; each names both halves."""
    if codes & _NAMES and codes & _MONEY:
        yield Reason(
            "name_and_money",
            "The mail borrows the name of one of the client's people and comes to money or a "
            "favour.",
        )
    if codes & _NAMES and codes & _REPLIES:
        yield Reason(
            "name_and_reply_elsewhere",
            "The mail borrows a name of the client's people and leads answers elsewhere.",
        )
    if codes & _LOOKALIKES and codes & _MONEY:
        yield Reason(
            "lookalike_and_money", "The mail comes from an imitated domain and is about money."
        )
    if "first_contact" in codes and "talk_credential" in codes and case.reading.links:
        yield Reason(
            "stranger_asks_access",
            "A sender who never wrote before asks the reader to prove his access behind a link.",
        )
    if "first_contact" in codes and "brand_in_name" in codes:
        yield Reason(
            "stranger_with_brand",
            "A sender who never wrote before borrows the name of a well-known brand.",
        )
    if "gateway_bypassed" in codes and codes & (_NAMES | _LOOKALIKES | _PAYLOAD):
        yield Reason(
            "bypass_with_lure",
            "The mail went past the gateway and brings a lure or a borrowed name.",
        )


def is_void(code: str, codes: frozenset[str]) -> bool:
    """Whether a reason that speaks for a mail says nothing here: a taken-over mailbox of a known
    sender writes in his own threads, so being known cannot excuse a moved account.
    """
    return bool(codes & _MOVED) and code in _TRUST


def is_fraud(codes: frozenset[str]) -> bool:
    """Whether a condemned mail is fraud by letter (``bec``): a borrowed name or changed money,
    without a page, file or link that wants a password.
    """
    return bool(codes & _FRAUD) and not codes & _PAYLOAD


def is_lure(codes: frozenset[str]) -> bool:
    """Whether a condemned mail with links is out for access, whatever name it borrows."""
    return bool(codes & _PAYLOAD) and not codes & _MONEY
