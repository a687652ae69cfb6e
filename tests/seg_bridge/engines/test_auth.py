"""SPF, DKIM and DMARC against a table of DNS answers."""

from __future__ import annotations

import base64
import time
from functools import cache

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from seg_bridge.engines.embedded.auth import authenticate, check_dkim, check_spf
from tests.seg_bridge.engines.dns import TableLookup

IP = "198.51.100.7"
MAIL = (
    b"From: Tove <tove@bank-example.example>\r\nTo: info@acme.example\r\nSubject: Hello\r\n"
    b"Date: Mon, 16 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@bank-example.example>\r\n\r\n"
    b"The drawings are done.\r\n"
)


@cache
def keys() -> tuple[bytes, str]:
    """(private key as PEM, public key as a DKIM record)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


def signed(domain: str, raw: bytes = MAIL) -> bytes:
    header: bytes = dkim.sign(raw, b"s1", domain.encode(), keys()[0], include_headers=[b"from"])
    return header + raw


def key_record(domain: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(f"s1._domainkey.{domain}", "TXT"): (keys()[1],)}


def spf_record(domain: str, text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(domain, "TXT"): ("some-verification=1", text)}


def dmarc_record(text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    return {("_dmarc.bank-example.example", "TXT"): (text,)}


def checked(
    table,
    *,
    raw=MAIL,
    mail_from="tove@bank-example.example",
    from_domain="bank-example.example",
    broken=frozenset(),
):
    return authenticate(
        raw,
        client_ip=IP,
        helo="mail.bank-example.example",
        mail_from=mail_from,
        from_domain=from_domain,
        authserv_id="gate.example",
        lookup=TableLookup(table, broken),
    )


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (f"v=spf1 ip4:{IP} -all", "pass"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "pass"),
        ("v=spf1 ip4:203.0.113.9 -all", "fail"),
        ("v=spf1 ip4:203.0.113.9 ~all", "softfail"),
        ("v=spf1 ip4:203.0.113.9 ?all", "neutral"),
        ("v=spf1 include:relay.example -all", "pass"),
        ("v=spf1 a:host.example -all", "pass"),
        ("v=spf1 mx -all", "pass"),
        ("v=spf1 ip4:not-an-ip -all", "permerror"),
        ("no spf here", "none"),
    ],
)
def test_spf_is_evaluated_with_its_mechanisms(record, result):
    table = spf_record("bank-example.example", record) | {
        ("relay.example", "TXT"): (f"v=spf1 ip4:{IP} -all",),
        ("host.example", "A"): ("203.0.113.1", IP),
        ("bank-example.example", "MX"): ("10 host.example",),
    }
    lookup = TableLookup(table)
    found, domain, _ = check_spf(IP, "mail.x.example", "a@bank-example.example", lookup)
    assert (found, domain) == (result, "bank-example.example")


def test_spf_knows_ipv6_hosts():
    table = spf_record("six.example", "v=spf1 a:host.example -all") | {
        ("host.example", "AAAA"): ("2001:db8::7",)
    }
    assert check_spf("2001:db8::7", "h.example", "a@six.example", TableLookup(table))[0] == "pass"
    assert check_spf("2001:db8::8", "h.example", "a@six.example", TableLookup(table))[0] == "fail"


def test_null_sender_is_checked_by_the_host_s_name():
    table = spf_record("mail.six.example", f"v=spf1 ip4:{IP} -all")
    assert check_spf(IP, "mail.six.example", "", TableLookup(table))[:2] == (
        "pass",
        "mail.six.example",
    )


def test_spf_that_asks_for_too_many_names_is_a_permanent_error():
    many = " ".join(f"include:i{n}.example" for n in range(12))
    table = spf_record("x.example", f"v=spf1 {many} -all")
    table |= {(f"i{n}.example", "TXT"): ("v=spf1 ?all",) for n in range(12)}
    assert check_spf(IP, "h.example", "a@x.example", TableLookup(table))[0] == "permerror"


def test_signature_that_fits_passes_for_its_domain():
    (one,) = check_dkim(
        signed("bank-example.example"), TableLookup(key_record("bank-example.example"))
    )
    assert (one.result, one.domain) == ("pass", "bank-example.example")


def test_changed_body_fails():
    raw = signed("bank-example.example").replace(b"drawings", b"invoices")
    (one,) = check_dkim(raw, TableLookup(key_record("bank-example.example")))
    assert (one.result, one.why) == ("fail", "the body was changed")


def test_second_from_header_breaks_the_signature():
    raw = b"From: ceo@acme.example\r\n" + signed("bank-example.example")
    (one,) = check_dkim(raw, TableLookup(key_record("bank-example.example")))
    assert one.result != "pass"


def test_signature_without_a_key_is_a_permanent_error_or_fails():
    (one,) = check_dkim(signed("bank-example.example"), TableLookup({}))
    assert one.result in ("fail", "permerror")


def test_key_that_cannot_be_asked_for_is_a_temporary_error():
    lookup = TableLookup({}, frozenset({"s1._domainkey.bank-example.example"}))
    (one,) = check_dkim(signed("bank-example.example"), lookup)
    assert one.result == "temperror"


def test_oversized_key_is_not_reckoned_with():
    table = {("s1._domainkey.bank-example.example", "TXT"): ("v=DKIM1; p=" + "A" * 5000,)}
    (one,) = check_dkim(signed("bank-example.example"), TableLookup(table))
    assert one.result != "pass"


@pytest.mark.parametrize(
    "value",
    [
        b"v=1; a=rsa-sha256; d=x.example; s=s; h=from; bh=x; b=!!!",
        b"v=1; a=no-such; d=x.example; s=s; h=from; bh=x; b=AA==",
        b"nonsense",
        b"v=1; a=rsa-sha256; d=x.example; s=s; h=from; l=-5; bh=AA==; b=AA==",
        b"d=" + b"x" * 5000,
    ],
)
def test_broken_signature_is_no_exception_and_no_pass(value):
    found = check_dkim(b"DKIM-Signature: " + value + b"\r\n" + MAIL, TableLookup({}))
    assert [one.result == "pass" for one in found] == [False]


@pytest.mark.parametrize("canonical", ["simple/simple", "relaxed/relaxed"])
@pytest.mark.parametrize("unit", [b" ", b"\t ", b" \r\n", b"\r\n", b"a ", b"\r"])
def test_no_body_takes_long_to_hash(unit, canonical):
    raw = signed("sender.example").replace(b"c=relaxed/simple", f"c={canonical}".encode())
    assert canonical.encode() in raw
    raw += unit * (500_000 // len(unit)) + b"x"
    started = time.process_time()
    (found,) = check_dkim(raw, TableLookup(key_record("sender.example")))
    assert time.process_time() - started < 0.5
    assert found.why == "the body was changed"


def test_spaces_at_the_end_of_lines_do_not_break_a_relaxed_signature():
    raw = dkim.sign(
        MAIL, b"s1", b"sender.example", keys()[0], canonicalize=(b"relaxed", b"relaxed")
    )
    head, _, body = MAIL.partition(b"\r\n\r\n")
    spaced = raw + head + b"\r\n\r\n" + body.replace(b"\r\n", b" \t \r\n")
    (found,) = check_dkim(spaced, TableLookup(key_record("sender.example")))
    assert found.result == "pass"


@pytest.mark.parametrize(
    "more",
    [
        b"X-Long: a" + b"\r\n b" * 250_000 + b"\r\n",
        b"X-Many: b\r\n" * 100_000,
        b"DKIM-Signature: v=1; h=from" + b":x-a" * 20_000 + b"\r\n",
    ],
)
def test_headers_without_end_are_not_checked(more):
    started = time.process_time()
    found = check_dkim(more + signed("sender.example"), TableLookup({}))
    found += check_dkim(signed("sender.example")[: -len(MAIL)] + more + MAIL, TableLookup({}))
    assert time.process_time() - started < 0.5
    assert {each.result for each in found} <= {"permerror"}


def test_only_so_many_signatures_are_checked():
    raw = b"DKIM-Signature: v=1; d=x.example\r\n" * 50 + MAIL
    assert len(check_dkim(raw, TableLookup({}))) == 4


DMARC = dmarc_record("v=DMARC1; p=reject")


def test_hyphenated_domain_finds_its_own_policy():
    auth = checked(DMARC)
    assert (auth.dmarc, auth.policy, auth.policy_domain) == (
        "fail",
        "reject",
        "bank-example.example",
    )


def test_aligned_spf_passes_dmarc():
    auth = checked(DMARC | spf_record("bank-example.example", f"v=spf1 ip4:{IP} -all"))
    assert (auth.dmarc, auth.aligned_by) == ("pass", ("spf",))


def test_aligned_dkim_passes_dmarc_where_spf_fails():
    auth = checked(DMARC | key_record("bank-example.example"), raw=signed("bank-example.example"))
    assert (auth.spf, auth.dmarc, auth.aligned_by) == ("none", "pass", ("dkim",))


def test_pass_of_another_domain_is_not_aligned():
    table = DMARC | spf_record("mailer.example", f"v=spf1 ip4:{IP} -all")
    table |= key_record("mailer.example")
    auth = checked(table, raw=signed("mailer.example"), mail_from="b@mailer.example")
    assert (auth.spf, auth.dkim, auth.dmarc) == ("pass", "pass", "fail")


@pytest.mark.parametrize(
    ("mode", "subdomain", "result"),
    [
        ("aspf=r", "news.bank-example.example", "pass"),
        ("aspf=s", "news.bank-example.example", "fail"),
        ("aspf=s", "bank-example.example", "pass"),
    ],
)
def test_spf_alignment_is_relaxed_or_strict(mode, subdomain, result):
    table = dmarc_record(f"v=DMARC1; p=reject; {mode}")
    table |= spf_record(subdomain, f"v=spf1 ip4:{IP} -all")
    assert checked(table, mail_from=f"b@{subdomain}").dmarc == result


@pytest.mark.parametrize(("mode", "result"), [("adkim=r", "pass"), ("adkim=s", "fail")])
def test_dkim_alignment_is_relaxed_or_strict(mode, result):
    table = dmarc_record(f"v=DMARC1; p=reject; {mode}")
    table |= key_record("news.bank-example.example")
    auth = checked(table, raw=signed("news.bank-example.example"), mail_from="")
    assert auth.dmarc == result


@pytest.mark.parametrize(
    ("record", "policy"),
    [
        ("v=DMARC1; p=reject; sp=none", "none"),
        ("v=DMARC1; p=none; sp=reject", "reject"),
        ("v=DMARC1; p=quarantine", "quarantine"),
    ],
)
def test_subdomain_follows_the_subdomain_policy(record, policy):
    table = {("_dmarc.bank-example.example", "TXT"): (record,)}
    auth = checked(table, from_domain="pay.bank-example.example", mail_from="x@other.example")
    assert (auth.dmarc, auth.policy, auth.policy_domain) == (
        "fail",
        policy,
        "bank-example.example",
    )


def test_subdomain_with_a_record_of_its_own_follows_that():
    table = DMARC | {("_dmarc.pay.bank-example.example", "TXT"): ("v=DMARC1; p=none",)}
    assert checked(table, from_domain="pay.bank-example.example").policy == "none"


def test_several_records_count_as_none():
    table = {("_dmarc.bank-example.example", "TXT"): ("v=DMARC1; p=reject", "v=DMARC1; p=none")}
    assert checked(table).dmarc == "none"


def test_domain_without_a_record_has_no_dmarc():
    auth = checked({})
    assert (auth.dmarc, auth.policy) == ("none", "")
    assert not auth.is_unavailable


def test_mail_without_a_sender_domain_has_no_dmarc():
    assert checked(DMARC, from_domain="").dmarc == "none"


def test_dead_resolver_gives_temporary_errors_and_says_so():
    auth = checked(DMARC, raw=signed("bank-example.example"), broken=frozenset({"*"}))
    assert (auth.spf, auth.dkim, auth.dmarc) == ("temperror",) * 3
    assert auth.is_unavailable


def test_unsure_method_is_no_dmarc_failure():
    auth = checked(DMARC, broken=frozenset({"bank-example.example"}))
    assert (auth.spf, auth.dmarc) == ("temperror", "temperror")


def test_results_name_gate_method_and_domain():
    auth = checked(DMARC | spf_record("bank-example.example", f"v=spf1 ip4:{IP} -all"))
    assert [(one.authserv_id, one.method, one.result) for one in auth.results] == [
        ("gate.example", "spf", "pass"),
        ("gate.example", "dkim", "none"),
        ("gate.example", "dmarc", "pass"),
    ]
    assert auth.results[2].domain == "bank-example.example"
