"""Who sent it: one reading for all, or nobody's name on the mail."""

import pytest

from incidents.mail import read_mail
from incidents.mail.addresses import normal_address, parse_addresses
from tests.hostile.vectors import AMBIGUOUS_FROM
from tests.incidents.mail.mails import plain_mail


@pytest.mark.parametrize("lines", AMBIGUOUS_FROM)
def test_a_from_that_programs_read_differently_gives_no_sender(lines):
    raw = b"\r\n".join(lines) + b"\r\nTo: bob@acme.example\r\n\r\nHello"
    facts = read_mail(raw)
    assert facts.sender is None
    assert "ambiguous_sender" in facts.problems
    assert facts.from_all


@pytest.mark.parametrize(
    ("value", "address", "name"),
    [
        ("alice@sender.example", "alice@sender.example", ""),
        ("Alice <Alice@Sender.Example>", "alice@sender.example", "Alice"),
        ('"Example, Alice" <a@sender.example>', "a@sender.example", "Example, Alice"),
        ("a@sender.example (Alice)", "a@sender.example", "Alice"),
        ("=?utf-8?q?M=C3=BCller?= <m@sender.example>", "m@sender.example", "Müller"),
        ("a@sender.example <a@sender.example>", "a@sender.example", "a@sender.example"),
        ('"boss@acme.example" <x@evil.example>', "x@evil.example", "boss@acme.example"),
        ("=?utf-8?q?boss=40acme.example?= <x@evil.example>", "x@evil.example", "boss@acme.example"),
        ("Alice\r\n <a@sender.example>", "a@sender.example", "Alice"),
        ("M <m@bücher.example>", "m@xn--bcher-kva.example", "M"),
        ("<a@sender.example>", "a@sender.example", ""),
        ("O'Neil <o'neil+x@sender.example>", "o'neil+x@sender.example", "O'Neil"),
    ],
)
def test_an_honest_from_has_one_sender(value, address, name):
    facts = read_mail(f"From: {value}\r\nTo: b@acme.example\r\n\r\nHello".encode())
    assert facts.sender is not None
    assert (facts.sender.address, facts.sender.name) == (address, name)
    assert "ambiguous_sender" not in facts.problems


def test_a_mail_without_from_has_no_sender():
    facts = read_mail(b"To: b@acme.example\r\n\r\nHello")
    assert (facts.sender, facts.from_all, facts.problems) == (None, (), ("no_from",))


def test_recipients_of_all_headers_and_groups_are_found():
    facts = read_mail(
        plain_mail(
            to="Team: a@acme.example, B <b@acme.example>;, c@acme.example", cc="d@acme.example"
        )
    )
    assert [each.address for each in facts.to] == [
        "a@acme.example", "b@acme.example", "c@acme.example",
    ]  # fmt: skip
    assert [each.address for each in facts.cc] == ["d@acme.example"]


def test_undisclosed_recipients_are_nobody():
    assert read_mail(plain_mail(to="undisclosed-recipients:;")).to == ()


def test_a_reply_to_elsewhere_is_seen():
    facts = read_mail(plain_mail(reply_to="Alice <alice@freemail.example>"))
    assert facts.reply_to[0].domain == "freemail.example"


def test_addresses_over_the_limit_are_cut_and_said():
    many = ", ".join(f"u{number}@acme.example" for number in range(1_500))
    facts = read_mail(plain_mail(to=many))
    assert len(facts.to) == 1_000
    assert "too_many_addresses" in facts.problems


def test_deep_comments_do_not_recurse():
    assert parse_addresses("(" * 50_000 + "a@b.example").is_odd


@pytest.mark.parametrize(
    "text", ["", "a", "@b.example", "a@", "a b@c.example", "a@b@c", '"a@b.example']
)
def test_what_is_no_address_is_empty(text):
    assert normal_address(text) == ""
