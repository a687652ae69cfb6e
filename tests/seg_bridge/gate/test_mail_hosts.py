"""Whose hosts take mail for a domain: what DNS says, what it must not, and when it is silent."""

import pytest

from seg_bridge.engines.embedded.resolver import Resolver, ResolverFailed
from seg_bridge.gate.hop import OutgoingMail
from seg_bridge.gate.mail_hosts import MailHosts, NoMailHost
from seg_bridge.gate.relay import Relay
from seg_bridge.gate.ways import Way, mx_hop
from tests.seg_bridge.engines.dns import Table, TableLookup, dns_server
from tests.seg_bridge.gate.parts import TIMEOUTS, mail_bytes

X, MX1, MX2 = "x.example", "mx1.x.example", "mx2.x.example"
TWO = {(X, "MX"): (f"20 {MX2}", f"10 {MX1}"), (MX2, "A"): ("203.0.113.2",)}
ANSWERS = {
    "by preference, IPv4 first": (
        TWO | {(MX1, "A"): ("203.0.113.1",), (MX1, "AAAA"): ("2001:db8::1",)},
        ["203.0.113.1:25", "[2001:db8::1]:25", "203.0.113.2:25"],
    ),
    "a host without an address is passed over": (TWO, ["203.0.113.2:25"]),
    "no MX: its own address": ({(X, "A"): ("203.0.113.9",)}, ["203.0.113.9:25"]),
    "no MX, IPv6 only": ({(X, "AAAA"): ("2001:db8::9",)}, ["[2001:db8::9]:25"]),
    "never more than five": (
        {(X, "A"): tuple(f"203.0.113.{n}" for n in range(1, 9))},
        [f"203.0.113.{n}:25" for n in range(1, 6)],
    ),
}
REFUSED = {
    "null MX, an address beside it": (
        {(X, "MX"): ("0 .",), (X, "A"): ("203.0.113.9",)},
        "556 5.1.10",
    ),
    "an MX without an address is no reason to ask for A": (
        {(X, "MX"): (f"10 {MX1}",), (X, "A"): ("203.0.113.9",)},
        "550 5.4.4",
    ),
    "no such domain": ({}, "550 5.1.2"),
    "it leads back into this host": (
        {(X, "MX"): ("10 me.x.example",), ("me.x.example", "A"): ("127.0.0.1",)},
        "550 5.4.6",
    ),
    "so does IPv6": ({(X, "AAAA"): ("::1", "::ffff:127.0.0.1", "fe80::1", "0.0.0.0")}, "550 5.4.6"),
}


@pytest.mark.parametrize(("table", "hops"), ANSWERS.values(), ids=ANSWERS)
async def test_where_mail_goes(table, hops):
    assert [each.hop for each in await MailHosts(TableLookup(table)).of("X.example")] == hops


@pytest.mark.parametrize(("table", "reply"), REFUSED.values(), ids=REFUSED)
async def test_what_is_for_good(table, reply):
    with pytest.raises(NoMailHost, match=f"^{reply} "):
        await MailHosts(TableLookup(table)).of(X)


@pytest.mark.parametrize("domain", ["", "x..example", "a" * 64 + ".example"])
async def test_no_domain_name_is_for_good_and_is_not_asked(domain):
    lookup = TableLookup({})
    with pytest.raises(NoMailHost, match=r"^550 5\.1\.2 "):
        await MailHosts(lookup).of(domain)
    assert not lookup.asked


@pytest.mark.parametrize("broken", [{X}, {MX1}, {"*"}])
async def test_dns_that_does_not_answer_is_never_for_good(broken):
    table = {(X, "MX"): (f"10 {MX1}",)}
    with pytest.raises(ResolverFailed):
        await MailHosts(TableLookup(table, frozenset(broken))).of(X)


async def test_one_host_that_dns_is_silent_about_leaves_the_other():
    hosts = await MailHosts(TableLookup(TWO, frozenset({MX1}))).of(X)
    assert [each.name for each in hosts] == [f"{MX2}:25"]


async def test_hosts_of_one_preference_take_turns():
    table: Table = {
        (X, "MX"): (f"10 {MX1}", f"10 {MX2}"),
        (MX1, "A"): ("203.0.113.1",),
        (MX2, "A"): ("203.0.113.2",),
    }
    first = {(await MailHosts(TableLookup(table)).of(X))[0].name for _ in range(64)}
    assert first == {f"{MX1}:25", f"{MX2}:25"}


async def _send(lookup, port):
    relay = Relay(
        helo="gate1.example",
        timeouts=TIMEOUTS,
        mail_hosts=MailHosts(lookup, port=port, to_loopback=True),
    )
    outgoing = OutgoingMail(mail_from="a@acme.example", recipients=(f"b@{X}",), data=mail_bytes())
    try:
        return (await relay.send(Way.of(mx_hop(f"b@{X.upper()}")), outgoing))[f"b@{X}"]
    finally:
        await relay.close()


async def test_a_mail_goes_to_the_second_host_where_the_first_is_down(sink):
    """Over a real resolver; nothing listens at 127.0.0.2."""
    table: Table = {
        (X, "MX"): (f"10 {MX1}.", f"20 {MX2}."),
        (MX1, "A"): ("127.0.0.2",),
        (MX2, "A"): ("127.0.0.1",),
    }
    with dns_server(table, asked=[]) as server:
        answer = await _send(Resolver(server), sink.port)
    assert (answer.state, answer.hop) == ("accepted", f"{MX2}:{sink.port}")
    assert len(sink.mails) == 1


@pytest.mark.parametrize(
    ("lookup", "state", "text"),
    [
        (TableLookup({(X, "MX"): ("0 .",)}), "refused", "556 5.1.10"),
        (TableLookup({}, frozenset("*")), "deferred", "451 4.4.3"),
        (TableLookup({(X, "A"): ("127.0.0.2",)}), "deferred", X),
    ],
)
async def test_what_the_sender_hears(sink, lookup, state, text):
    answer = await _send(lookup, sink.port)
    assert answer.state == state
    assert answer.text.startswith(text)
    assert not sink.mails
