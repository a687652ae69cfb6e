"""The resolver: what it answers, what it keeps, and how it fails."""

from __future__ import annotations

import socket

import pytest

from seg_bridge.engines.embedded import resolver as module
from seg_bridge.engines.embedded.resolver import Resolver, ResolverFailed
from tests.seg_bridge.engines.dns import dns_server

TABLE = {
    ("acme.example", "TXT"): ('"v=spf1 " "-all"',),
    ("acme.example", "MX"): ("10 mail.acme.example.",),
    ("acme.example", "A"): ("192.0.2.1",),
}


def test_records_come_as_text():
    with dns_server(TABLE, asked=[]) as address:
        ask = Resolver(address)
        assert ask("acme.example", "TXT") == ("v=spf1 -all",)
        assert ask("acme.example", "MX") == ("10 mail.acme.example",)
        assert ask("acme.example.", "A") == ("192.0.2.1",)


def test_answers_are_kept_also_those_that_there_is_nothing():
    asked: list[str] = []
    with dns_server(TABLE, asked=asked) as address:
        ask = Resolver(address)
        for _ in range(3):
            ask("acme.example", "A")
            ask("ACME.example", "A")
            assert ask("nobody.example", "TXT") == ()
            assert ask("acme.example", "AAAA") == ()
    assert sorted(asked) == ["A acme.example", "AAAA acme.example", "TXT nobody.example"]


def test_failure_is_no_answer_and_is_not_kept():
    with dns_server(TABLE, asked=[]) as address:
        ask = Resolver(address, timeout_s=0.5)
        with pytest.raises(ResolverFailed):
            ask("fails.example", "A")
        assert ask("acme.example", "A") == ("192.0.2.1",)


def test_impossible_name_does_not_exist():
    with dns_server(TABLE, asked=[]) as address:
        assert Resolver(address)(f"{'x' * 70}.example", "A") == ()
        assert Resolver(address)("a..example", "A") == ()


def test_dead_resolver_is_left_alone_for_a_while(monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        ask = Resolver(silent.getsockname(), timeout_s=0.05)
        for _ in range(module.PAUSE_AFTER_FAILURES):
            with pytest.raises(ResolverFailed):
                ask("acme.example", "A")
        monkeypatch.setattr(ask, "_ask", pytest.fail)
        with pytest.raises(ResolverFailed, match="not asked again yet"):
            ask("acme.example", "A")


def test_cache_does_not_grow_without_bound(monkeypatch):
    monkeypatch.setattr(module, "ANSWERS_KEPT", 3)
    with dns_server({}, asked=[]) as address:
        ask = Resolver(address)
        for number in range(6):
            ask(f"n{number}.example", "A")
        assert len(ask._kept) == 3
