"""Two facts of one mail that mean more together than their sum."""

from __future__ import annotations

from collections.abc import Iterator

from incidents.observations import Reason

BRAND = frozenset({"brand_in_name", "brand_in_subject", "brand_lookalike_domain"})
LURE = frozenset({"talk_credential", "talk_parcel", "talk_prize", "talk_shared_file"})
CHEAP_PLACE = frozenset(
    {
        "link_free_host",
        "link_shortener",
        "link_to_ip",
        "link_suspicious_tld",
        "cheap_domain_of_its_own",
        "link_redirects",
        "link_host_random",
    }
)
REPLY_SWITCH = frozenset({"reply_to_free_mailer", "reply_to_other_free_mailer"})
LETTER = frozenset(
    {"talk_advance_fee", "talk_contact_bait", "talk_loan", "fortune_named", "talk_quote_request"}
)


def combined(codes: frozenset[str]) -> Iterator[Reason]:
    """``codes``: those of all other signals."""
    if codes & BRAND and codes & LURE:
        yield Reason(
            "brand_with_lure",
            "The mail borrows a brand's name and gives the reader a reason to act on it.",
        )
    if codes & LURE and codes & CHEAP_PLACE:
        yield Reason(
            "lure_to_cheap_place",
            "The mail gives a reason to follow a link to a place that does not say whose it is.",
        )
    if codes & REPLY_SWITCH and codes & LETTER:
        yield Reason(
            "letter_with_reply_switch",
            "A letter about money or friendship leads its answers to another address.",
        )
