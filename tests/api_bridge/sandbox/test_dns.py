"""DNS answers from the records it was given."""

from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from tests.api_bridge.sandbox.running import SandboxProcess

KEY = "v=DKIM1; k=rsa; p=" + "A" * 400
RECORDS = [
    {"name": "sender.example", "type": "A", "value": "192.0.2.1"},
    {"name": "sender.example", "type": "MX", "value": "10 mx.sender.example"},
    {"name": "sender.example", "type": "TXT", "value": 'v=spf1 ip4:192.0.2.0/24 "quoted" -all'},
    {"name": "s1._domainkey.sender.example", "type": "TXT", "value": KEY},
    {"name": "www.sender.example", "type": "CNAME", "value": "sender.example"},
    {"name": "loop.sender.example", "type": "CNAME", "value": "loop.sender.example"},
]


@pytest.fixture
def resolver(cloud: SandboxProcess) -> dns.resolver.Resolver:
    cloud.admin("PUT", "dns", {"records": RECORDS})
    made = dns.resolver.Resolver(configure=False)
    host, _, port = cloud.addresses["dns"].rpartition(":")
    made.nameservers, made.port, made.lifetime = [host], int(port), 5
    return made


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("sender.example", "A", ["192.0.2.1"]),
        ("SENDER.Example.", "MX", ["10 mx.sender.example."]),
        ("www.sender.example", "A", ["192.0.2.1"]),
    ],
)
def test_records_are_answered_over_udp_and_tcp(
    resolver: dns.resolver.Resolver, name: str, kind: str, values: list[str], tcp: bool
):
    found = resolver.resolve(name, kind, tcp=tcp)
    assert [record.to_text().lower() for record in found] == values


def test_long_texts_come_in_pieces_and_unchanged(resolver: dns.resolver.Resolver):
    for name, value in (("s1._domainkey.sender.example", KEY),
                        ("sender.example", RECORDS[2]["value"])):  # fmt: skip
        (record,) = resolver.resolve(name, "TXT")
        assert b"".join(record.strings).decode() == value


@pytest.mark.parametrize("name", ["other.example", "x.sender.example"])
def test_unknown_names_do_not_exist(resolver: dns.resolver.Resolver, name: str):
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve(name, "A")


@pytest.mark.parametrize(
    ("name", "kind"), [("sender.example", "AAAA"), ("_domainkey.sender.example", "TXT")]
)
def test_a_known_name_without_such_a_record_has_an_empty_answer(
    resolver: dns.resolver.Resolver, name: str, kind: str
):
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve(name, kind)


def test_a_circle_of_aliases_is_a_server_failure(resolver: dns.resolver.Resolver):
    with pytest.raises(dns.resolver.NoNameservers):
        resolver.resolve("loop.sender.example", "A")


def test_an_answer_too_large_for_udp_is_cut_and_whole_over_tcp(
    cloud: SandboxProcess, resolver: dns.resolver.Resolver
):
    values = [{"name": "big.example", "type": "TXT", "value": f"{n} " + "x" * 200}
              for n in range(20)]  # fmt: skip
    cloud.admin("PUT", "dns", {"records": values})
    query = dns.message.make_query("big.example", "TXT")
    host = resolver.nameservers[0]
    assert isinstance(host, str)
    with pytest.raises(dns.message.Truncated):
        dns.query.udp(query, host, port=resolver.port, timeout=5, raise_on_truncation=True)
    assert len(resolver.resolve("big.example", "TXT")) == 20


def test_putting_records_again_replaces_those_of_the_same_name_and_type(
    cloud: SandboxProcess, resolver: dns.resolver.Resolver
):
    new: list[dict[str, Any]] = [{"name": "sender.example.", "type": "a", "value": "192.0.2.9"}]
    for _ in range(2):
        cloud.admin("PUT", "dns", {"records": new})
    assert [record.to_text() for record in resolver.resolve("sender.example", "A")] == ["192.0.2.9"]
    assert len(resolver.resolve("sender.example", "MX")) == 1


def test_nonsense_gets_no_answer_and_does_no_harm(resolver: dns.resolver.Resolver):
    host = resolver.nameservers[0]
    assert isinstance(host, str)
    two = dns.message.make_query("sender.example", "A")
    two.question.append(two.question[0].copy())
    answer = dns.query.udp(two, host, port=resolver.port, timeout=5)
    assert answer.rcode() == dns.rcode.NOTIMP
    assert len(resolver.resolve("sender.example", "A")) == 1
