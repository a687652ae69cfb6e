"""Postfix's tables say what the policy says."""

from dataclasses import replace

import pytest

from seg_bridge.gate.maps import MapsError, PostfixMaps, map_texts
from seg_bridge.gate.outbound.terms import OutboundTerms
from seg_bridge.gate.ways import HopTls
from tests.seg_bridge.gate.parts import snapshot_of, tenant


def with_domain(policy, **changes):
    (domain,) = policy.domains
    return replace(policy, domains=(replace(domain, **changes),))


def test_domains_recipients_and_next_hops_are_the_policys():
    acme = tenant("acme", 1, "mail.acme.example:25", "info")
    globex = tenant("globex", 2, "[2001:db8::1]:2525", "ceo", "cfo")
    texts = map_texts(snapshot_of(acme, globex))
    assert texts == {
        "domains": "acme.example acme\nglobex.example globex\n",
        "recipients": (
            "ceo@globex.example globex\ncfo@globex.example globex\ninfo@acme.example acme\n"
        ),
        "transport": (
            "acme.example relay:[mail.acme.example]:25\nglobex.example relay:[2001:db8::1]:2525\n"
        ),
        "senders": "",
        "state": "state DUNNO\n",
    }


def test_a_clients_next_mail_server_is_found_by_the_senders_domain():
    outbound = OutboundTerms(next_hop="smart.acme.example:587")
    acme = with_domain(tenant("acme", 1, "x:25", outbound=outbound), name="xn--bcher-kva.example")
    globex = tenant("globex", 2, "x:25", outbound=OutboundTerms(next_hop=""))
    texts = map_texts(snapshot_of(acme, globex, tenant("hooli", 3, "x:25")))
    assert texts["senders"].splitlines() == [
        f"@{name}.example outgoing:[smart.acme.example]:587" for name in ("bücher", "xn--bcher-kva")
    ]


def test_a_backup_host_and_tls_are_told_and_two_clients_of_one_host_keep_each_its_own():
    hop = {"next_hop": "mx.host.example:25", "backup_hop": "mx2.host.example:26"}
    acme = with_domain(tenant("acme", 1, "x:25"), **hop, tls=HopTls.VERIFY)
    globex = with_domain(tenant("globex", 2, "x:25"), **hop, tls=HopTls.MUST)
    hooli = with_domain(tenant("hooli", 3, "x:25"), **hop)
    texts = map_texts(snapshot_of(acme, globex, hooli))
    assert texts["transport"].splitlines() == [
        f"{name}.example {transport}:[mx.host.example]:25, [mx2.host.example]:26"
        for name, transport in (
            ("acme", "relay-verify"),
            ("globex", "relay-must"),
            ("hooli", "relay"),
        )
    ]


def test_where_the_next_hop_knows_the_recipients_postfix_takes_every_address():
    policy = with_domain(tenant("acme", 1, "x:25", "info"), asks_hop=True)
    assert map_texts(snapshot_of(policy))["recipients"].startswith("@acme.example acme\n")


def test_a_domain_beyond_ascii_is_known_in_both_spellings():
    policy = with_domain(
        tenant("acme", 1, "mail.acme.example:25"),
        name="xn--bcher-kva.example",
        recipients=frozenset({"info@xn--bcher-kva.example"}),
    )
    texts = map_texts(snapshot_of(policy))
    assert texts["domains"] == "bücher.example acme\nxn--bcher-kva.example acme\n"
    assert "info@bücher.example acme\n" in texts["recipients"]


@pytest.mark.parametrize("local", ["a b", '"a', "a\nother.example", "#a"])
def test_an_address_that_would_break_the_table_is_left_out(local):
    policy = with_domain(
        tenant("acme", 1, "mail.acme.example:25"),
        recipients=frozenset({f"{local}@acme.example", "info@acme.example"}),
    )
    assert map_texts(snapshot_of(policy))["recipients"] == "info@acme.example acme\n"


async def test_what_did_not_change_is_not_written(tmp_path, monkeypatch):
    calls: list[list[str]] = []
    maps = PostfixMaps(tmp_path)
    monkeypatch.setattr(maps, "_postmap", lambda names: touch(tmp_path, names, calls))
    acme = tenant("acme", 1, "mail.acme.example:25")
    await maps.follow(snapshot_of(acme))
    assert await maps.follow(snapshot_of(acme, version="v2")) == []
    moved = with_domain(acme, next_hop="mail2.acme.example:25")
    assert await maps.follow(snapshot_of(moved, version="v3")) == ["transport"]
    assert calls[2:] == [["transport"], ["state-next"]], "and all of Postfix is told"


async def test_a_table_that_could_not_be_made_is_made_the_next_time(tmp_path, monkeypatch):
    maps = PostfixMaps(tmp_path)
    calls: list[list[str]] = []

    def fail(names):
        raise MapsError("no room")

    monkeypatch.setattr(maps, "_postmap", fail)
    policy = snapshot_of(tenant("acme", 1, "mail.acme.example:25"))
    with pytest.raises(MapsError):
        await maps.follow(policy)
    monkeypatch.setattr(maps, "_postmap", lambda names: touch(tmp_path, names, calls))
    assert await maps.follow(policy) == ["domains", "recipients", "senders", "transport"]


def touch(folder, names, calls):
    calls.append(names)
    for name in names:
        (folder / "maps" / f"{name}.lmdb").touch()
