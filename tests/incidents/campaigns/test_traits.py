"""What a mail may have in common with others, read from real bytes and from hostile facts."""

from hypothesis import given
from hypothesis import strategies as st

from incidents.campaigns.traits import KINDS, MOST_PER_KIND, make_trait, outside_ip, traits_of
from incidents.mail.read import read_mail
from tests.factories import mail_json

MAIL = b"""Received: from a.prod.outlook.com (2603:10b6::1) by b.prod.exchangelabs.com
Received: from out.sender.example ([198.51.100.9]) by x.mail.protection.outlook.com
From: "Accounts Desk" <pay@deals.sender.example>
Reply-To: other@else.example
To: Jane Roe <jane.roe@acme.example>
Subject: [EXTERNAL] Re: Jane, invoice 4711 is overdue
Content-Type: text/html

<p>Pay to DE89 3704 0044 0532 0130 00 or call +44 20 7946 0000 or (212) 555-0100.</p>
<a href="https://jane.web.app/x/91/login?u=7">open</a>
<a href="https://evil.example">home</a>
"""


def found_in(facts) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for trait in traits_of(facts):
        found.setdefault(trait.kind, set()).add(trait.label)
    return found


def test_a_mail_with_everything():
    found = found_in(read_mail(MAIL).as_json())
    assert found["url_host"] == {"jane.web.app", "evil.example"}
    assert found["url_shape"] == {"jane.web.app/x/#/login"}
    assert found["url"] == {"jane.web.app/x/91/login"}
    assert found["sender_domain"] == {"sender.example"}
    assert found["sender"] == {"pay@deals.sender.example"}
    assert found["reply_to"] == {"other@else.example"}
    assert found["display_name"] == {"accounts desk"}
    assert found["subject_shape"] == {"~ invoice # is overdue"}
    assert found["iban"] == {"DE89370400440532013000"}
    assert found["phone"] == {"442079460000", "12125550100"}


def test_the_sending_server_is_the_one_that_came_from_outside():
    facts = read_mail(MAIL.replace(b"198.51.100.9", b"5.39.59.140")).as_json()
    assert outside_ip(facts) == "5.39.59.140"
    assert found_in(facts)["sender_infra"] == {"5.39.59.0/24 sender.example"}


def test_a_subject_is_the_same_for_every_reader_and_number():
    facts = read_mail(MAIL).as_json()
    other = facts | {
        "subject": "Bob, INVOICE 9 is overdue",
        "to": [{"address": "bob@globex.example", "name": ""}],
    }
    assert found_in(other)["subject_shape"] == found_in(facts)["subject_shape"]


def test_a_name_that_repeats_the_address_says_nothing():
    sender = {"address": "annabrown@x.example", "name": "Anna Brown", "raw": ""}
    assert "display_name" not in found_in(mail_json(sender=sender))


def test_a_name_written_from_a_free_mailer_is_borrowed_from_any_of_its_addresses():
    sender = {"address": "office.331@gmail.com", "name": "Martha Wells", "raw": ""}
    found = found_in(mail_json(sender=sender))
    assert found["borrowed_name"] == {"martha wells at gmail.com"}
    own = sender | {"address": "mw@acme.example"}
    assert "borrowed_name" not in found_in(mail_json(sender=own))


def test_each_kind_is_bounded_and_known():
    links = [{"url": f"https://h{number}.example/a/b"} for number in range(500)]
    found = found_in(mail_json(links=links))
    assert len(found["url_host"]) == MOST_PER_KIND
    assert found.keys() <= set(KINDS)


@given(st.text(), st.sampled_from(KINDS))
def test_hostile_text_becomes_a_storable_trait(text: str, kind: str):
    trait = make_trait(kind, text)
    assert len(trait.value) == 32
    assert "\x00" not in trait.label
    assert len(trait.label.encode().decode()) <= 200
    assert trait == make_trait(kind, text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_subject_or_name_stops_it(subject: str, name: str):
    sender = {"address": "x@y.example", "name": name, "raw": ""}
    assert traits_of(mail_json(subject=subject, sender=sender))
