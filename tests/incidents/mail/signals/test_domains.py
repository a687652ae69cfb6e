"""What a domain is, and which other one it imitates."""

from __future__ import annotations

import pytest

from incidents.mail.signals import domains
from incidents.mail.signals.money import accounts_in, is_iban, is_routing_number


@pytest.mark.parametrize(
    ("host", "registered", "owner"),
    [
        ("mail.shop.co.uk", "shop.co.uk", "shop.co.uk"),
        ("me.github.io", "me.github.io", "github.io"),
        ("bank-example.com", "bank-example.com", "bank-example.com"),
        ("192.0.2.1", "", ""),
        ("co.uk", "", ""),
        ("", "", ""),
    ],
)
def test_registered_domain_and_owner(host, registered, owner):
    assert domains.registered_domain(host) == registered
    assert domains.owner_domain(host) == owner


@pytest.mark.parametrize(
    ("domain", "original", "code"),
    [
        ("acrne.example", "acme.example", "lookalike_letters"),
        ("vvinter.example", "winter.example", "lookalike_letters"),
        ("paypa1.com", "paypal.com", "lookalike_letters"),
        ("xn--pple-43d.com", "apple.com", "confusable_letters"),
        ("globx.example", "globex.example", "one_letter"),
        ("golbex.example", "globex.example", "one_letter"),
        ("hafen-logistik.example", "hafenlogistik.example", "hyphen"),
        ("acme-billing.example", "acme.example", "added_word"),
        ("acmelogin.example", "acme.example", "added_word"),
        ("acme.co", "acme.example", "other_ending"),
    ],
)
def test_imitation_is_told_with_what_differs(domain, original, code):
    like = domains.likeness(f"mail.{domain}", original)
    assert like is not None
    assert (like.domain, like.original, like.code) == (domain, original, code)
    assert like.how


@pytest.mark.parametrize(
    ("domain", "original"),
    [
        ("mail.acme.example", "acme.example"),  # its own
        ("pacme-tools.example", "acme.example"),
        ("ibm.example", "ipm.example"),  # three letters: chance
        ("nordvent.example", "acme.example"),
        ("192.0.2.1", "acme.example"),
    ],
)
def test_other_names_are_no_imitation(domain, original):
    assert domains.likeness(domain, original) is None


def test_free_places_are_told_from_a_firm_s_own():
    assert domains.is_free_mailer("yahoo.com.br")
    assert not domains.is_free_mailer("yahoo-inc.example")
    assert domains.is_free_host("x.web.app")
    assert not domains.is_free_host("acme.example")
    assert domains.is_shortener("www.bit.ly")
    assert not domains.is_shortener("bit.ly.example")


def test_only_foreign_letters_that_look_latin_imitate_it():
    assert domains.imitates_latin(domains.a_label("раураl.com"))
    assert not domains.imitates_latin(domains.a_label("ökoligenta.de"))


@pytest.mark.parametrize(
    "iban", ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"]
)
def test_iban_needs_its_country_s_length_and_check_digits(iban):
    assert is_iban(iban)
    assert not is_iban(iban[:-1])
    assert not is_iban(iban[:4] + "9" + iban[5:] if iban[4] != "9" else iban[:4] + "8" + iban[5:])


def test_accounts_are_found_with_spaces_and_without_what_follows():
    text = "IBAN: GB29 NWBK 6016 1331 9268 19 BIC NWBKGB2L, routing 021000021 account 123456789"
    assert [(one.kind, one.number) for one in accounts_in(text)] == [
        ("iban", "GB29NWBK60161331926819"),
        ("us", "021000021/123456789"),
    ]


def test_british_account_is_sort_code_and_eight_digits():
    assert accounts_in("Sort code 20-00-00, account 12345678")[0].number == "200000/12345678"


def test_routing_number_needs_its_check_digit():
    assert is_routing_number("021000021")
    assert not is_routing_number("021000022")
    assert not is_routing_number("000000000")


def test_text_without_end_is_searched_within_a_bound():
    assert accounts_in("1" * 60_000 + " DE89370400440532013000") == ()
